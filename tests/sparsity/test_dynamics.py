"""Deaths and revivals, against a plain loop and under the symmetries they must have."""

import doctest

import hypothesis.strategies as st
import numpy as np
from hypothesis import given
from hypothesis.extra import numpy as arrays

from sparsity_jax.sparsity import dynamics
from sparsity_jax.sparsity.dynamics import NEVER, alive_pct, death_moments, fates, revivals

HISTORIES = arrays.arrays(
    np.float32,
    arrays.array_shapes(min_dims=2, max_dims=2, max_side=7),
    elements=st.sampled_from([0.0, 5e-4, -5e-4, 1e-3, -1e-3, 0.5, -2.0]),
)


def by_hand(values):
    """One filter's death and revivals, told moment by moment."""
    death, back = NEVER, 0
    for moment, value in enumerate(values):
        if abs(value) < np.float32(1e-3):
            death = moment if death == NEVER else death
        else:
            back += death != NEVER
            death = NEVER
    return death, back


@given(HISTORIES)
def test_a_filter_dies_when_it_stays_inactive_to_the_end(gamma):
    expected = [by_hand(gamma[:, filter_]) for filter_ in range(gamma.shape[1])]
    assert death_moments(gamma).tolist() == [death for death, _ in expected]
    assert revivals(gamma).tolist() == [back for _, back in expected]


@given(HISTORIES)
def test_the_dead_are_those_missing_from_the_last_alive(gamma):
    alive = alive_pct(gamma)
    assert np.isclose(alive[-1], 100 * np.mean(death_moments(gamma) == NEVER))
    assert len(alive) == len(gamma)


@given(HISTORIES, st.randoms(use_true_random=False))
def test_filters_do_not_see_each_other(gamma, random):
    order = list(range(gamma.shape[1]))
    random.shuffle(order)
    np.testing.assert_array_equal(death_moments(gamma[:, order]), death_moments(gamma)[order])
    np.testing.assert_array_equal(revivals(gamma[:, order]), revivals(gamma)[order])


@given(HISTORIES)
def test_a_network_is_the_sum_of_its_layers(gamma):
    steps = 10 * np.arange(1, len(gamma) + 1)
    whole, halves = fates({"C1": gamma}, steps), fates({"C1": gamma, "C2": gamma}, steps)
    assert (halves.filters, halves.dead) == (2 * whole.filters, 2 * whole.dead)
    assert halves.revivals == 2 * whole.revivals
    assert (halves.half, halves.last) == (whole.half, whole.last)
    moments = death_moments(gamma)
    assert whole.last == (steps[moments.max()] if whole.dead else NEVER)
    by_half = np.sum((moments != NEVER) & (10 * (moments + 1) <= whole.half))
    assert not whole.dead or 2 * by_half >= whole.dead


def test_a_diverged_filter_is_not_dead():
    assert death_moments(np.array([[1.0], [np.nan]])).tolist() == [NEVER]


def test_printed_examples_hold():
    result = doctest.testmod(dynamics, extraglobs={"np": np})
    assert result.attempted > 0
    assert result.failed == 0
