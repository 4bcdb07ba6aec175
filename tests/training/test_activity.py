"""What filters do while they train, against a forward pass of every step by hand."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from sparsity_jax.models import Conv, ConvNet, Plan
from sparsity_jax.pruning.shrink import everything
from sparsity_jax.training import (
    DeviceDataset,
    Hparams,
    ProgramConfig,
    init_state,
    train_steps,
)
from sparsity_jax.training.activity import interval_series
from sparsity_jax.training.state import epoch_order
from sparsity_jax.training.step import next_batch

HPARAMS = Hparams(*(jnp.float32(v) for v in (1e-2, 1e-2, 1, 1, -0.4)), seed=jnp.uint32(1))


def program_of(pool: str = "max2", **fields) -> ProgramConfig:
    plan = Plan("t", (Conv(4, pool=True), Conv(6)), (9, 8, 1), "global", (), 3, pool_kind=pool)
    return ProgramConfig(plan, "adam", "l2", "schedule", 8, (), True, activity=True, **fields)


@pytest.fixture
def data(toy) -> DeviceDataset:
    made, rng = toy(48, 6), np.random.default_rng(0)
    images = {
        f"{split}_images": rng.integers(0, 256, (count, 9, 8, 1)).astype(np.uint8)
        for split, count in (("train", 48), ("test", 6))
    }
    return DeviceDataset.of(dataclasses.replace(made, **images))


@pytest.mark.parametrize("pool", ["max2", "max3", "avg2"])
def test_sums_are_those_of_every_step_by_hand(data, pool):
    program, steps = program_of(pool), 5
    state = init_state(program, HPARAMS)
    expected = {n: [np.zeros(len(s.peak)) for _ in range(4)] for n, s in state.activity.items()}
    order = epoch_order(HPARAMS, 0, size=data.train_size)
    for _ in range(steps):
        images, _labels = next_batch(program, HPARAMS, data, order, state)
        net = ConvNet(program.plan)
        kept = {"mutable": ["batch_stats", "intermediates"], "capture_intermediates": True}
        _, seen = net.apply(state.variables, images, train=True, **kept)
        for name, (peak, fired, decay, _) in expected.items():
            norm = np.asarray(seen["intermediates"][name]["norm"]["__call__"][0])
            maxima = np.maximum(norm, 0).max(axis=(1, 2))
            np.maximum(peak, maxima.max(0), out=peak)
            fired += (maxima > 1e-12).sum(0)
            decay += np.abs(1e-2 * np.asarray(state.params[name]["norm"]["scale"]))
        state = train_steps(program, HPARAMS, data, state, until=int(state.step) + 1)
    for name, (peak, fired, decay, _) in expected.items():
        sums = state.activity[name]
        np.testing.assert_allclose(sums.peak, peak, rtol=1e-4)
        np.testing.assert_array_equal(sums.fired, fired)
        np.testing.assert_array_equal(sums.images, np.full(len(peak), 8 * steps))
        np.testing.assert_allclose(sums.decay, decay, rtol=1e-5)
        assert (np.asarray(sums.pull) >= 0).all()
    assert any((np.asarray(s.fired) > 0).any() for s in state.activity.values())


def test_a_filter_that_never_fires_is_not_pulled(data):
    """With beta far below zero, ReLU passes no gradient: that filter's gamma only decays."""
    program = program_of()
    state = init_state(program, HPARAMS)
    norm = state.params["C2"]["norm"]
    params = {
        **state.params,
        "C2": {**state.params["C2"], "norm": {**norm, "bias": norm["bias"].at[0].set(-50.0)}},
    }
    state = train_steps(program, HPARAMS, data, state._replace(params=params), until=4)
    sums = state.activity["C2"]
    assert (np.asarray(sums.fired) == 0).tolist() == [True] + [False] * 5
    assert float(sums.pull[0]) == 0
    assert float(sums.decay[0]) > 0


def test_watching_changes_no_weight(data):
    states = []
    for activity in (True, False):
        program = dataclasses.replace(program_of(), activity=activity)
        states.append(train_steps(program, HPARAMS, data, init_state(program, HPARAMS), until=6))
    watched, plain = states
    assert plain.activity == ()
    jax.tree.map(np.testing.assert_array_equal, watched.params, plain.params)


def test_an_interval_is_told_in_the_original_network(data):
    program = program_of()
    state = train_steps(program, HPARAMS, data, init_state(program, HPARAMS), until=4)
    kept = {"C1": np.array([0, 1, 3]), "C2": np.arange(6)}
    left = {
        name: type(sums)(*(np.asarray(values)[kept[name]] for values in sums))
        for name, sums in state.activity.items()
    }
    series = interval_series(left, kept, program.plan, steps=4)
    whole = interval_series(state.activity, everything(program.plan), program.plan, steps=4)
    for name, layers in series.items():
        assert np.isnan(layers["C1"]).tolist() == [False, False, True, False]
        np.testing.assert_array_equal(layers["C1"][kept["C1"]], whole[name]["C1"][kept["C1"]])
        np.testing.assert_array_equal(layers["C2"], whole[name]["C2"])
    np.testing.assert_allclose(whole["fired"]["C2"], np.asarray(state.activity["C2"].fired) / 32)
    np.testing.assert_allclose(whole["pull"]["C1"], np.asarray(state.activity["C1"].pull) / 4)
