"""Does the forecast agree with closed forms, with simulation and with the paper's argument?"""

import doctest
from typing import Any

import hypothesis.strategies as st
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from hypothesis import given, settings

from sparsity_jax.optimizers import OPTIMIZERS, default_learning_rate, make_optimizer
from sparsity_jax.sparsity import forecast
from sparsity_jax.sparsity.forecast import NEVER, slots_of, steady_state, steps_to_inactive
from sparsity_jax.sparsity.low_gradient import simulate

GAMMA = jnp.array([1.0, -0.5, 0.1, 0.01, 5e-4, 0.0])


def build(name: str, regularizer: str, strength: float) -> Any:
    """The optimizer at its default learning rate."""
    return make_optimizer(name, default_learning_rate(name), regularizer, strength)


def steps(name: str, regularizer: str, strength: float, **options: Any) -> np.ndarray:
    """Forecast for GAMMA."""
    return np.asarray(steps_to_inactive(build(name, regularizer, strength), GAMMA, **options))


@jax.jit
def sgd_weight_decay(gamma: jax.Array, strength: jax.Array) -> jax.Array:
    """One program for all examples of the property test."""
    return steps_to_inactive(make_optimizer("sgd", 0.1, "wd", strength), gamma)


@given(gamma=st.floats(1e-4, 5.0), strength=st.floats(1e-3, 0.3))
@settings(max_examples=40, deadline=None)
def test_weight_decay_takes_the_logarithm(gamma: float, strength: float) -> None:
    n = int(sgd_weight_decay(jnp.array([gamma]), jnp.float32(strength))[0])
    exact = max(0.0, np.log(1e-3 / gamma) / np.log1p(-strength))
    assert abs(n - np.ceil(exact)) <= 1


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_weight_decay_does_not_depend_on_the_optimizer(name: str) -> None:
    np.testing.assert_array_equal(steps(name, "wd", 1e-3), steps("sgd", "wd", 1e-3))


@pytest.mark.parametrize("strength", [1e-3, 1e-2])
def test_sgd_with_l2_is_a_linear_recurrence(strength: float) -> None:
    """buffer <- 0.9 buffer + strength gamma, gamma <- gamma - 0.1 buffer, in double precision."""
    for gamma, n in zip(GAMMA.tolist(), steps("sgd", "l2", strength), strict=True):
        buffer, count = strength * gamma / (1 - 0.9), 0
        while abs(gamma) >= 1e-3:
            buffer = 0.9 * buffer + strength * gamma
            gamma, count = gamma - 0.1 * buffer, count + 1
        assert abs(n - count) <= 1


def test_adam_with_l2_moves_by_its_learning_rate_whatever_the_strength() -> None:
    """At least (gamma - threshold) / lr steps; a little more because its memory lags behind."""
    least = (1.0 - 0.5) / 1e-3
    for strength in (1e-4, 1e-2):
        (n,) = steps_to_inactive(build("adam", "l2", strength), jnp.ones(1), threshold=0.5)
        assert least <= int(n) <= 1.15 * least
    np.testing.assert_allclose(steps("adam", "l2", 1e-4), steps("adam", "l2", 1e-2), atol=2)


@pytest.mark.parametrize("strength", [1e-5, 1e-4, 1e-3])
def test_adam_with_l2_is_faster_than_weight_decay_and_sgd(strength: float) -> None:
    """Paper, Sec. 3: "even for smaller regularizer values", here against ones up to 1e-3."""
    adam_l2 = steps("adam", "l2", strength)[:3]
    for rival in (("adam", "wd"), ("sgd", "l2"), ("sgd", "wd")):
        assert np.all(adam_l2 < 0.5 * steps(*rival, 1e-3)[:3]), rival


