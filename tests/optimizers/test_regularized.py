"""What must hold between regularizers, modes and rates, whatever the numbers?"""

from dataclasses import dataclass
from typing import Any

import hypothesis.strategies as st
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from hypothesis import given, settings
from jax.flatten_util import ravel_pytree

from sparsity_jax.optimizers import OPTIMIZERS, WD_MODES, default_learning_rate, make_optimizer
from sparsity_jax.optimizers.schedules import step_schedule

KEYS = jax.random.split(jax.random.key(0), 2)
START: Any = {
    "C1": {
        "conv": {"kernel": jax.random.normal(KEYS[0], (2, 3))},
        "norm": {"scale": jnp.array([1.0, 0.5, -0.2]), "bias": jnp.array([0.3, -0.1, 0.9])},
    },
    "F1": {"dense": {"bias": jnp.array([0.7])}},
}
SIZE = 13
GRADIENTS = jax.random.normal(KEYS[1], (12, SIZE)) * 10.0 ** -jnp.arange(SIZE)
KINDS = [("none", "schedule"), ("l2", "schedule"), *(("wd", mode) for mode in WD_MODES)]
strengths = st.floats(1e-6, 0.1)


def build(name: str, regularizer: str, strength: Any, **options: Any) -> Any:
    """The optimizer at its default learning rate."""
    rate = options.pop("learning_rate", default_learning_rate(name))
    return make_optimizer(name, rate, regularizer, strength, **options)


def walk(optimizer: Any, gradients: jax.Array = GRADIENTS, params: Any = None) -> Any:
    """Parameters after a number of steps, op by op compiled as one program."""
    params = START if params is None else params
    unflatten = ravel_pytree(START)[1]

    def step(carry: Any, gradient: jax.Array) -> Any:
        params, state = carry
        updates, state = optimizer.update(unflatten(gradient), state, params)
        return (optax.apply_updates(params, updates), state), None

    return jax.lax.scan(step, (params, optimizer.init(params)), gradients)[0][0]


def assert_equal(one: Any, other: Any) -> None:
    """Every leaf is the same, bit for bit."""
    jax.tree.map(np.testing.assert_array_equal, one, other)


def assert_close(one: Any, other: Any, rtol: float = 1e-6, atol: float = 1e-7) -> None:
    """Every leaf agrees to a tolerance."""
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol, atol), one, other)


@pytest.mark.parametrize("zero", [0.0, jnp.zeros([])], ids=["number", "array"])
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_strength_zero_is_no_regularizer(name: str, zero: Any) -> None:
    """Bit for bit, operation by operation; a compiler may still fuse them differently."""
    none = build(name, "none", 1.0)
    params, state = START, none.init(START)
    others = [build(name, kind, zero, wd_mode=mode) for kind, mode in KINDS]
    states = [other.init(START) for other in others]
    for _ in range(3):
        gradient = jax.tree.map(jnp.cos, params)
        updates, state = none.update(gradient, state, params)
        for index, other in enumerate(others):
            theirs, states[index] = other.update(gradient, states[index], params)
            assert_equal(theirs, updates)
        params = optax.apply_updates(params, updates)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_l2_is_the_rule_applied_to_the_sum_of_both_gradients(name: str) -> None:
    l2, none = build(name, "l2", 0.25), build(name, "none", 0.0)
    params, state, plain = START, l2.init(START), none.init(START)
    for _ in range(3):
        gradient = jax.tree.map(jnp.cos, params)
        updates, state = l2.update(gradient, state, params)
        total = jax.tree.map(lambda g, p: g + 0.25 * p, gradient, params)
        expected, plain = none.update(total, plain, params)
        assert_equal(updates, expected)
        params = optax.apply_updates(params, updates)


@pytest.mark.parametrize("mode", WD_MODES)
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_weight_decay_is_one_factor_on_every_parameter(name: str, mode: str) -> None:
    wd = build(name, "wd", 0.25, wd_mode=mode, learning_rate=0.1)
    none = build(name, "none", 0.0, learning_rate=0.1)
    gradient = jax.tree.map(jnp.cos, START)
    decayed = optax.apply_updates(START, wd.update(gradient, wd.init(START), START)[0])
    update = none.update(gradient, none.init(START), START)[0]
    factor = 1 - 0.25 * (0.1 if mode == "lr" else 1.0)
    assert_close(decayed, jax.tree.map(lambda p, u: factor * p + u, START, update), rtol=1e-5)
    # The paper's sentence multiplies after the update: the difference is decay * update.
    paper = jax.tree.map(lambda p, u: factor * (p + u), START, update)
    gap = jax.tree.map(lambda a, b: a - b, decayed, paper)
    assert_close(gap, jax.tree.map(lambda u: (1 - factor) * u, update), rtol=1e-4)


