"""What did removal buy besides parameters, and what did it cost? Parts of `pruned.json`."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from typing import Any


@dataclasses.dataclass(frozen=True)
class Timing:
    """Median milliseconds of one forward pass at one batch size, on the run's device.

    `noise_pct` is half the interquartile range over the median, the larger of the two networks'.
    """

    batch: int
    dense_ms: float
    pruned_ms: float
    noise_pct: float = 0.0

    @property
    def speedup(self) -> float:
        """How many times faster the pruned network is; below 1 it is slower."""
        return self.dense_ms / self.pruned_ms

    @property
    def is_faster(self) -> bool:
        """Whether the gain is more than 5 % and more than the noise of the measurement."""
        return self.speedup > 1 + max(0.05, self.noise_pct / 100)


@dataclasses.dataclass(frozen=True)
class Folded:
    """How far the folded, pruned network is from the original on test images ('exact' mode).

    `border` is the part of the logit difference that is due to zero padding.
    """

    max_logit_difference: float
    border: float
    changed_pct: float


@dataclasses.dataclass(frozen=True)
class FileSizes:
    """Bytes on disk of the saved network, before and after pruning."""

    dense: int
    pruned: int


def decode_timings(raw: Any) -> tuple[Timing, ...]:
    """What a JSON list of timings says; None is no timing."""
    return tuple(
        Timing(
            batch=int(entry["batch"]),
            dense_ms=float(entry["dense_ms"]),
            pruned_ms=float(entry["pruned_ms"]),
            noise_pct=float(entry.get("noise_pct") or 0.0),
        )
        for entry in raw or ()
    )


def decode_folded(raw: Mapping[str, Any] | None) -> Folded | None:
    """The inverse of `dataclasses.asdict`; null numbers become NaN."""
    if raw is None:
        return None
    names = [field.name for field in dataclasses.fields(Folded)]
    return Folded(**{n: math.nan if raw.get(n) is None else float(raw[n]) for n in names})


def decode_sizes(raw: Mapping[str, Any] | None) -> FileSizes | None:
    """The inverse of `dataclasses.asdict`."""
    return None if raw is None else FileSizes(int(raw["dense"]), int(raw["pruned"]))