@pytest.mark.parametrize("regularizer", ["l2", "wd"])
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_the_forecast_is_the_first_crossing_of_a_simulation(name: str, regularizer: str) -> None:
    optimizer = build(name, regularizer, 1e-2)
    path = np.abs(simulate(optimizer, GAMMA, jnp.zeros((800, GAMMA.size))))
    below = path < 1e-3
    expected = np.where(below.any(0), below.argmax(0), NEVER)
    fresh = optimizer.init(GAMMA)
    n = steps_to_inactive(optimizer, GAMMA, max_steps=800, state=fresh)
    np.testing.assert_array_equal(n, expected)


@pytest.mark.parametrize("regularizer", ["l2", "wd"])
def test_stronger_and_closer_is_sooner(regularizer: str) -> None:
    """Over strengths and over gamma; ten strengths share one program.

    SGD + L2 overshoots zero from strength (1 - sqrt(0.9))^2 / 0.1 = 0.026 on; stay below.
    """
    traces = []

    @jax.jit
    @jax.vmap
    def run(strength: jax.Array) -> jax.Array:
        traces.append(strength)
        return steps_to_inactive(make_optimizer("sgd", 0.1, regularizer, strength), GAMMA)

    n = np.asarray(run(jnp.logspace(-3, -2, 10)))
    assert len(traces) == 1
    assert np.all(np.diff(n[:, :4], axis=0) < 0)
    assert np.all(np.diff(n[:, :4], axis=1) < 0)
    np.testing.assert_array_equal(n[:, 4:], 0)
    np.testing.assert_array_equal(n[0], steps("sgd", regularizer, 1e-3))


def test_without_a_regularizer_nothing_dies() -> None:
    n = steps("adam", "none", 0.0, max_steps=50)
    np.testing.assert_array_equal(n, [NEVER, NEVER, NEVER, NEVER, 0, 0])


def test_a_real_state_gives_the_true_remaining_time() -> None:
    """Train a filter with gradients, then without: the forecast made at the switch comes true."""
    params: Any = {"C1": {"norm": {"scale": jnp.array([0.3, 0.6]), "bias": jnp.zeros(2)}}}
    optimizer = build("adam", "l2", 1e-3)
    state, quiet = optimizer.init(params), jax.tree.map(jnp.zeros_like, params)
    update = jax.jit(optimizer.update)
    for step in range(50):
        gradient = jax.tree.map(lambda p, s=step: 1e-2 * jnp.cos(p + s), params)
        updates, state = update(gradient, state, params)
        params = optax.apply_updates(params, updates)
    gamma = params["C1"]["norm"]["scale"]
    alone = slots_of(state, params, lambda tree: tree["C1"]["norm"]["scale"])
    n = steps_to_inactive(optimizer, gamma, threshold=0.25, state=alone)
    for count in range(1, int(n.max()) + 1):
        updates, state = update(quiet, state, params)
        params = optax.apply_updates(params, updates)
        inactive = np.abs(params["C1"]["norm"]["scale"]) < 0.25
        np.testing.assert_array_equal(inactive, np.asarray(n) <= count)
    # A memory of larger gradients makes Adam slower than its quiet self.
    assert np.all(np.asarray(n) > np.asarray(steps_to_inactive(optimizer, gamma, threshold=0.25)))


def test_settled_slots_are_the_steady_state() -> None:
    gamma, strength = jnp.array([1.0, 0.2]), 1e-2
    sgd = jax.tree.leaves(steady_state(build("sgd", "l2", strength), gamma))
    assert any(np.allclose(leaf, strength * gamma / (1 - 0.9)) for leaf in sgd)
    adam = jax.tree.leaves(steady_state(build("adam", "l2", strength), gamma))
    assert any(np.allclose(leaf, strength * gamma, rtol=1e-3) for leaf in adam)
    assert any(np.allclose(leaf, (strength * gamma) ** 2, rtol=1e-3, atol=0) for leaf in adam)
    quiet = jax.tree.leaves(steady_state(build("adam", "wd", strength), gamma))
    assert all(np.all(leaf == 0) for leaf in quiet if leaf.shape)


def test_printed_examples_hold() -> None:
    result = doctest.testmod(forecast, extraglobs={"jnp": jnp})
    assert result.attempted > 0
    assert result.failed == 0
