"""Balance of gamma's two parts before deaths, against loops by hand."""

import doctest

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis.extra import numpy as arrays

from sparsity_jax.sparsity import balance
from sparsity_jax.sparsity.balance import (
    aligned,
    balance_before_death,
    first_below,
    pull_ratio,
    ratio_at_death,
    selectivity_correlation,
)
from sparsity_jax.sparsity.dynamics import NEVER, death_moments

HISTORIES = arrays.arrays(
    np.float32,
    arrays.array_shapes(min_dims=2, max_dims=2, max_side=7),
    elements=st.sampled_from([0.0, 5e-4, -5e-4, 1e-3, -1e-3, 0.5, -2.0]),
)


def test_documented_examples_hold():
    assert doctest.testmod(balance).failed == 0


@given(HISTORIES)
@settings(deadline=None)
def test_a_first_crossing_is_no_later_than_the_death(gamma):
    first, death = first_below(gamma), death_moments(gamma)
    np.testing.assert_array_equal(first == NEVER, death == NEVER)
    assert (first <= death).all()
    for c in np.flatnonzero(first != NEVER):
        low = [t for t, value in enumerate(gamma[:, c]) if abs(value) < np.float32(1e-3)]
        assert first[c] == low[0]


@given(HISTORIES, st.integers(0, 4), st.integers(0, 3))
@settings(deadline=None)
def test_aligned_series_are_shifted_and_nothing_else(values, before, after):
    moments = first_below(values)
    found = aligned(values, moments, before=before, after=after)
    dead = np.flatnonzero(moments != NEVER)
    assert found.shape == (len(dead), before + 1 + after)
    for row, c in zip(found, dead, strict=True):
        for k, value in enumerate(row):
            time = moments[c] - before + k
            if 0 <= time < len(values):
                assert value == values[time, c]
            else:
                assert np.isnan(value)


def test_dying_filters_are_compared_with_survivors_of_their_own_layer():
    time = np.arange(6)[:, None]
    falls = np.where(time < 4, 1.0, 1e-5)
    gamma = {"C1": np.hstack([falls, np.ones((6, 3))]), "C2": np.ones((6, 2)), "C3": falls}
    ratio = {
        "C1": np.hstack([0.1 * (1 + time), np.full((6, 3), 0.2)]),
        "C2": np.full((6, 2), 50.0),  # no filter died there
        "C3": 0.1 * (1 + time),  # no filter lives there
    }
    died, lived = ratio_at_death(gamma, ratio, before=2, after=1)
    np.testing.assert_allclose(died, [[0.3, 0.4, 0.5, 0.6]] * 2)
    np.testing.assert_array_equal(lived, [[0.2] * 4, [np.nan] * 4])
    found = balance_before_death(gamma, ratio, before=2)
    assert found._replace(dying=0, living=0) == (1, 0, 0, 1, 1)
    assert (found.dying, found.living) == pytest.approx((0.35, 0.2))


def test_without_deaths_there_is_nothing_to_compare():
    found = balance_before_death({"C1": np.ones((3, 2))}, {"C1": np.ones((3, 2))})
    assert (found.died, found.above, found.risen) == (0, 0, 0)
    assert np.isnan([found.dying, found.living]).all()


def test_the_ratio_is_that_of_the_two_parts():
    decay, pull = np.array([[1.0, np.nan, 0.0, 2.0]]), np.array([[4.0, np.nan, 0.0, 0.0]])
    np.testing.assert_array_equal(pull_ratio(decay, pull), [[0.25, np.nan, np.nan, np.inf]])


@given(st.permutations(range(6)))
@settings(deadline=None)
def test_the_correlation_is_of_ranks_and_of_active_filters(order):
    ratio = {"C1": np.array([[*order, 1e9]], float)}
    gamma = {"C1": np.array([[1.0] * 6 + [0.0]])}  # the last one is inactive
    universality = {"C1": np.array([*(100 - np.exp(np.array(order, float)) / 9), 100.0])}
    assert selectivity_correlation(gamma, ratio, universality) == (pytest.approx(1.0), 6)
    opposite = {"C1": 100 - universality["C1"]}
    assert selectivity_correlation(gamma, ratio, opposite) == (pytest.approx(-1.0), 6)
    rho, count = selectivity_correlation(gamma, ratio, {"C1": np.full(7, 5.0)})
    assert np.isnan(rho)
    assert count == 0
