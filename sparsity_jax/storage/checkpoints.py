"""How is a run's state kept so that nothing is lost and nothing damaged is believed?

Orbax writes checkpoints asynchronously and commits them atomically. It restores flipped bits and
changed dtypes without a word, so every leaf and the notes carry a digest, and restoring walks back
to the newest step of which all verify.
"""

from __future__ import annotations

import contextlib
import shutil
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np
import orbax.checkpoint as ocp

from sparsity_jax.errors import UserError
from sparsity_jax.storage.io import array_digest, json_digest
from sparsity_jax.storage.snapshot import (
    Snapshot,
    SnapshotHandler,
    SnapshotRestore,
    SnapshotSave,
    read_snapshot,
)

Arrays = dict[str, Any]


class Restored(NamedTuple):
    """A checkpoint that verified: its step, its state, its arrays, its notes."""

    step: int
    state: Any
    arrays: dict[str, np.ndarray]
    notes: dict[str, Any]


class DamageError(Exception):
    """A checkpoint whose content is not what was saved."""


class Checkpoints:
    """The checkpoints of one run, in one folder.

    Args:
      folder: where they lie; `folder`'s neighbour 'damaged' receives those that do not verify.
      of: what they are checkpoints of, such as a digest of settings and data. Those of something
        else are refused: two runs with equal shapes could take each other's.
      keep: how many are kept; older ones are removed.

    Example:
      >>> with Checkpoints(folder) as checkpoints:
      ...     checkpoints.save(10, state, arrays={'gamma/C1': gamma}, notes={'seconds': 1.5})
      ...     step, state, arrays, notes = checkpoints.restore(like=state)
    """

    def __init__(self, folder: Path, *, of: str = "", keep: int = 2) -> None:
        self._folder, self._of = folder.resolve(), of
        me = jax.process_index()  # whoever trains a run keeps it, whatever other processes do
        self._options = ocp.CheckpointManagerOptions(
            max_to_keep=keep,
            cleanup_tmp_directories=True,
            enable_background_delete=False,
            create=False,
            # Its signals would be mixed up among processes that each keep their own runs.
            async_options=ocp.AsyncOptions(create_directories_asynchronously=False),
            multiprocessing_options=ocp.options.MultiprocessingOptions(
                primary_host=me, active_processes={me}, barrier_sync_key_prefix=f"process{me}"
            ),
        )
        with self._explained():
            self._folder.mkdir(parents=True, exist_ok=True)
            self._manager = self._open()

    def __enter__(self) -> Checkpoints:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None:
            with self._explained():
                self._manager.close()
        else:  # what went wrong first is what the user must hear
            with contextlib.suppress(Exception):
                self._manager.close()

    def save(self, step: int, state: Any, *, arrays: Arrays, notes: Mapping[str, Any]) -> None:
        """Start saving a checkpoint; the copy off the device is done when this returns.

        Args:
          step: training steps taken.
          state: any pytree of arrays.
          arrays: further arrays by name, of sizes that may differ between checkpoints.
          notes: anything JSON can hold.

        Raises:
          UserError: this one or the one before could not be written; committed ones are untouched.
        """
        leaves = {**_named("state", state), **{f"arrays{name}": a for name, a in arrays.items()}}
        leaves = {name: np.array(leaf) for name, leaf in leaves.items()}  # copies: steps go on
        content = {
            "step": step,
            "of": self._of,
            "leaves": {name: array_digest(leaf) for name, leaf in leaves.items()},
            "notes": dict(notes),
        }
        with self._explained():
            saved = self._manager.save(
                step,
                args=SnapshotSave(Snapshot(leaves, {"digest": json_digest(content), **content})),
                force=True,
            )
        if not saved:
            raise UserError(f"checkpoint {self._folder / str(step)} was not written")

    def restore(self, like: Any, *, at_most: int | None = None) -> Restored | None:
        """The newest checkpoint that verifies, or None when there is none.

        A damaged one is named on stderr, set aside, and the one before it is tried.

        Args:
          like: a state of the structure, shapes and dtypes to restore.
          at_most: the newest step to look at.

        Raises:
          UserError: a sound checkpoint belongs to something else than `of`.
        """
        steps = [step for step in self._manager.all_steps() if at_most is None or step <= at_most]
        for step in sorted(steps, reverse=True):
            try:
                return self._read(step, like)
            except (UserError, MemoryError):
                raise
            except Exception as error:  # Orbax raises bare exceptions for damaged files
                self._set_aside(step, error)
        return None

    def forget_after(self, step: int) -> None:
        """Remove the checkpoints of later steps: they will be saved again."""
        for later in [found for found in self._manager.all_steps() if found > step]:
            with self._explained():
                self._manager.delete(later)

    def wait(self) -> None:
        """Wait until what was saved is committed.

        Raises:
          UserError: it could not be written.
        """
        with self._explained():
            self._manager.wait_until_finished()

    def _read(self, step: int, like: Any) -> Restored:
        found: Any = self._manager.restore(step, args=SnapshotRestore())
        leaves, content = found
        verify_notes(content, step)
        _verify_leaves(leaves, content["leaves"])
        if content["of"] != self._of:
            raise UserError(
                f"checkpoint {self._folder / str(step)} is of other settings or other data than "
                "this run's; restore those, or --overwrite to start anew"
            )
        _verify_shapes(leaves, _named("state", like))
        names = list(_named("state", like))
        state = jax.tree.unflatten(jax.tree.structure(like), [leaves[name] for name in names])
        arrays = {
            name.removeprefix("arrays"): leaf
            for name, leaf in leaves.items()
            if name.startswith("arrays")
        }
        return Restored(step, jax.device_put(state), arrays, content["notes"])

    def _open(self) -> ocp.CheckpointManager:
        return ocp.CheckpointManager(
            self._folder, options=self._options, item_handlers=SnapshotHandler()
        )

    def _set_aside(self, step: int, error: Exception) -> None:
        """Move a damaged checkpoint out of the way: its step will be saved again."""
        aside = self._folder.parent / "damaged" / str(step)
        print(
            f"warning: checkpoint {self._folder / str(step)} is damaged and is not used "
            f"({_first_line(error)[:200]}); it is now {aside}",
            file=sys.stderr,
        )
        with contextlib.suppress(Exception):
            self._manager.close()
        shutil.rmtree(aside, ignore_errors=True)
        aside.parent.mkdir(exist_ok=True)
        shutil.move(self._folder / str(step), aside)
        self._manager = self._open()

    @contextlib.contextmanager
    def _explained(self) -> Iterator[None]:
        """What Orbax and its storage raise about files (of any type), as one line."""
        try:
            yield
        except Exception as error:
            raise UserError(
                f"checkpoints cannot be written to {self._folder} ({_first_line(error)[:300]}); "
                "free some space there or give another --workdir; committed checkpoints are kept"
            ) from error


