"""Does the simulation show what the paper says about small gradients (Fig. 4, S3)?"""

import doctest

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from sparsity_jax.optimizers import OPTIMIZERS, default_learning_rate, make_optimizer
from sparsity_jax.sparsity import low_gradient
from sparsity_jax.sparsity.low_gradient import fading_gradients, simulate

GRADIENTS = fading_gradients(jax.random.key(0), scalars=16)
START = jnp.ones(16)


def paths(name: str, regularizer: str, strengths: jax.Array) -> np.ndarray:
    """Median size of the scalars at the end, one value per strength, in one program."""

    def end(strength: jax.Array) -> jax.Array:
        rate = default_learning_rate(name)
        optimizer = make_optimizer(name, rate, regularizer, strength)
        return jnp.median(jnp.abs(simulate(optimizer, START, GRADIENTS)[-1]))

    return np.asarray(jax.jit(jax.vmap(end))(strengths))


def test_gradients_have_the_deviation_of_their_phase() -> None:
    drawn = fading_gradients(jax.random.key(1), scalars=400, phases=((50, 1e-1), (150, 1e-5)))
    assert drawn.shape == (200, 400)
    np.testing.assert_allclose(drawn[:50].std(), 1e-1, rtol=0.05)
    np.testing.assert_allclose(drawn[50:].std(), 1e-5, rtol=0.05)
    assert abs(float(drawn[:50].mean())) < 4 * 1e-1 / np.sqrt(50 * 400)


def test_scalars_do_not_see_each_other() -> None:
    optimizer = make_optimizer("adam", 1e-3, "l2", 1e-3)
    start = jnp.linspace(0.1, 1.0, 16)
    together = simulate(optimizer, start, GRADIENTS[:50])
    order = jnp.arange(16)[::-1]
    swapped = simulate(optimizer, start[order], GRADIENTS[:50, order])
    np.testing.assert_array_equal(swapped, together[:, order])
    alone = simulate(optimizer, start[3:4], GRADIENTS[:50, 3:4])
    np.testing.assert_allclose(alone[:, 0], together[:, 3], rtol=1e-6)


def test_in_parts_is_in_one_for_a_rule_without_memory() -> None:
    optimizer = make_optimizer("adagrad", 0.0, "wd", 0.01)
    whole = simulate(optimizer, START, GRADIENTS[:20])
    first = simulate(optimizer, START, GRADIENTS[:10])
    np.testing.assert_array_equal(simulate(optimizer, first[-1], GRADIENTS[10:20]), whole[10:])


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_weight_decay_is_the_same_exponential_for_every_optimizer(name: str) -> None:
    optimizer = make_optimizer(name, default_learning_rate(name), "wd", 1e-2)
    path = simulate(optimizer, START, jnp.zeros((200, 16)))
    np.testing.assert_allclose(path[:, 0], 0.99 ** np.arange(201), rtol=1e-5)


def test_adam_with_l2_decays_faster_even_at_smaller_strengths() -> None:
    """The paper's sentence on Fig. 4, strengths ten times smaller on the left."""
    small, large = jnp.array([1e-5, 1e-4]), jnp.array([1e-4, 1e-3])
    adam_l2 = paths("adam", "l2", small)
    for name, regularizer in (("adam", "wd"), ("sgd", "l2"), ("sgd", "wd")):
        assert np.all(adam_l2 < 0.5 * paths(name, regularizer, large)), (name, regularizer)


def test_amsgrad_dampens_what_adam_does() -> None:
    """Supplement, "Sparsity with AMSGrad": a long memory of large gradients dampens L2."""
    strengths = jnp.array([1e-4, 1e-3])
    assert np.all(paths("amsgrad", "l2", strengths) > 0.9)
    assert np.all(paths("adam", "l2", strengths) < 0.01)
    assert np.all(paths("rmsprop", "l2", strengths) < 0.01)


@pytest.mark.parametrize("sigma", [1e-4, 1e-2])
def test_noise_sets_the_rate_of_adam_with_l2(sigma: float) -> None:
    """Where noise dominates, L2 costs lr * strength / sigma a step; weight decay costs strength.

    So Adam + L2 beats weight decay only where gradients are smaller than the learning rate. The
    noise itself cancels: runs with and without L2 see the same gradients.
    """
    strength, steps, rate = 1e-2 * sigma, 1500, 1e-3
    noise = fading_gradients(jax.random.key(2), scalars=64, phases=((steps, sigma),))
    start = jnp.ones(64)
    none = simulate(make_optimizer("adam", rate, "none", 0.0), start, noise)[-1]
    l2 = simulate(make_optimizer("adam", rate, "l2", strength), start, noise)[-1]
    per_step = float(jnp.mean(none - l2)) / steps
    np.testing.assert_allclose(per_step, rate * strength / sigma, rtol=0.1)
    assert (per_step > strength) == (sigma < rate)


def test_printed_examples_hold() -> None:
    result = doctest.testmod(low_gradient, extraglobs={"jnp": jnp})
    assert result.attempted > 0
    assert result.failed == 0
