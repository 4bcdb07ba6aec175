"""Counts above a share of the maximum, told before the maximum is known: those told afterwards."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sparsity_jax.sparsity.share_counter import GROWTH, ShareCounter, cutoffs


@jax.jit
def afterwards(rows: jax.Array, threshold: jax.Array) -> jax.Array:
    """The definition: every value divided by the maximum of its column, on the device."""
    peak = rows.max(axis=0)
    return (rows / jnp.where(peak > 0, peak, 1) > threshold).sum(axis=0)


def pooled(seed: int, count: int) -> np.ndarray:
    """Answers of filters: over many magnitudes, dead, rare, near the share of the maximum."""
    rng = np.random.default_rng(seed)
    rows = np.exp(rng.normal(0, 3, (count, 8))).astype(np.float32)
    rows[:, 1] = 0
    rows[:, 2] *= rng.random(count) < 0.03
    rows[:, 3] = np.float32(1e-3) * (1 + np.float32(1e-7) * rng.integers(-5, 6, count))
    rows[rng.integers(count), 3] = 1
    rows[:, 4] *= np.float32(1e-6)
    return rows


def counted(rows: np.ndarray, size: int, threshold: float) -> ShareCounter:
    counter = ShareCounter(threshold)
    for start in range(0, len(rows), size):
        counter.add(rows[start : start + size])
    return counter


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 64), st.sampled_from([1e-3, 0.1, 0.5, 1.0]))
def test_batches_of_any_size_give_the_counts_of_the_whole(seed, size, threshold) -> None:
    rows = pooled(seed, 64)
    counter = counted(rows, size, threshold)
    np.testing.assert_array_equal(counter.peak, rows.max(axis=0))
    counts = counter.counts()
    if counts is not None:  # no maximum grew late
        np.testing.assert_array_equal(counts, afterwards(rows, threshold))


def test_a_maximum_that_grows_late_is_told() -> None:
    early = np.linspace(0.1, 1, 100, dtype=np.float32)[:, None]
    for factor, told in ((GROWTH / 2, True), (GROWTH * 2, False)):
        counter = counted(np.concatenate([early, early[-1:] * factor]), 100, 1e-3)
        assert (counter.counts() is not None) == told


def test_few_answers_of_a_filter_may_grow_as_they_like() -> None:
    rows = np.zeros((400, 1), np.float32)
    rows[[3, 250, 399], 0] = 1e-5, 2, 1e-2
    assert counted(rows, 100, 1e-3).counts() == afterwards(rows, 1e-3) == 2


def test_little_is_kept_and_nothing_when_asked_for_the_maximum_alone() -> None:
    rows = np.random.default_rng(0).uniform(0, 3, (50_000, 4)).astype(np.float32)
    counter = counted(rows, 500, 1e-3)
    assert 0 < counter.nbytes < rows.nbytes / 10
    counter.add(2 * rows, keep=False)
    assert counter.nbytes == 0
    np.testing.assert_array_equal(counter.peak, 2 * rows.max(axis=0))


@pytest.mark.parametrize("threshold", [1e-3, 0.3, 1.0])
def test_the_cutoff_is_the_first_value_that_passes(threshold: float) -> None:
    peak = np.exp(np.random.default_rng(1).normal(0, 5, 1000)).astype(np.float32)
    first = cutoffs(peak, threshold)
    assert first is not None
    share = jax.jit(lambda values: values / peak > threshold)
    assert share(first).all()
    assert not share(np.nextafter(first, np.float32(0))).any()


@pytest.mark.parametrize(("peak", "threshold"), [(1e-37, 1e-3), (1.0, 0.0), (3e38, 3.0)])
def test_no_cutoff_is_told_where_floats_end(peak: float, threshold: float) -> None:
    assert cutoffs(np.array([peak], np.float32), threshold) is None
