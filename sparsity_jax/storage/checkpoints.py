"""Checkpoints of one run: written in the background, committed whole, verified when read.

Orbax writes checkpoints asynchronously and commits them atomically. It restores flipped bits and
changed dtypes without a word, so every leaf and the metadata carry a digest, and restoring walks
back to the newest step of which all verify.
"""

from __future__ import annotations

import contextlib
import shutil
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np
import orbax.checkpoint as ocp

from sparsity_jax.errors import UserError
from sparsity_jax.storage import checkpoint_items as items
from sparsity_jax.storage.io import array_digest, signed, verified

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

    Plain Orbax opens them: `<folder>/<step>/state` is a standard tree, as `arrays` beside it;
    `metadata` is JSON.

    Args:
      folder: where they lie; `folder`'s neighbour 'damaged' receives those that do not verify.
      of: what they are checkpoints of, such as a digest of settings and data. Those of something
        else are refused: two runs with equal shapes could take each other's.
      keep: how many are kept; older ones are removed.

    Raises:
      UserError: nothing can be written there.

    Example:
      >>> import tempfile
      >>> with tempfile.TemporaryDirectory() as folder:
      ...     with Checkpoints(Path(folder)) as checkpoints:
      ...         checkpoints.save(10, {'w': np.ones(2)}, arrays={}, notes={'seconds': 1.5})
      ...         checkpoints.wait()
      ...         step, state, arrays, notes = checkpoints.restore(like={'w': np.zeros(2)})
      >>> step, float(state['w'][0]), notes
      (10, 1.0, {'seconds': 1.5})
    """

    def __init__(self, folder: Path, *, of: str = "", keep: int = 2) -> None:
        items.quieten_orbax()
        self._folder, self._of = folder.resolve(), of
        me = jax.process_index()  # whoever trains a run keeps it, whatever other processes do
        self._processes = ocp.options.MultiprocessingOptions(
            primary_host=me, active_processes={me}, barrier_sync_key_prefix=f"process{me}"
        )
        self._options = ocp.CheckpointManagerOptions(
            max_to_keep=keep,
            cleanup_tmp_directories=True,
            enable_background_delete=False,
            create=False,
            # Its signals would be mixed up among processes that each keep their own runs.
            async_options=ocp.AsyncOptions(create_directories_asynchronously=False),
            multiprocessing_options=self._processes,
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
          arrays: further arrays by name, none empty, of shapes that may differ between
            checkpoints.
          notes: anything JSON can hold.

        Raises:
          UserError: this one or the one before could not be written; committed ones are untouched.
        """
        trees = items.as_saved(state, arrays)  # copies: steps go on
        leaves = items.leaves(trees)
        content = {
            "step": step,
            "of": self._of,
            "leaves": {name: array_digest(leaf) for name, leaf in leaves.items()},
            "notes": dict(notes),
        }
        args = items.save_args(trees, signed(content))
        with self._explained():
            saved = self._manager.save(step, args=args, force=True)
        if not saved:
            raise UserError(f"checkpoint {self._folder / str(step)} was not written")

    def restore(self, like: Any, *, at_most: int | None = None) -> Restored | None:
        """Restore the newest checkpoint that verifies, or return None when there is none.

        A damaged one is named on stderr, set aside, and the one before it is tried.

        Args:
          like: a state of the structure, shapes and dtypes to restore, or a function that makes
            one of a checkpoint's notes.
          at_most: the newest step to look at.

        Raises:
          UserError: a checkpoint belongs to something else than `of`, or an older version of this
            package wrote it.
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
        folder = self._folder / str(step)
        if (folder / "default" / "leaves.npz").exists():
            raise UserError(
                f"checkpoint {folder} was written by an older version of sparsity_jax; finish the "
                "run with that version, or --overwrite to start anew"
            )
        content = verified_metadata(items.read_metadata(folder), step)
        if content["of"] != self._of:
            raise UserError(
                f"checkpoint {folder} is of other settings or other data than "
                "this run's; restore those, or --overwrite to start anew"
            )
        like = _described(like, content["notes"]) if callable(like) else like
        leaves = _verified_leaves(folder, content)
        wanted = items.leaves({items.STATE: like})
        _verify_shapes(leaves, wanted)
        state = jax.tree.unflatten(jax.tree.structure(like), [leaves[name] for name in wanted])
        prefix = f"{items.ARRAYS}/"
        arrays = {n.removeprefix(prefix): a for n, a in leaves.items() if n.startswith(prefix)}
        return Restored(step, jax.device_put(state), arrays, content["notes"])

    def _open(self) -> ocp.CheckpointManager:
        registry = items.handlers(self._processes)
        return ocp.CheckpointManager(self._folder, options=self._options, handler_registry=registry)

    def _set_aside(self, step: int, error: Exception) -> None:
        """Move a damaged checkpoint out of the way: its step will be saved again."""
        aside = self._folder.parent / "damaged" / str(step)
        print(
            f"warning: checkpoint {self._folder / str(step)} is damaged and is not used "
            f"({_reason(error)}); it is now {aside}",
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
                f"checkpoints cannot be written to {self._folder} ({_reason(error)}); "
                "free some space there or give another --workdir; committed checkpoints are kept"
            ) from error


def checkpoint_problem(folder: Path, step: int) -> str:
    """Say what is wrong with a checkpoint on disk; '' when leaves and metadata are what was saved.

    Args:
      folder: the checkpoint's own, with the step as its name.
      step: the step that it should be of.

    Example:
      >>> checkpoint_problem(Path('runs/RUN/checkpoints/5750'), 5750)[:49]
      'checkpoint runs/RUN/checkpoints/5750 is damaged ('
    """
    try:
        _verified_leaves(folder, verified_metadata(items.read_metadata(folder), step))
    except Exception as error:  # whatever json, Orbax and TensorStore raise for damaged files
        return f"checkpoint {folder} is damaged ({_reason(error)})"
    return ""


def verified_metadata(metadata: Any, step: int) -> dict[str, Any]:
    """Take the digest off a checkpoint's metadata, once it was compared.

    Raises:
      DamageError: they are not those that were saved at this step.
    """
    try:
        content = verified(metadata)
    except ValueError:
        raise DamageError("its metadata are not what was saved") from None
    if content["step"] != step:
        raise DamageError(f"it is that of step {content['step']}")
    return content


def _verified_leaves(folder: Path, content: Mapping[str, Any]) -> dict[str, np.ndarray]:
    leaves, saved = items.read_leaves(folder), content["leaves"]
    if set(leaves) != set(saved):
        raise DamageError(f"leaf {min(set(leaves) ^ set(saved))} is missing or foreign")
    for name, leaf in leaves.items():
        if array_digest(leaf) != saved[name]:
            raise DamageError(f"leaf {name} is not what was saved")
    return leaves


def _described(like: Callable[[dict[str, Any]], Any], notes: dict[str, Any]) -> Any:
    try:
        return like(notes)
    except Exception as error:  # whatever a plan that fits nothing leads to
        raise DamageError(f"its notes describe no state: {_reason(error)}") from None


def _verify_shapes(leaves: Mapping[str, np.ndarray], like: Mapping[str, Any]) -> None:
    for name, leaf in like.items():
        wanted = (leaf.shape, leaf.dtype)
        if name not in leaves or (leaves[name].shape, leaves[name].dtype) != wanted:
            raise DamageError(f"leaf {name} should be {leaf.dtype}{list(leaf.shape)}")


def _reason(error: Exception) -> str:
    """The first line of what an error says; of a long one the end, where TensorStore says why."""
    line = next(iter(str(error).splitlines()), "") or type(error).__name__
    return line if len(line) <= 200 else f"...{line[-200:]}"
