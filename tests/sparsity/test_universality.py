"""Universality: the definition, rescaling, permutation, batching, selectivity."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn
from hypothesis import given, settings
from hypothesis import strategies as st

from sparsity_jax.errors import UserError
from sparsity_jax.sparsity import universality

FILTERS = 6


class Net(nn.Module):
    @nn.compact
    def __call__(self, x, train=False):
        x = nn.Conv(FILTERS, (3, 3), use_bias=False)(x)
        return nn.relu(nn.BatchNorm(use_running_average=not train)(x))


apply_fn = functools.partial(Net().apply, train=False)
IMAGES = np.random.default_rng(0).normal(size=(31, 5, 5, 2)).astype(np.float32)


def make(seed, scale=1.0):
    rng = np.random.default_rng(seed)
    gamma = rng.uniform(0.3, 1, FILTERS).astype(np.float32) * scale
    beta = rng.uniform(-3, 0, FILTERS).astype(np.float32) * scale
    gamma[0], beta[0] = 0, -1
    kernel = rng.normal(size=(3, 3, 2, FILTERS)).astype(np.float32) / 4
    return {
        "params": {"Conv_0": {"kernel": kernel}, "BatchNorm_0": {"scale": gamma, "bias": beta}},
        "batch_stats": {"BatchNorm_0": {"mean": np.zeros(FILTERS), "var": np.ones(FILTERS)}},
    }


def percent(variables, images=IMAGES, **options):
    return universality(apply_fn, variables, images, **options).layers["BatchNorm_0"]


@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 99), threshold=st.sampled_from([0.0, 1e-3, 0.3, 0.9]))
def test_is_what_the_definition_says(seed, threshold):
    variables = make(seed)
    pooled = np.asarray(Net().apply(variables, IMAGES)).max((1, 2))
    top = pooled.max(0)
    expected = [
        100 * np.mean(pooled[:, c] / top[c] > threshold) if top[c] else 0 for c in range(FILTERS)
    ]
    np.testing.assert_allclose(percent(variables, threshold=threshold), expected)


@settings(max_examples=15, deadline=None)
@given(
    seed=st.integers(0, 99),
    exponents=st.lists(st.integers(-6, 6), min_size=FILTERS, max_size=FILTERS),
)
def test_positive_rescaling_of_filters_changes_nothing(seed, exponents):
    """Powers of two are exact in floating point, so the answers are equal, not close."""
    factors = np.exp2(np.asarray(exponents, np.float32))
    np.testing.assert_array_equal(percent(make(seed)), percent(make(seed, scale=factors)))


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 99), batch_size=st.integers(1, 40))
def test_any_batch_size_gives_the_same_answer(seed, batch_size):
    whole = percent(make(seed), batch_size=31)
    np.testing.assert_allclose(percent(make(seed), batch_size=batch_size), whole, atol=1e-9)
    parts = np.split(IMAGES, [4, 4, 20])
    np.testing.assert_allclose(percent(make(seed), parts, batch_size=batch_size), whole, atol=1e-9)


@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 99), order=st.permutations(range(FILTERS)))
def test_permuting_filters_permutes_the_answer(seed, order):
    variables = make(seed)
    shuffled = jax.tree.map(lambda leaf: leaf[..., list(order)], variables)
    np.testing.assert_allclose(percent(variables)[list(order)], percent(shuffled))


def test_dead_constant_and_repeated_images():
    variables = make(0)
    variables["params"]["BatchNorm_0"]["scale"][1] = 0
    variables["params"]["BatchNorm_0"]["bias"][1] = 0.2
    found = universality(apply_fn, variables, IMAGES)
    assert found.layers["BatchNorm_0"][:2].tolist() == [0, 100]
    assert found.selectivity()["BatchNorm_0"][:2].tolist() == [100, 0]
    twice = universality(apply_fn, variables, np.concatenate([IMAGES, IMAGES]))
    np.testing.assert_allclose(twice.layers["BatchNorm_0"], found.layers["BatchNorm_0"])


def test_layers_come_in_natural_order():
    class Deep(nn.Module):
        @nn.compact
        def __call__(self, x):
            for _ in range(11):
                x = nn.BatchNorm(use_running_average=True)(nn.Conv(2, (1, 1))(x))
            return x

    variables = Deep().init(jax.random.key(0), jnp.asarray(IMAGES))
    found = universality(Deep().apply, variables, IMAGES)
    assert list(found.layers) == [f"BatchNorm_{i}" for i in range(11)]


def test_an_iterator_is_refused_because_two_passes_are_needed():
    with pytest.raises(UserError, match="an iterator can be read only once"):
        universality(apply_fn, make(0), iter([IMAGES]))
    with pytest.raises(UserError, match="threshold=-1 is not valid"):
        universality(apply_fn, make(0), IMAGES, -1)
