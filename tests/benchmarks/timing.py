"""How are columns timed so that they can be compared, and on which machine?

A column is a way of training: called with a number of steps, it takes them, waits for the last and
returns the seconds. Columns take turns in rounds, so that what disturbs one disturbs all.
"""

from __future__ import annotations

import dataclasses
import math
import os
import platform
import statistics
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import jax

Column = Callable[[int], float]
WARM_UP = 3  # steps of the first call, which compiles, and of the second, which is counted on
OUT_OF_TIME = "out of time"


class NotMeasuredError(Exception):
    """A column that cannot run here; its message says why."""


@dataclasses.dataclass(frozen=True)
class Timed:
    """What columns took.

    Attributes:
      times: milliseconds per step, one number a round, by column.
      absent: why a column has none, by column.
    """

    times: dict[str, list[float]]
    absent: dict[str, str]

    def median(self, column: str) -> float:
        """Milliseconds per step."""
        return statistics.median(self.times[column])

    def fastest(self, *columns: str) -> str | None:
        """The one with the smallest median among those that were measured."""
        measured = [name for name in columns if name in self.times]
        return min(measured, key=self.median) if measured else None

    def divided(self, by: int, *columns: str) -> Timed:
        """The same with the times of these columns divided: theirs were steps of many members."""
        times = {
            name: [each / by for each in taken] if name in columns else taken
            for name, taken in self.times.items()
        }
        return Timed(times, self.absent)


def timed(steps: Callable[[int], object]) -> Column:
    """A column out of a function that takes steps; whatever it returns is waited for."""

    def column(count: int) -> float:
        start = time.perf_counter()
        jax.block_until_ready(steps(count))
        return time.perf_counter() - start

    return column


def in_rounds(
    columns: Mapping[str, Column],
    *,
    rounds: int,
    seconds: float,
    deadline: float = math.inf,
    needs: Mapping[str, float] | None = None,
) -> Timed:
    """Time columns that take turns.

    Every turn warms up with two steps and then times as many as last about `seconds`.

    Args:
      columns: by name.
      rounds: turns of each; fewer, but at least three, when the deadline has passed.
      seconds: of a turn.
      deadline: `time.monotonic()` after which no column is begun.
      needs: seconds before the deadline that a column is begun at the latest, by name.
    """
    counts, absent = {}, {}
    for name, column in columns.items():
        if time.monotonic() + (needs or {}).get(name, 0.0) > deadline:
            absent[name] = OUT_OF_TIME
            continue
        try:
            column(WARM_UP)
            counts[name] = max(3, round(WARM_UP * seconds / column(WARM_UP)))
        except (NotMeasuredError, jax.errors.JaxRuntimeError) as error:
            absent[name] = str(error).partition("\n")[0][:120]
    times: dict[str, list[float]] = {name: [] for name in counts}
    for turn in range(rounds):
        if turn >= 3 and time.monotonic() > deadline:
            break
        for name, count in counts.items():
            columns[name](2)
            times[name].append(columns[name](count) * 1e3 / count)
    return Timed(times, absent)


def machine() -> str:
    """Processor, devices and versions, in one line."""
    device = jax.devices()[0]
    parts = [f"{_processor()}, {_cores()} cores"]
    if device.platform != "cpu":
        parts.append(f"{len(jax.devices())} x {device.device_kind}")
    parts.append(f"Python {platform.python_version()}, jax {jax.__version__}")
    flags = os.environ.get("XLA_FLAGS")
    return "; ".join([*parts, f"XLA_FLAGS {flags}"] if flags else parts)


def load() -> str:
    """How busy the machine is, apart from us, as long as we have not begun."""
    busy = os.getloadavg()[0]
    said = f"load {busy:.1f}"
    return said if busy < _cores() / 2 else f"{said}: BUSY, these figures are not to be quoted"


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _processor() -> str:
    described = Path("/proc/cpuinfo")
    if described.exists():
        for line in described.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
