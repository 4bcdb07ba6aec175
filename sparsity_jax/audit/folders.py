"""Folders of checkpoints: Orbax at every level, shards with an index, a folder with one file."""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Callable, Iterable
from pathlib import Path as File

import numpy as np

from sparsity_jax.audit.tensors import MAX_HEADER, Path, Source, split_name
from sparsity_jax.errors import UserError

OpenFile = Callable[[File], Source]
_SUFFIXES = (".safetensors", ".pt", ".pth", ".bin", ".ckpt", ".msgpack", ".npz", ".tar")
_TREE, _CHECKPOINT = "_METADATA", "_CHECKPOINT_METADATA"
_STEP = re.compile(r"(.*?)(\d+)$")


def read_folder(folder: File, open_file: OpenFile) -> Source:
    """List the tensors of the one checkpoint in a folder.

    Args:
      folder: what may hold it.
      open_file: opens a file in it, whatever its format.

    Raises:
      UserError: there is none, or several; some are named.
    """
    folder = folder.resolve()
    if (folder / "weights.npz").is_file():
        return open_file(folder / "weights.npz")
    indexes = sorted(folder.glob("*.index.json"))
    if len(indexes) == 1:
        return read_index(indexes[0], open_file)
    trees = find_trees(folder)
    alone = trees == [folder] and not _has_statistics(folder)
    if alone and (folder.parent / _CHECKPOINT).is_file():
        return read_folder(folder.parent, open_file)
    if trees:
        # Orbax warns that items of a step lack metadata of their own; they always do.
        logging.getLogger("absl").setLevel(logging.ERROR)
        from sparsity_jax.audit.orbax_reader import read_trees

        return read_trees(trees, _said(folder, trees))
    files = sorted(p for p in folder.iterdir() if p.is_file() and p.suffix in _SUFFIXES)
    if len(files) == 1:
        return open_file(files[0])
    if files:
        raise UserError(
            f"holds {len(files)} checkpoints; give one of them, such as {files[0].name}"
        )
    if (folder / ".metadata").is_file() or any(folder.glob("*.distcp")):
        raise UserError(
            "is a distributed PyTorch checkpoint; write one file with "
            "torch.distributed.checkpoint.format_utils.dcp_to_torch_save"
        )
    if (folder / "saved_model.pb").is_file() or any(folder.glob("*.index")):
        raise UserError("is TensorFlow's; load it and write its variables with numpy.savez")
    raise UserError("no Orbax checkpoint inside (no _METADATA); give the checkpoint's directory")


def find_trees(folder: File, top: File | None = None) -> list[File]:
    """The trees of one step: the folder itself, the items of a step, or those of the newest step.

    Raises:
      UserError: several checkpoints lie there.
    """
    if (folder / _TREE).is_file():
        return [folder]
    children = sorted(_folders(folder))
    trees = [child for child in children if (child / _TREE).is_file()]
    items = [tree for tree in trees if not (tree / _CHECKPOINT).is_file()]
    numbered = {child: int(m[2]) for child in children if (m := _STEP.match(child.name))}
    if (folder / _CHECKPOINT).is_file() or (items and not all(tree in numbered for tree in items)):
        return items or trees
    steps = {child: n for child, n in numbered.items() if child in trees or _is_step(child)}
    others = [c for c in children if c not in steps and (c in trees or _is_step(c))]
    if steps and not others and len({_STEP.sub(r"\1", child.name) for child in steps}) == 1:
        return find_trees(max(steps, key=lambda child: (steps[child], child.name)), top or folder)
    below = {child: find_trees(child, top or folder) for child in children}
    inside = {str(child.relative_to(folder)): found for child, found in below.items() if found}
    if len(inside) > 1:
        first = _down(folder / next(iter(inside)))
        raise UserError(
            f"holds {len(inside)} checkpoints; give one of them, such as "
            f"{first.relative_to(top or folder)}"
        )
    return next(iter(inside.values()), [])


def read_index(file: File, open_file: OpenFile) -> Source:
    """List the tensors of a checkpoint in shards, by its `*.index.json`.

    Args:
      file: the index.
      open_file: opens a shard.

    Raises:
      UserError: it is no such index, or names files elsewhere.
    """
    if file.stat().st_size > MAX_HEADER:
        raise UserError("the index is too large")
    content = json.loads(file.read_bytes())
    places = content.get("weight_map") if isinstance(content, dict) else None
    if not isinstance(places, dict) or not places:
        raise UserError("is JSON, but not the index of a checkpoint in shards (no weight_map)")
    names = sorted({str(name) for name in places.values()})
    if any(File(name).name != name or name in ("", ".", "..") for name in names):
        raise UserError("its weight_map names files in other folders")
    shards = [open_file(file.parent / name) for name in names]
    owner = {path: shard for shard in shards for path in shard.tensors}
    order = [split_name(str(name), "/" if "/" in str(name) else ".") for name in places]
    known = {path: owner[path].tensors[path] for path in [*order, *owner] if path in owner}

    def read(paths: Iterable[Path]) -> dict[Path, np.ndarray]:
        wanted = list(paths)
        found = (s.read([p for p in wanted if owner[p] is s]) for s in shards)
        return {path: array for each in found for path, array in each.items()}

    return Source(f"{shards[0].what.removesuffix(' file')} in {len(shards)} shards", known, read)


def _has_statistics(tree: File) -> bool:
    """Whether a tree holds running means; they may be another item of its step."""
    text = (tree / _TREE).read_bytes()
    return b'"mean"' in text or b'"var"' in text


def _folders(folder: File) -> list[File]:
    return [child for child in folder.iterdir() if child.is_dir() and not child.is_symlink()]


def _is_step(folder: File) -> bool:
    """Whether items of a step lie in a folder."""
    inside = [child for child in _folders(folder) if (child / _TREE).is_file()]
    return any(not (child / _CHECKPOINT).is_file() for child in inside)


def _down(folder: File) -> File:
    """The folder of the steps, for a message: the deepest folder that holds more than one thing."""
    while not _is_step(folder) and not (folder / _TREE).is_file():
        children = _folders(folder)
        steps = [child for child in children if _is_step(child) or (child / _TREE).is_file()]
        if steps or len(children) != 1:
            return folder
        folder = children[0]
    return folder


def _said(folder: File, trees: list[File]) -> str:
    """What was read: the step, and its items where there are several."""
    if len(trees) == 1:
        where = str(trees[0].relative_to(folder))
        return "Orbax checkpoint" + (f" {where}" if where != "." else "")
    step, names = str(trees[0].parent.relative_to(folder)), ", ".join(tree.name for tree in trees)
    return "Orbax checkpoint" + (f" {step}" if step != "." else "") + f" (items {names})"
