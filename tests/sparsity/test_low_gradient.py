"""The simulated scalar against what the paper says about small gradients (Figs. 4 and S3)."""

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
    """Median size of the scalars over time: (strengths, steps + 1), in one program."""

    def path(strength: jax.Array) -> jax.Array:
        rate = default_learning_rate(name)
        optimizer = make_optimizer(name, rate, regularizer, strength)
        return jnp.median(jnp.abs(simulate(optimizer, START, GRADIENTS)), axis=1)

    return np.asarray(jax.jit(jax.vmap(path))(strengths))


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


OTHERS = (("adam", "wd"), ("sgd", "l2"), ("sgd", "wd"))


@pytest.fixture(scope="module")
def adam_l2() -> np.ndarray:
    """The paths of Adam with L2 of 1e-5, 1e-4 and 1e-3."""
    return paths("adam", "l2", jnp.array([1e-5, 1e-4, 1e-3]))


@pytest.mark.parametrize(("name", "regularizer"), OTHERS)
def test_adam_with_l2_decays_faster_on_the_whole_way(
    name: str, regularizer: str, adam_l2: np.ndarray
) -> None:
    """The paper's sentence on Fig. 4 for equal strengths up to 1e-3, as means over all steps.

    At 1e-2 it cannot hold: Adam moves by its learning rate, 1e-3 a step, whatever the strength.
    """
    others = paths(name, regularizer, jnp.array([1e-5, 1e-4, 1e-3, 1e-2]))
    ratios = adam_l2.mean(axis=1) / others[:3].mean(axis=1)
    assert np.all(ratios < [0.65, 0.42, 0.72])
    assert adam_l2[-1].mean() > others[-1].mean()


@pytest.mark.parametrize(("name", "regularizer"), OTHERS)
def test_adam_with_l2_decays_faster_even_at_a_tenth_of_the_strength(
    name: str, regularizer: str, adam_l2: np.ndarray
) -> None:
    """The same sentence, "even for smaller regularizer values": over the way at 1e-5 against 1e-4.

    At 1e-4 against 1e-3 the first phase still counts: the means are equal within a tenth, and from
    a point before the middle on Adam with L2 stays below.
    """
    others = paths(name, regularizer, jnp.array([1e-4, 1e-3]))
    weak, strong = adam_l2[:2].mean(axis=1) / others.mean(axis=1)
    assert weak < 0.72
    assert 0.9 < strong < 1.1
    assert np.all(adam_l2[:2, 1500:] < others[:, 1500:])
    assert np.all(adam_l2[:2, -1] < 0.25 * others[:, -1])


def test_amsgrad_dampens_what_adam_does(adam_l2: np.ndarray) -> None:
    """Supplement, "Sparsity with AMSGrad": a long memory of large gradients dampens L2."""
    strengths = jnp.array([1e-4, 1e-3])
    amsgrad, rmsprop = paths("amsgrad", "l2", strengths), paths("rmsprop", "l2", strengths)
    assert np.all(amsgrad.mean(axis=1) > 1.5 * adam_l2[1:].mean(axis=1))
    assert np.all(amsgrad[:, -1] > [0.6, 0.05])
    assert np.all(adam_l2[1:, -1] < 0.01)
    assert np.all(rmsprop[:, -1] < 0.01)


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