def _named(prefix: str, tree: Any) -> dict[str, Any]:
    """Leaf path -> leaf, in the order in which the tree is flattened."""
    leaves = jax.tree_util.tree_leaves_with_path(tree)
    return {prefix + jax.tree_util.keystr(path): leaf for path, leaf in leaves}


def checkpoint_problem(folder: Path, step: int) -> str:
    """What is wrong with a checkpoint on disk; '' when every leaf and note is what was saved.

    Args:
      folder: the checkpoint's own, with the step as its name.
      step: the step that it should be of.

    Example:
      >>> checkpoint_problem(Path("runs/quickstart/runs/RUN/checkpoints/5750"), 5750)
      ''
    """
    try:
        leaves, content = read_snapshot(folder / "default")
        verify_notes(content, step)
        _verify_leaves(leaves, content["leaves"])
    except Exception as error:  # whatever json, zipfile and numpy raise for damaged files
        return f"checkpoint {folder} is damaged ({_first_line(error)[:200]})"
    return ""


def verify_notes(content: Any, step: int) -> None:
    """Check a checkpoint's notes, taking off their digest.

    Raises:
      DamageError: they are not those that were saved at this step.
    """
    sealed = content.pop("digest", None) if isinstance(content, dict) else None
    if sealed is None or sealed != json_digest(content):
        raise DamageError("its notes are not what was saved")
    if content["step"] != step:
        raise DamageError(f"it is that of step {content['step']}")


def _verify_leaves(leaves: Mapping[str, np.ndarray], saved: Mapping[str, str]) -> None:
    if set(leaves) != set(saved):
        raise DamageError(f"leaf {min(set(leaves) ^ set(saved))} is missing or foreign")
    for name, leaf in leaves.items():
        if array_digest(leaf) != saved[name]:
            raise DamageError(f"leaf {name} is not what was saved")


def _verify_shapes(leaves: Mapping[str, np.ndarray], like: Mapping[str, Any]) -> None:
    for name, leaf in like.items():
        wanted = (leaf.shape, leaf.dtype)
        if name not in leaves or (leaves[name].shape, leaves[name].dtype) != wanted:
            raise DamageError(f"leaf {name} should be {leaf.dtype}{list(leaf.shape)}")


def _first_line(error: Exception) -> str:
    return next(iter(str(error).splitlines()), "") or type(error).__name__
