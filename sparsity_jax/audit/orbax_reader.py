"""Tensors of Orbax trees: their metadata, and the vectors that are asked for."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path as File
from typing import Any

import jax
import numpy as np
import orbax.checkpoint as ocp

from sparsity_jax.audit.tensors import Path, Source, Tensor, checked_shape


def read_trees(folders: Sequence[File], what: str) -> Source:
    """List the tensors of one step's trees.

    Args:
      folders: each with one tree; where there are several, the name of each stands before the
        names of its tensors.
      what: what they are, in the user's words.
    """
    trees = {folder: _metadata(folder) for folder in folders}
    tensors: dict[Path, Tensor] = {}
    places: dict[Path, tuple[File, Any]] = {}
    for folder, tree in trees.items():
        for keys, leaf in jax.tree_util.tree_flatten_with_path(tree, is_leaf=_is_array)[0]:
            if _is_array(leaf):
                prefix = (folder.name,) if len(folders) > 1 else ()
                path = (*prefix, *(jax.tree_util.keystr((key,), simple=True) for key in keys))
                tensors[path] = Tensor(checked_shape(leaf.shape))
                places[path] = folder, keys

    def read(paths: Iterable[Path]) -> dict[Path, np.ndarray]:
        wanted = list(paths)
        found: dict[Path, np.ndarray] = {}
        for folder, tree in trees.items():
            mine = {places[path][1]: path for path in wanted if places[path][0] == folder}
            if mine:
                found |= {mine[keys]: array for keys, array in _restored(folder, tree, mine)}
        return found

    return Source(what, tensors, read)


def _metadata(folder: File) -> Any:
    handler: Any = ocp.PyTreeCheckpointHandler()
    found = handler.metadata(folder)
    return getattr(found, "tree", found)


def _restored(folder: File, tree: Any, wanted: Any) -> list[tuple[Any, np.ndarray]]:
    """The leaves with some keys; the others stay on the disk."""
    asked = jax.tree_util.tree_map_with_path(
        lambda keys, leaf: leaf if keys in wanted else ocp.PLACEHOLDER, tree, is_leaf=_is_array
    )
    types = jax.tree.map(lambda _: ocp.RestoreArgs(restore_type=np.ndarray), asked)
    handler: Any = ocp.PyTreeCheckpointHandler()
    restored = handler.restore(folder, args=ocp.args.PyTreeRestore(item=asked, restore_args=types))
    leaves = jax.tree_util.tree_flatten_with_path(restored)[0]
    return [(keys, np.asarray(leaf)) for keys, leaf in leaves if keys in wanted]


def _is_array(leaf: Any) -> bool:
    return getattr(leaf, "shape", None) is not None