@given(strength=strengths, rate=st.floats(1e-3, 1.0))
@settings(max_examples=10, deadline=None)
def test_the_first_step_of_sgd_with_l2_is_that_of_adamw_style_decay(
    strength: float, rate: float
) -> None:
    gradient = jax.tree.map(jnp.cos, START)
    l2 = build("sgd", "l2", strength, learning_rate=rate)
    wd = build("sgd", "wd", strength, learning_rate=rate, wd_mode="lr")
    one, other = (it.update(gradient, it.init(START), START)[0] for it in (l2, wd))
    assert_close(one, other)


@pytest.mark.parametrize("strength", [1e-4, 1e-3])
def test_sgd_decays_alike_with_l2_and_weight_decay(strength: float) -> None:
    """At the base rate, lr * strength / (1 - momentum) = strength (protocol, Sec. 1)."""
    quiet = jnp.zeros((2000, SIZE))
    l2, wd = (walk(build("sgd", kind, strength), quiet) for kind in ("l2", "wd"))
    rates = jax.tree.map(lambda a, b, p: jnp.log(a / p) / jnp.log(b / p), l2, wd, START)
    assert_close(rates, jax.tree.map(jnp.ones_like, rates), rtol=0.02)


def test_schedule_mode_is_constant_mode_until_the_drop_and_weaker_after() -> None:
    schedule = step_schedule(((5, 0.1),))
    quiet = jnp.zeros((12, SIZE))
    one, other = (
        build("adam", "wd", 0.5, schedule=schedule, wd_mode=mode)
        for mode in ("schedule", "constant")
    )
    assert_equal(walk(one, GRADIENTS[:5]), walk(other, GRADIENTS[:5]))
    expected = jax.tree.map(lambda p: p * 0.5**5 * 0.95**7, START)
    assert_close(walk(one, quiet), expected)
    assert_close(walk(other, quiet), jax.tree.map(lambda p: p * 0.5**12, START))


@pytest.mark.parametrize(("kind", "mode"), KINDS)
@pytest.mark.parametrize("name", ["sgd", "adam", "adadelta"])
def test_training_in_parts_is_training_in_one(name: str, kind: str, mode: str) -> None:
    optimizer = build(name, kind, 0.1, wd_mode=mode, schedule=step_schedule(((5, 0.1),)))
    unflatten = ravel_pytree(START)[1]
    params, state = START, optimizer.init(START)
    for gradient in GRADIENTS:
        # The state alone, through NumPy as a checkpoint would carry it, knows the step.
        state = jax.tree.map(np.asarray, state)
        updates, state = optimizer.update(unflatten(gradient), state, params)
        params = optax.apply_updates(params, updates)
    assert_close(params, walk(optimizer))


@pytest.mark.parametrize(("kind", "mode"), KINDS)
def test_lr_scales_touch_gamma_and_beta_only(kind: str, mode: str) -> None:
    gradient = jax.tree.map(jnp.cos, START)
    whole = build("adam", kind, 0.5, wd_mode=mode)
    parts = build("adam", kind, 0.5, wd_mode=mode, gamma_lr_scale=0.1, beta_lr_scale=0.0)
    one = whole.update(gradient, whole.init(START), START)[0]
    two = parts.update(gradient, parts.init(START), START)[0]
    assert_equal(two["C1"]["conv"], one["C1"]["conv"])
    assert_equal(two["F1"], one["F1"])
    # Decay that contains no learning rate is not scaled; everything else is.
    unscaled = 0.5 if kind == "wd" and mode != "lr" else 0.0
    for leaf, scale in (("scale", 0.1), ("bias", 0.0)):
        fixed = -unscaled * START["C1"]["norm"][leaf]
        expected = scale * (one["C1"]["norm"][leaf] - fixed) + fixed
        assert_close(two["C1"]["norm"][leaf], expected)


def test_lr_scales_are_found_in_attributes_too() -> None:
    @jax.tree_util.register_dataclass
    @dataclass
    class Norm:
        scale: jax.Array
        bias: jax.Array

    optimizer = build("sgd", "none", 0.0, gamma_lr_scale=0.5, beta_lr_scale=0.25)
    norm = Norm(jnp.ones(2), jnp.ones(2))
    update = optimizer.update(norm, optimizer.init(norm), norm)[0]
    assert_close(update, Norm(jnp.full(2, -0.05), jnp.full(2, -0.025)))
