"""Balance of what moves gamma: the regularizer against the loss, before filters die.

The paper's hypothesis (Sec. 3): a filter whose features are selective gets small gradients, Adam
normalises the sum of both, and once the regularizer's part outweighs the loss's, gamma decays.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from sparsity_jax.sparsity.dynamics import NEVER, inactive_over_time

BEFORE = 5  # evaluations before a death that are looked at

Layers = Mapping[str, np.ndarray]


class Balance(NamedTuple):
    """Ratio of decay to pull of a run's filters that died, beside that of filters that live.

    Attributes:
      died: filters with a known ratio before their gamma fell below the threshold, and survivors
        in their layer to compare with.
      dying: median of their ratios over the evaluations before that; NaN if none died.
      living: median of the survivors' ratios in the same layers at the same evaluations.
      above: how many of the died had a higher ratio than the median survivor of their layer.
      risen: how many had a higher one than at the run's first evaluation.
    """

    died: int
    dying: float
    living: float
    above: int
    risen: int


def pull_ratio(decay: np.ndarray, pull: np.ndarray) -> np.ndarray:
    """Regularizer's part of gamma's gradient over the loss's.

    ratio = mean |strength * gamma| / mean |d loss / d gamma|

    Args:
      decay: mean |strength * gamma| over an interval, of any shape, as `measure.npz` keeps it.
      pull: mean |d loss / d gamma|, of the same shape.

    Returns:
      Of the same shape; inf where only the loss's part is 0, NaN where both are, or after a cut.

    Example:
      >>> pull_ratio(np.array([2e-4, 1e-4, 0.0]), np.array([1e-4, 0.0, 0.0])).tolist()
      [2.0, inf, nan]
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(decay, np.float64) / np.asarray(pull, np.float64)


def first_below(gamma: np.ndarray, threshold: float = 1e-3) -> np.ndarray:
    """First evaluation at which |gamma| is below the threshold, of filters inactive at the end.

    Unlike `dynamics.death_moments`, it does not move when a gamma flickers around the threshold.

    Args:
      gamma: (T, filters) with T of at least 1.
      threshold: largest |gamma| of an inactive filter, exclusive.

    Returns:
      int (filters,), `NEVER` for a filter that is active at the end.

    Example:
      >>> first_below(np.array([[1.0, 0.0, 1.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]])).tolist()
      [1, 0, -1]
    """
    inactive = inactive_over_time(gamma, threshold)
    return np.where(inactive[-1], inactive.argmax(axis=0), NEVER)


def aligned(values: np.ndarray, moments: np.ndarray, *, before: int, after: int) -> np.ndarray:
    """Series of filters, shifted so that each one's moment stands in the same column.

    aligned[i, before + k] = values[moments[i] + k, i],  NaN outside of the series

    Args:
      values: (T, filters).
      moments: (filters,), an evaluation each; filters with `NEVER` are left out.
      before: evaluations before the moment.
      after: evaluations after it.

    Returns:
      float (filters with a moment, before + 1 + after).

    Example:
      >>> aligned(np.array([[1.0], [2.0], [3.0]]), np.array([2]), before=1, after=1).tolist()
      [[2.0, 3.0, nan]]
    """
    (chosen,) = np.nonzero(moments != NEVER)
    times = moments[chosen, None] + np.arange(-before, after + 1)
    there = (times >= 0) & (times < len(values))
    found = values[np.clip(times, 0, len(values) - 1), chosen[:, None]]
    return np.where(there, found, np.nan)


