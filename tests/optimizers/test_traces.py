"""Do the optimizers do what PyTorch does? The traces are made by make_traces.py."""

from functools import cache
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from sparsity_jax.optimizers import OPTIMIZERS, default_learning_rate, make_optimizer
from sparsity_jax.optimizers.schedules import step_schedule

TRACES = dict(np.load(Path(__file__).with_name("traces.npz")))
CASES = [str(case) for case in TRACES["cases"]]
STRENGTHS = dict(zip(TRACES["regularizers"].tolist(), TRACES["strength"].tolist(), strict=True))

# In double precision the two agree to a few units of rounding in 100 steps: the definitions are
# the same. In single precision PyTorch rounds the factor 1 - decay to 6e-8 in each of 100 steps,
# where we add -decay * theta; hence the wider tolerance for weight decay.
DOUBLE, SINGLE, SINGLE_WD = 1e-14, 1e-6, 5e-6


def tree(flat: jax.Array) -> Any:
    """Name the flat parameters as a Flax network does: a convolution and the last bias."""
    kernel, gamma, beta, bias = jnp.split(flat, [12, 18, 24])
    norm = {"scale": gamma, "bias": beta}
    return {"C1": {"conv": {"kernel": kernel}, "norm": norm}, "F1": {"dense": {"bias": bias}}}


def flat(params: Any) -> jax.Array:
    """Undo :func:`tree`."""
    conv, norm, dense = params["C1"]["conv"], params["C1"]["norm"], params["F1"]["dense"]
    return jnp.concatenate([conv["kernel"], norm["scale"], norm["bias"], dense["bias"]])


@cache
def replay(case: str, dtype: Any) -> np.ndarray:
    """Run one case of the traces with our optimizer; parameters (kept, parameters)."""
    name, regularizer = case.split("/")
    kind, _, mode = regularizer.partition(" ")
    boundary, multiplier = TRACES["drop"].tolist()
    gamma, beta = TRACES["lr_scales"].tolist()
    optimizer = make_optimizer(
        name,
        default_learning_rate(name),
        kind,
        STRENGTHS[regularizer],
        schedule=step_schedule(((int(boundary), multiplier),)),
        gamma_lr_scale=gamma,
        beta_lr_scale=beta,
        wd_mode=mode or "schedule",
    )

    def step(carry: Any, gradient: jax.Array) -> Any:
        params, state = carry
        updates, state = optimizer.update(tree(gradient), state, params)
        params = optax.apply_updates(params, updates)
        return (params, state), flat(params)

    params = tree(jnp.asarray(TRACES["start"], dtype))
    gradients = jnp.asarray(TRACES["gradients"], dtype)
    _, path = jax.jit(lambda p, g: jax.lax.scan(step, (p, optimizer.init(p)), g))(params, gradients)
    return np.asarray(path)[TRACES["kept"] - 1]


def error(ours: np.ndarray, theirs: np.ndarray) -> float:
    """Largest difference relative to 1 + abs(parameter)."""
    assert ours.dtype == theirs.dtype
    return float(np.max(np.abs(ours - theirs) / (1 + np.abs(theirs))))


def test_traces_cover_every_optimizer_and_regularizer() -> None:
    assert {case.split("/")[0] for case in CASES} == set(OPTIMIZERS)
    assert set(STRENGTHS) == {"none", "l2", "wd schedule", "wd constant", "wd lr"}
    assert len(CASES) == len(OPTIMIZERS) * 5


@pytest.mark.parametrize("case", CASES)
def test_single_precision(case: str) -> None:
    theirs = TRACES["float32"][CASES.index(case)]
    tolerance = SINGLE_WD if "/wd" in case else SINGLE
    assert error(replay(case, np.float32), theirs) < tolerance


@pytest.mark.parametrize("case", CASES)
def test_double_precision(case: str) -> None:
    with jax.enable_x64(True):
        ours = replay(case, np.float64)
    assert error(ours, TRACES["float64"][CASES.index(case)]) < DOUBLE


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_a_dead_filter_moves_by_the_regularizer_alone(name: str) -> None:
    dead = [3, 12, 18, 24]
    start, end = TRACES["start"][dead], replay(f"{name}/none", np.float32)[-1, dead]
    np.testing.assert_array_equal(end, start)
    decayed = replay(f"{name}/wd constant", np.float32)[-1, dead]
    np.testing.assert_allclose(decayed, start * (1 - STRENGTHS["wd constant"]) ** 100, rtol=1e-5)
