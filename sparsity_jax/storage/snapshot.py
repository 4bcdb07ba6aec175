"""What does a checkpoint consist of on disk? leaves.npz and notes.json, written in the background.

Orbax's own handlers write from process 0 alone what is not sharded over all processes; where every
process keeps the runs that it trains, each must write its own. A state is small and never sharded,
so one file holds its leaves: of a small network that takes half the time, and a dozen files less.
"""

from __future__ import annotations

import asyncio
import dataclasses
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import orbax.checkpoint as ocp
from orbax.checkpoint import future

LEAVES, NOTES = "leaves.npz", "notes.json"


class Snapshot(NamedTuple):
    """Arrays by name, and notes: anything that JSON can hold."""

    leaves: Mapping[str, np.ndarray]
    notes: Any


class SnapshotHandler(ocp.AsyncCheckpointHandler):
    """Saves and restores a snapshot as an item of an Orbax checkpoint."""

    async def async_save(self, directory: Any, args: SnapshotSave) -> list[future.Future]:
        """Start writing; Orbax commits the checkpoint once the future is done."""
        writing = asyncio.to_thread(_write, Path(directory), args.snapshot)
        return [future.CommitFutureAwaitingContractedSignals(writing, name="snapshot")]

    def save(self, directory: Any, args: SnapshotSave) -> None:
        """Write, and wait until it is written."""
        _write(Path(directory), args.snapshot)

    def restore(self, directory: Any, args: SnapshotRestore | None = None) -> Snapshot:
        """Read everything, as `read_snapshot` does."""
        return read_snapshot(Path(directory))


@ocp.args.register_with_handler(SnapshotHandler, for_save=True)
@dataclasses.dataclass
class SnapshotSave(ocp.args.CheckpointArgs):
    """What to save; it must not change until the checkpoint is committed."""

    snapshot: Snapshot


@ocp.args.register_with_handler(SnapshotHandler, for_restore=True)
@dataclasses.dataclass
class SnapshotRestore(ocp.args.CheckpointArgs):
    """Everything that there is."""


def read_snapshot(directory: Path) -> Snapshot:
    """Everything in a folder; what is damaged raises what json, numpy and zipfile raise."""
    notes = json.loads((directory / NOTES).read_text())
    with np.load(directory / LEAVES, allow_pickle=False) as file:
        return Snapshot({name: file[name] for name in file.files}, notes)


def _write(directory: Path, snapshot: Snapshot) -> None:
    leaves: Any = dict(snapshot.leaves)  # by keyword: numpy's own are not among the names
    with (directory / LEAVES).open("wb") as file:
        np.savez(file, **leaves)
        _to_disk(file)
    with (directory / NOTES).open("w") as file:
        json.dump(snapshot.notes, file)
        _to_disk(file)


def _to_disk(file: Any) -> None:
    file.flush()
    os.fsync(file.fileno())