def ratio_at_death(
    gamma: Layers, ratio: Layers, *, before: int, after: int
) -> tuple[np.ndarray, np.ndarray]:
    """Ratios around each death, and the median survivor's of its layer at the same evaluations.

    Args:
      gamma: layer -> (T, filters).
      ratio: layer -> (T, filters), as `pull_ratio` gives it.
      before: evaluations before the one at which |gamma| was first below 1e-3.
      after: evaluations after it.

    Returns:
      Two arrays (filters that died, before + 1 + after) of a network's layers one after the other;
      NaN outside of the series, and in the second where a layer has no survivor.
    """
    died, lived = [], []
    for layer, values in gamma.items():
        moments = first_below(values)
        died.append(aligned(ratio[layer], moments, before=before, after=after))
        survivors = ratio[layer][:, moments == NEVER]
        known = survivors.shape[1] > 0
        middle = np.median(survivors, axis=1) if known else np.full(len(values), np.nan)
        everywhere = np.broadcast_to(middle[:, None], values.shape)
        lived.append(aligned(everywhere, moments, before=before, after=after))
    return np.concatenate(died), np.concatenate(lived)


def balance_before_death(gamma: Layers, ratio: Layers, *, before: int = BEFORE) -> Balance:
    """Compare the ratio of filters that will die with that of filters that will not.

    Args:
      gamma: layer -> (T, filters).
      ratio: layer -> (T, filters), as `pull_ratio` gives it.
      before: evaluations before |gamma| is first below 1e-3; a filter's number is its median.

    Example:
      >>> gamma = {"C1": np.array([[1.0, 1.0], [0.5, 1.0], [0.0, 1.0]])}
      >>> ratio = {"C1": np.array([[0.1, 0.1], [0.9, 0.2], [9.0, 0.2]])}
      >>> balance_before_death(gamma, ratio, before=1)
      Balance(died=1, dying=0.9, living=0.2, above=1, risen=1)
    """
    dying, living = (
        _row_medians(values[:, :before])
        for values in ratio_at_death(gamma, ratio, before=before, after=0)
    )
    started = np.concatenate([ratio[name][0, first_below(gamma[name]) != NEVER] for name in gamma])
    known = ~np.isnan(dying) & ~np.isnan(living)
    dying, living, started = dying[known], living[known], started[known]
    return Balance(
        died=len(dying),
        dying=float(np.median(dying)) if len(dying) else np.nan,
        living=float(np.median(living)) if len(living) else np.nan,
        above=int((dying > living).sum()),
        risen=int((dying > started).sum()),
    )


def _row_medians(values: np.ndarray) -> np.ndarray:
    """Median of each row's numbers; NaN for a row without any."""
    rows = [row[~np.isnan(row)] for row in values]
    return np.array([np.median(row) if len(row) else np.nan for row in rows])


def selectivity_correlation(
    gamma: Layers, ratio: Layers, universality: Layers
) -> tuple[float, int]:
    """Rank correlation of the ratio with selectivity among the filters active at the end.

    Spearman's rho of (ratio at the last evaluation, 100 - universality), layer by layer, averaged
    with the layers' numbers of filters as weights. Layers in which either is the same for all
    filters, or with fewer than three of them, are left out.

    Args:
      gamma: layer -> (T, filters).
      ratio: layer -> (T, filters), as `pull_ratio` gives it.
      universality: layer -> (filters,) in percent.

    Returns:
      (rho in [-1, 1], filters it is of); (NaN, 0) where there are none.

    Example:
      >>> gamma, ratio = {"C1": np.ones((1, 3))}, {"C1": np.array([[0.1, 0.2, 0.3]])}
      >>> rho, count = selectivity_correlation(gamma, ratio, {"C1": np.array([90.0, 50.0, 10.0])})
      >>> round(rho, 6), count
      (1.0, 3)
    """
    from scipy.stats import rankdata  # takes a while to import

    total, count = 0.0, 0
    for layer, values in gamma.items():
        now = ratio[layer][-1]
        chosen = ~inactive_over_time(values)[-1] & np.isfinite(now)
        pair = now[chosen], 100 - universality[layer][chosen]
        if chosen.sum() < 3 or any(np.ptp(each) == 0 for each in pair):
            continue
        ranks = [rankdata(each) for each in pair]
        total += float(np.corrcoef(ranks)[0, 1]) * int(chosen.sum())
        count += int(chosen.sum())
    return (total / count, count) if count else (float("nan"), 0)
