"""Tensors of an Orbax checkpoint, whoever wrote it."""

from __future__ import annotations

import logging
import warnings
from pathlib import Path
from typing import Any

import jax
import numpy as np
import orbax.checkpoint as ocp
from jax.tree_util import DictKey, GetAttrKey, SequenceKey

from sparsity_jax.audit.tensors import MAX_VECTOR, Tensors
from sparsity_jax.errors import UserError


def read_orbax(path: Path) -> Tensors:
    """Tensors of an Orbax checkpoint: a saved tree, a step, or a folder of steps (newest taken).

    Where a step holds several trees, the name of each stands before the names of its tensors.

    Raises:
      UserError: no saved tree inside.
    """
    # Orbax warns that item folders of a step lack top-level metadata; they always do.
    logging.getLogger("absl").setLevel(logging.ERROR)
    trees = _newest_trees(path)
    return {
        (f"{folder.name}/{name}" if len(trees) > 1 else name): leaf
        for folder in trees
        for name, leaf in _read_tree(folder).items()
    }


def _read_tree(folder: Path) -> Tensors:
    with ocp.PyTreeCheckpointer() as checkpointer:
        tree = checkpointer.metadata(folder).item_metadata.tree
        wanted = jax.tree.map(_restore_args, tree, is_leaf=_is_array)
        with warnings.catch_warnings():  # it was saved elsewhere, on other devices: that is fine
            warnings.simplefilter("ignore")
            restored = checkpointer.restore(folder, restore_args=wanted)
    flat = jax.tree_util.tree_flatten_with_path(restored)[0]
    return {"/".join(_name(key) for key in keys): _light(leaf) for keys, leaf in flat}


def _newest_trees(path: Path) -> list[Path]:
    """The folders of one step's trees."""
    saved = sorted(found.parent for found in path.resolve().rglob("_METADATA"))
    if not saved:
        raise UserError(
            "no Orbax checkpoint inside (no _METADATA); give the checkpoint's directory"
        )
    runs = sorted({str(_run(folder).relative_to(path.resolve())) for folder in saved})
    if len(runs) > 1:
        raise UserError(f"holds {len(runs)} checkpoints; give one of them, such as {runs[0]}")
    newest = max(_step(folder) for folder in saved)
    return [folder for folder in saved if _step(folder) == newest]


def _run(folder: Path) -> Path:
    """The folder that holds the steps: RUN of RUN/12/default, RUN/12 or RUN itself."""
    step = next((up for up in (folder, folder.parent) if up.name.isdigit()), None)
    return step.parent if step else folder


def _step(folder: Path) -> int:
    return max((int(up.name) for up in (folder, folder.parent) if up.name.isdigit()), default=-1)


def _is_array(leaf: Any) -> bool:
    return hasattr(leaf, "shape")


def _restore_args(leaf: Any) -> ocp.RestoreArgs:
    return ocp.RestoreArgs(restore_type=np.ndarray if _is_array(leaf) else None)


def _light(leaf: Any) -> Any:
    if getattr(leaf, "ndim", 0) > 1 or getattr(leaf, "size", 0) > MAX_VECTOR:
        return jax.ShapeDtypeStruct(leaf.shape, leaf.dtype)
    return leaf


def _name(key: Any) -> str:
    match key:
        case DictKey(key=name) | GetAttrKey(name=name):
            return str(name)
        case SequenceKey(idx=index):
            return str(index)
    return str(key)
