"""Filters over time: from when on each is inactive, and which become active again."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

NEVER = -1
"""Moment of a filter that is active at the end."""


@dataclasses.dataclass(frozen=True)
class Fates:
    """Summary of a run's filters over time.

    Attributes:
      filters: how many there are.
      dead: how many are inactive at the end.
      half: step from which on half of these stayed inactive; NEVER if there is none.
      last: step from which on the last of them stayed inactive; NEVER if there is none.
      revivals: how often a filter was inactive and active again at the next evaluation.
    """

    filters: int
    dead: int
    half: int
    last: int
    revivals: int


def inactive_over_time(gamma: np.ndarray, threshold: float = 1e-3) -> np.ndarray:
    """Inactive filters at each evaluation.

    inactive[t, filter] = |gamma[t, filter]| < threshold; NaN is not inactive.

    Args:
      gamma: (T, filters), as `measure.npz` keeps it.
      threshold: the paper's 1e-3 (Sec. 2.1).

    Returns:
      Boolean (T, filters).

    Example:
      >>> inactive_over_time(np.array([[1.0, 0.1], [0.0, 0.1]])).tolist()
      [[False, False], [True, False]]
    """
    return np.abs(np.asarray(gamma)) < threshold


def alive_pct(gamma: np.ndarray, threshold: float = 1e-3) -> np.ndarray:
    """Active filters at each evaluation, in percent.

    Args:
      gamma: (T, filters).
      threshold: largest |gamma| of an inactive filter, exclusive.

    Returns:
      float (T,).

    Example:
      >>> alive_pct(np.array([[1.0, 1.0], [1.0, 0.0]])).tolist()
      [100.0, 50.0]
    """
    return 100.0 * (~inactive_over_time(gamma, threshold)).mean(axis=1)


def death_moments(gamma: np.ndarray, threshold: float = 1e-3) -> np.ndarray:
    """First evaluation from which on each filter stays inactive to the end.

    death[filter] = min {t : inactive[s, filter] for all s >= t},  NEVER if active at the end

    Args:
      gamma: (T, filters) with T of at least 1.
      threshold: largest |gamma| of an inactive filter, exclusive.

    Returns:
      int (filters,), indices of evaluations; `measure.step` has their steps.

    Example:
      >>> death_moments(np.array([[1.0, 0.0, 1.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]])).tolist()
      [1, 2, -1]
    """
    inactive = inactive_over_time(gamma, threshold)
    to_the_end = np.logical_and.accumulate(inactive[::-1], axis=0)
    first = len(inactive) - to_the_end.sum(axis=0)
    return np.where(inactive[-1], first, NEVER)


def revivals(gamma: np.ndarray, threshold: float = 1e-3) -> np.ndarray:
    """Count, for each filter, how often it was inactive and active at the next evaluation.

    Adam with L2 swings by about its learning rate around zero, so that a gamma without gradient may
    cross the threshold again. So may a filter that gets a gradient again.

    Args:
      gamma: (T, filters).
      threshold: largest |gamma| of an inactive filter, exclusive.

    Returns:
      int (filters,).

    Example:
      >>> revivals(np.array([[1.0, 0.0], [0.0, 1.0], [1.0, 0.0], [0.0, 1.0]])).tolist()
      [1, 2]
    """
    inactive = inactive_over_time(gamma, threshold)
    return (inactive[:-1] & ~inactive[1:]).sum(axis=0)


def fates(
    layers: Mapping[str, Any], steps: Sequence[int] | np.ndarray, threshold: float = 1e-3
) -> Fates:
    """Summarise the filters of a whole network over time.

    Args:
      layers: layer -> gamma (T, filters).
      steps: (T,) steps at which gamma was read.
      threshold: largest |gamma| of an inactive filter, exclusive.

    Example:
      >>> fates({'C1': np.array([[1.0, 1.0], [0.0, 1.0]])}, [100, 200])
      Fates(filters=2, dead=1, half=200, last=200, revivals=0)
    """
    moments = np.concatenate([death_moments(gamma, threshold) for gamma in layers.values()])
    back = sum(int(revivals(gamma, threshold).sum()) for gamma in layers.values())
    died = np.sort(np.asarray(steps)[moments[moments != NEVER]])
    half, last = (int(died[(len(died) - 1) // 2]), int(died[-1])) if len(died) else (NEVER, NEVER)
    return Fates(len(moments), len(died), half, last, back)
