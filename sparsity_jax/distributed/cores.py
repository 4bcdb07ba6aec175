"""Cores: how many this process may use, and how several processes divide them.

XLA divides the operations of a program among as many threads as its process had cores when it
began, and another number adds in another order. Processes that share a grid therefore begin with
all cores, and only then is each kept to its own: their results are those of one process.
"""

from __future__ import annotations

import contextlib
import math
import os
from collections.abc import Sequence
from pathlib import Path

from sparsity_jax.errors import UserError

MOST_PER_CORE = 4
_QUOTA = Path("/sys/fs/cgroup/cpu.max")


def core_count() -> int:
    """Count the cores that this process may keep busy, fewer where a container limits its time.

    Example:
      >>> core_count() >= 1
      True
    """
    return max(1, math.floor(min(_granted(), len(_own_cores()))))


def parse_processes(text: str) -> int:
    """Read a number of processes as it is written on a command line.

    Raises:
      UserError: anything but a number from 1 to four for each core.

    Example:
      >>> parse_processes("1")
      1
    """
    cores = core_count()
    most = MOST_PER_CORE * cores
    if text.isascii() and text.isdigit() and 1 <= int(text) <= most:
        return int(text)
    raise UserError(
        f"--processes={text} is not a number from 1 to {most}, {MOST_PER_CORE} for each of the "
        f"{cores} cores that may be used here"
    )


def keep_apart(processes: Sequence[int]) -> None:
    """Divide the cores among processes, each with all its threads, where the system can (Linux).

    Threads that begin later stay with the thread that began them. Where a container grants time but
    no cores of its own, all processes may use all.
    """
    cores = _own_cores()
    if not hasattr(os, "sched_setaffinity") or core_count() < len(cores):
        return
    for process, own in zip(processes, divide(cores, len(processes)), strict=True):
        with contextlib.suppress(OSError):  # it has ended
            for thread in os.listdir(f"/proc/{process}/task"):
                with contextlib.suppress(OSError):
                    os.sched_setaffinity(int(thread), own)


def divide(cores: Sequence[int], parts: int) -> list[list[int]]:
    """Divide cores as evenly as possible; where there are too few, parts share them.

    Example:
      >>> divide([0, 1, 2, 3, 4], 2), divide([0, 1], 3)
      ([[0, 1], [2, 3, 4]], [[0], [1], [0]])
    """
    if parts > len(cores):
        return [[cores[part % len(cores)]] for part in range(parts)]
    ends = [len(cores) * part // max(1, parts) for part in range(parts + 1)]
    return [list(cores[ends[part] : ends[part + 1]]) for part in range(parts)]


def _own_cores() -> list[int]:
    if hasattr(os, "sched_getaffinity"):
        return sorted(os.sched_getaffinity(0))
    return list(range(os.cpu_count() or 1))


def _granted() -> float:
    """Cores' worth of time that a control group grants; infinite where none limits it."""
    try:
        granted, period = _QUOTA.read_text().split()
        return math.inf if granted == "max" else int(granted) / int(period)
    except (OSError, ValueError):
        return math.inf
