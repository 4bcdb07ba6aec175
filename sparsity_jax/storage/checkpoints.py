"""How is a run's state kept so that nothing is lost and nothing damaged is believed?

Orbax writes checkpoints asynchronously and commits them atomically. It restores flipped bits
without a word, so every leaf carries a digest, and restoring walks back to the newest step whose
leaves all verify.
"""

from __future__ import annotations

import hashlib
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np
import orbax.checkpoint as ocp

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

    Example:
      >>> with Checkpoints(folder) as checkpoints:
      ...     checkpoints.save(10, state, arrays={'gamma/C1': gamma}, notes={'seconds': 1.5})
      ...     step, state, arrays, notes = checkpoints.restore(like=state)
    """

    def __init__(self, folder: Path, *, keep: int = 2) -> None:
        self._folder = folder.resolve()
        self._options = ocp.CheckpointManagerOptions(
            max_to_keep=keep, cleanup_tmp_directories=True, enable_background_delete=False
        )
        self._manager = self._open()

    def __enter__(self) -> Checkpoints:
        return self

    def __exit__(self, *_: object) -> None:
        self._manager.close()

    def save(self, step: int, state: Any, *, arrays: Arrays, notes: Mapping[str, Any]) -> None:
        """Start saving a checkpoint; the copy off the device is done when this returns.

        Args:
          step: training steps taken.
          state: any pytree of arrays.
          arrays: further arrays by name, of sizes that may differ between checkpoints.
          notes: anything JSON can hold.
        """
        leaves = {**_named("state", state), **{f"arrays{name}": a for name, a in arrays.items()}}
        leaves = {name: np.asarray(leaf) for name, leaf in leaves.items()}
        content = {"digests": {name: _digest(leaf) for name, leaf in leaves.items()}, **notes}
        saved = self._manager.save(
            step,
            args=ocp.args.Composite(
                leaves=ocp.args.StandardSave(leaves), notes=ocp.args.JsonSave(content)
            ),
            force=True,
        )
        if not saved:
            raise OSError(f"the checkpoint of step {step} in {self._folder} was not written")

    def restore(self, like: Any) -> Restored | None:
        """The newest checkpoint that verifies, or None when there is none.

        A damaged one is named on stderr, removed, and the one before it is tried.

        Args:
          like: a state of the structure, shapes and dtypes to restore.
        """
        for step in sorted(self._manager.all_steps(), reverse=True):
            try:
                return self._read(step, like)
            except Exception as error:  # Orbax raises bare exceptions for damaged files
                reason = str(error).splitlines()[0] if str(error) else type(error).__name__
                print(
                    f"warning: checkpoint {self._folder / str(step)} is damaged and is not used: "
                    f"{reason[:200]}",
                    file=sys.stderr,
                )
                self._remove(step)
        return None

    def wait(self) -> None:
        """Wait until what was saved is committed."""
        self._manager.wait_until_finished()

    def _read(self, step: int, like: Any) -> Restored:
        found: Any = self._manager.restore(
            step,
            args=ocp.args.Composite(
                leaves=ocp.args.StandardRestore(), notes=ocp.args.JsonRestore()
            ),
        )
        notes = dict(found.notes)
        digests = notes.pop("digests")
        leaves = {name: np.asarray(leaf) for name, leaf in found.leaves.items()}
        _verify(leaves, digests, _named("state", like))
        names = list(_named("state", like))
        state = jax.tree.unflatten(jax.tree.structure(like), [leaves[name] for name in names])
        arrays = {
            name.removeprefix("arrays"): leaf
            for name, leaf in leaves.items()
            if name.startswith("arrays")
        }
        return Restored(step, jax.device_put(state), arrays, notes)

    def _open(self) -> ocp.CheckpointManager:
        return ocp.CheckpointManager(
            self._folder, options=self._options, item_names=("leaves", "notes")
        )

    def _remove(self, step: int) -> None:
        self._manager.close()
        shutil.rmtree(self._folder / str(step), ignore_errors=True)
        self._manager = self._open()


def _named(prefix: str, tree: Any) -> dict[str, Any]:
    """Leaf path -> leaf, in the order in which the tree is flattened."""
    leaves = jax.tree_util.tree_leaves_with_path(tree)
    return {prefix + jax.tree_util.keystr(path): leaf for path, leaf in leaves}


def _digest(leaf: np.ndarray) -> str:
    about = f"{leaf.dtype}{leaf.shape}".encode()
    content = np.ascontiguousarray(leaf).tobytes()
    return hashlib.blake2b(about + content, digest_size=16).hexdigest()


def _verify(
    leaves: Mapping[str, np.ndarray], digests: Mapping[str, str], like: Mapping[str, Any]
) -> None:
    if set(leaves) != set(digests):
        raise DamageError(f"leaf {min(set(leaves) ^ set(digests))} is missing or foreign")
    for name, leaf in leaves.items():
        if _digest(leaf) != digests[name]:
            raise DamageError(f"leaf {name} is not what was saved")
    for name, leaf in like.items():
        wanted = (leaf.shape, leaf.dtype)
        if name not in leaves or (leaves[name].shape, leaves[name].dtype) != wanted:
            raise DamageError(f"leaf {name} should be {leaf.dtype}{list(leaf.shape)}")
