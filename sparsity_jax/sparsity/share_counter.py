"""Count of the values that pass a share of their maximum, before the maximum is known."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np

GROWTH = 32.0  # of the largest value so far, up to which what passes a share of it is certain
_RARE = 16  # filters with a positive value in fewer than 1 / _RARE of the rows: nothing is certain
_SLACK = 1e-5  # relative, wider than the rounding of any division
_STEPS = np.arange(-16, 17, dtype=np.int32)  # neighbours of a float32 that a cutoff may be


class ShareCounter:
    """Count for each column of a growing array the values above a share of the column's maximum.

    A value that passes the share of a maximum `GROWTH` times as large as today's is counted and
    forgotten, one that does not pass the share of today's is forgotten. Only the values between
    wait for the end. If a maximum grows more than that after all, `counts` has no answer.

    Args:
      threshold: the share; a value v counts if v / max > threshold, as float32 on the device.

    Attributes:
      peak: (columns,) largest value so far, at least 0; () before the first rows.

    Example:
      >>> import numpy as np
      >>> counter = ShareCounter(0.1)
      >>> counter.add(np.array([[0.05, 2.0], [1.0, 0.0]], np.float32))
      >>> counter.counts()
      array([1, 1])
    """

    def __init__(self, threshold: float) -> None:
        self._threshold = threshold
        self.peak = np.zeros((), np.float32)
        self._certain = np.zeros((), np.int64)
        self._bound = np.full((), np.inf, np.float32)  # of the peak, for what is certain
        self._waiting: list[tuple[np.ndarray, np.ndarray]] = []

    @property
    def nbytes(self) -> int:
        """Bytes of the values that wait."""
        return sum(values.nbytes + columns.nbytes for values, columns in self._waiting)

    def add(self, rows: np.ndarray, *, keep: bool = True) -> None:
        """Append rows.

        Args:
          rows: float32 (n, columns); what is not above 0 never counts.
          keep: False: look at the maximum alone, and forget what waits: `counts` is not asked for.
        """
        self.peak = np.maximum(self.peak, rows.max(axis=0))
        if not keep:
            self._waiting.clear()
            return
        rare = (rows > 0).sum(axis=0) * _RARE < len(rows)
        with np.errstate(over="ignore", invalid="ignore"):  # what is not finite is no number
            share = self._threshold * self.peak.astype(np.float64)
            low = (share * (1 - _SLACK)).astype(np.float32)
            high = np.where(rare, np.inf, share * GROWTH * (1 + _SLACK)).astype(np.float32)
            reached = np.float32(GROWTH) * self.peak
        above = rows > high
        found = above.sum(axis=0)
        self._certain = self._certain + found
        self._bound = np.where(found > 0, np.minimum(self._bound, reached), self._bound)
        flat = np.flatnonzero((rows > low) & ~above)
        columns = (flat % rows.shape[1]).astype(np.uint16 if rows.shape[1] < 1 << 16 else np.int64)
        self._waiting.append((rows.reshape(-1)[flat], columns))

    def counts(self) -> np.ndarray | None:
        """Numbers of values (columns,) above the share; None: a maximum grew too much to tell."""
        cutoff = cutoffs(self.peak, self._threshold)
        if cutoff is None or (self.peak > self._bound).any():
            return None
        total = self._certain.copy()
        for values, columns in self._waiting:
            passing = columns[values >= cutoff[columns]]
            total += np.bincount(passing, minlength=len(total))
        return total


def cutoffs(peak: np.ndarray, threshold: float) -> np.ndarray | None:
    """The smallest values whose quotient by a maximum is above a threshold, on the device.

    A division is monotone, so a value counts if and only if it is at least that.

    Args:
      peak: float32 (columns,), at least 0; where it is 0 no value counts.
      threshold: what the quotient is compared with.

    Returns:
      float32 (columns,); None where it lies too near 0, or to infinity, to be found.

    Example:
      >>> import numpy as np
      >>> cutoffs(np.float32([3.0]), 0.5) > 1.5
      array([ True])
    """
    with np.errstate(over="ignore"):
        middle = (threshold * peak.astype(np.float64)).astype(np.float32)
    near = (middle.view(np.int32)[:, None] + _STEPS).view(np.float32)
    passes = np.asarray(_passes(near, peak, threshold))
    alive = peak > 0
    tiny = np.finfo(np.float32).tiny
    normal = near[alive, 0] >= tiny
    if not normal.all() or passes[alive, 0].any() or not passes[alive, -1].all():
        return None
    first = near[np.arange(len(peak)), passes.argmax(axis=1)]
    return np.where(alive, first, np.float32(np.inf))


@jax.jit
def _passes(values: jax.Array, peak: jax.Array, threshold: jax.Array) -> jax.Array:
    return values / jnp.where(peak > 0, peak, 1)[:, None] > threshold
