"""Are learning rate, strength and lr scales traced values that share one program?"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from sparsity_jax.optimizers import OPTIMIZERS, WD_MODES, default_learning_rate, make_optimizer
from sparsity_jax.optimizers.schedules import step_schedule

START: Any = {"scale": jnp.array([1.0, -0.5]), "bias": jnp.array([0.3, 0.2]), "kernel": jnp.ones(3)}
GRADIENT = {"scale": jnp.array([1e-2, 0.0]), "bias": jnp.array([1.0, 1e-9]), "kernel": jnp.ones(3)}
KINDS = [("none", "schedule"), ("l2", "schedule"), *(("wd", mode) for mode in WD_MODES)]
STRENGTHS = jnp.logspace(-5, -1, 10)


def walk(
    name: str, kind: str, mode: str, hparams: tuple[jax.Array | float, ...], steps: int = 6
) -> Any:
    """Some steps, the optimizer built inside each of them as in a compiled training step."""

    def optimizer(rate: Any, strength: Any, gamma: Any, beta: Any) -> Any:
        return make_optimizer(
            name,
            rate,
            kind,
            strength,
            schedule=step_schedule(((3, 0.1),)),
            gamma_lr_scale=gamma,
            beta_lr_scale=beta,
            wd_mode=mode,
        )

    def step(_: int, carry: Any) -> Any:
        params, state = carry
        updates, state = optimizer(*hparams).update(GRADIENT, state, params)
        return jax.tree.map(jnp.add, params, updates), state

    # The state is made with dummy numbers: its structure must not depend on them.
    state = optimizer(0.0, 0.0, 0.0, 0.0).init(START)
    return jax.lax.fori_loop(0, steps, step, (START, state))[0]


@pytest.mark.parametrize(
    ("name", "kind", "mode"),
    [
        (name, *kind)
        for name in OPTIMIZERS
        for kind in KINDS
        if name == "adam" or kind in KINDS[1:3]
    ],
)
def test_traced_is_concrete_and_vmapped_is_looped(name: str, kind: str, mode: str) -> None:
    rate = default_learning_rate(name)
    members = [(rate, 0.1, 1.0, 1.0), (rate / 2, 0.01, 0.1, 0.5)]
    packed = tuple(jnp.array(values) for values in zip(*members, strict=True))
    mapped = jax.jit(jax.vmap(lambda *hparams: walk(name, kind, mode, hparams)))(*packed)
    for index, hparams in enumerate(members):
        concrete = walk(name, kind, mode, hparams)
        for leaf, value in concrete.items():
            np.testing.assert_allclose(mapped[leaf][index], value, rtol=2e-6, atol=1e-9)


@pytest.mark.parametrize(("kind", "mode"), KINDS[1:])
def test_ten_strengths_compile_once(kind: str, mode: str) -> None:
    traces = []

    @jax.jit
    def run(strength: jax.Array) -> jax.Array:
        traces.append(strength)
        return walk("adam", kind, mode, (1e-3, strength, 1.0, 1.0))["scale"][1]

    # No main gradient on this one: the stronger the regularizer, the closer to zero.
    ends = [abs(float(run(strength))) for strength in STRENGTHS]
    assert len(traces) == 1
    if kind == "wd":
        assert ends == sorted(ends, reverse=True)
        assert ends[-1] < ends[0]
    else:
        # Adam divides the strength out: the paper's point about L2.
        np.testing.assert_allclose(ends, ends[0], rtol=1e-4)


def test_learning_rates_share_the_program_too() -> None:
    traces = []

    @jax.jit
    def run(rate: jax.Array, gamma: jax.Array) -> jax.Array:
        traces.append(rate)
        return walk("sgd", "l2", "schedule", (rate, 1e-3, gamma, 1.0))["scale"]

    ends = [run(jnp.float32(rate), jnp.float32(gamma)) for rate in (0.1, 0.2) for gamma in (1, 0)]
    assert len(traces) == 1
    np.testing.assert_array_equal(ends[1], START["scale"])
    assert float(ends[2][0]) < float(ends[0][0]) < 1.0


def test_a_negative_strength_that_is_traced_has_no_sign_yet() -> None:
    grown = jax.jit(lambda s: walk("sgd", "wd", "constant", (0.0, s, 1.0, 1.0)))(jnp.float32(-1.0))
    np.testing.assert_allclose(grown["scale"], START["scale"] * 2.0**6)
