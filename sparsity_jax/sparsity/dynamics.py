"""When did the filters of a run die, and did any come back?"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

NEVER = -1
"""The moment of death of a filter that is alive at the end."""


@dataclasses.dataclass(frozen=True)
class Fates:
    """What became of a run's filters.

    Attributes:
      filters: how many there are.
      dead: how many are inactive at the end.
      half: step by which half of these had died for good; last: when the last one did. NEVER if
        none is dead.
      revivals: how often a filter was inactive and active again at the next look.
    """

    filters: int
    dead: int
    half: int
    last: int
    revivals: int


def inactive_over_time(gamma: np.ndarray, threshold: float = 1e-3) -> np.ndarray:
    """inactive[t, filter] = |gamma[t, filter]| < threshold; NaN is not inactive.

    Args:
      gamma: (T, filters), as `measure.npz` keeps it.
      threshold: the paper's 1e-3 (Sec. 2.1).

    Returns:
      Boolean (T, filters).
    """
    return np.abs(np.asarray(gamma)) < threshold


def alive_pct(gamma: np.ndarray, threshold: float = 1e-3) -> np.ndarray:
    """Filters alive at each moment, in percent: (T,).

    Example:
      >>> alive_pct(np.array([[1.0, 1.0], [1.0, 0.0]])).tolist()
      [100.0, 50.0]
    """
    return 100.0 * (~inactive_over_time(gamma, threshold)).mean(axis=1)


def death_moments(gamma: np.ndarray, threshold: float = 1e-3) -> np.ndarray:
    """For each filter the first moment from which on it stays inactive to the end.

    death[filter] = min {t : inactive[s, filter] for all s >= t},  NEVER if alive at the end

    Args:
      gamma: (T, filters) with T of at least 1.
      threshold: largest |gamma| of an inactive filter, exclusive.

    Returns:
      int (filters,), indices into the moments; look them up in `measure.step`. A death is seen at
      the first look after it.

    Example:
      >>> death_moments(np.array([[1.0, 0.0, 1.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]])).tolist()
      [1, 2, -1]
    """
    inactive = inactive_over_time(gamma, threshold)
    to_the_end = np.logical_and.accumulate(inactive[::-1], axis=0)
    first = len(inactive) - to_the_end.sum(axis=0)
    return np.where(inactive[-1], first, NEVER)


def revivals(gamma: np.ndarray, threshold: float = 1e-3) -> np.ndarray:
    """How often each filter was inactive and active at the next look: int (filters,).

    Adam with L2 swings by about its learning rate around zero, so that a gamma without gradient may
    cross the threshold again; a filter that the loss wants back does, too.

    Example:
      >>> revivals(np.array([[1.0, 0.0], [0.0, 1.0], [1.0, 0.0], [0.0, 1.0]])).tolist()
      [1, 2]
    """
    inactive = inactive_over_time(gamma, threshold)
    return (inactive[:-1] & ~inactive[1:]).sum(axis=0)


def fates(
    layers: Mapping[str, Any], steps: Sequence[int] | np.ndarray, threshold: float = 1e-3
) -> Fates:
    """The deaths and revivals of a whole network.

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
