"""Number of processes that train a grid on this machine: one per core where that pays."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import jax
import numpy as np

from sparsity_jax.distributed.cores import core_count
from sparsity_jax.distributed.processes import this_process
from sparsity_jax.distributed.shards import WHOLE, Shard
from sparsity_jax.pruning import cost
from sparsity_jax.training import DeviceDataset
from sparsity_jax.training.grouping import free_bytes, member_bytes
from sparsity_jax.training.run import Run

# An estimate, not a measured break-even: starting a process and compiling again in it cost about
# ten seconds of a core.
LEAST_WORK = 1.5e12
_PROCESS_BYTES = 700 * 2**20  # of Python, JAX and compiled programs


def process_count(
    asked: int | None, groups: Sequence[Sequence[Run]], *, split: str, shard: Shard = WHOLE
) -> int:
    """Choose how many processes train what is left of a grid.

    Without a number, one per core, as far as there are groups and memory, on a CPU, for work that
    is worth it; a share of a grid stays in one, since other shares may be on this machine. Why a
    number that was asked for cannot be had is printed.

    Args:
      asked: the number, if any.
      groups: what is left to train.
      split: what devices divide, the 'members' of a group or the 'batch'.
      shard: the part of the grid that this command trains.
    """
    if asked == 1 or len(groups) < 2:
        return 1
    if reason := _obstacle(split):
        if asked:
            print(f"note: trained in one process, not {asked}: {reason}")
        return 1
    if asked is None and (shard != WHOLE or _work(groups) < LEAST_WORK):
        return 1
    wanted = min(asked or core_count(), len(groups))
    fit = max(1, int(free_bytes() // max(map(_bytes, groups))))
    if fit < wanted and asked:
        print(f"note: trained in {fit} processes, not {asked}: memory holds no more")
    return min(wanted, fit)


def _obstacle(split: str) -> str:
    """Why one process must do it; empty if none must."""
    if split == "batch":
        return "split=batch has all devices work on one run"
    if this_process().count > 1:
        return "it works together with other processes already"
    if jax.default_backend() != "cpu":
        return f"it would share the {jax.default_backend().upper()}"
    return ""


def _work(groups: Sequence[Sequence[Run]]) -> float:
    """Multiply-adds of the forward passes over all training images."""
    runs = (run for group in groups for run in group)
    return sum(run.steps * run.program.batch_size * cost(run.program.plan).macs for run in runs)


def _bytes(group: Sequence[Run]) -> int:
    """Memory that a process with one group takes, estimated from above."""
    data, own = group[0].data, len(group) * member_bytes(group[0].program)
    if not isinstance(data, DeviceDataset):
        return _PROCESS_BYTES + own
    arrays = (getattr(data, field.name) for field in dataclasses.fields(data))
    return _PROCESS_BYTES + own + 2 * sum(np.asarray(array).nbytes for array in arrays)
