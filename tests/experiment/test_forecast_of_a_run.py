"""The forecast of a filter's death, held against a run: the training step as it is, no shortcut."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from sparsity_jax.data import Dataset
from sparsity_jax.models import Conv, Plan
from sparsity_jax.sparsity.forecast import slots_of, steps_to_inactive
from sparsity_jax.training import DeviceDataset, Hparams, ProgramConfig, init_state, train_steps
from sparsity_jax.training.state import build_optimizer

PLAN = Plan("tiny", (Conv(4, pool=True), Conv(5)), (8, 8, 1), "global", (), 3)
SETUP = ProgramConfig(
    plan=PLAN,
    optimizer="adam",
    regularizer="l2",
    wd_mode="schedule",
    batch_size=8,
    drops=(),
    flip=False,
)
SILENT = 2  # of C1: its beta is far below zero, so no image gives it a gradient
THRESHOLD = 0.5


@pytest.fixture(scope="module")
def data():
    rng = np.random.default_rng(0)
    images, labels = rng.integers(0, 255, (40, 8, 8, 1)).astype(np.uint8), np.arange(40) % 3
    half = (images, labels.astype(np.int32))
    return DeviceDataset.of(Dataset("toy", *half, *half, class_names=("a", "b", "c")))


def gamma_of(tree):
    return tree["C1"]["norm"]["scale"]


@pytest.mark.parametrize(
    ("optimizer", "regularizer", "rate", "strength"),
    [
        ("adam", "l2", 1e-2, 1e-2),
        ("adam", "wd", 1e-2, 1e-2),
        ("sgd", "l2", 0.1, 5e-2),
        ("rmsprop", "l2", 1e-2, 1e-2),
    ],
)
def test_a_filter_without_gradient_dies_when_forecast(data, optimizer, regularizer, rate, strength):
    """Ten steps of training first, so that the optimizer has a past; then the filter goes silent.

    The forecast starts from the slots of the run and must name the very step.
    """
    program = dataclasses.replace(SETUP, optimizer=optimizer, regularizer=regularizer)
    hparams = Hparams(
        *(jnp.float32(value) for value in (rate, strength, 1, 1, 0)), seed=jnp.uint32(0)
    )
    state = train_steps(program, hparams, data, init_state(program, hparams), until=10)
    params = jax.tree.map(jnp.array, state.params)
    params["C1"]["norm"]["bias"] = params["C1"]["norm"]["bias"].at[SILENT].set(-1e3)
    state = state._replace(params=params)
    foreseen = steps_to_inactive(
        build_optimizer(program, hparams),
        gamma_of(state.params),
        threshold=THRESHOLD,
        max_steps=400,
        state=slots_of(state.opt_state, state.params, gamma_of),
    )
    expected = int(foreseen[SILENT])
    assert 5 < expected < 400
    state = train_steps(program, hparams, data, state, until=10 + expected - 1)
    assert abs(float(gamma_of(state.params)[SILENT])) >= THRESHOLD
    state = train_steps(program, hparams, data, state, until=10 + expected)
    assert abs(float(gamma_of(state.params)[SILENT])) < THRESHOLD
