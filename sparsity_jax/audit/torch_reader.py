"""Tensors of a PyTorch file, read without PyTorch and without running its pickle.

A .pt file is a zip with a pickle of the structure and one member per storage; before PyTorch 1.6
it was a row of pickles with the storages behind them.
"""

from __future__ import annotations

import collections
import zipfile
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path as File
from typing import Any

import numpy as np

from sparsity_jax.audit.pickles import Inert, Name
from sparsity_jax.audit.tensors import MAX_TENSORS, Path, Source, Tensor, shown, split_name
from sparsity_jax.audit.torch_storage import (
    LegacyStorages,
    StoredTensor,
    ZippedStorages,
    read_legacy_structure,
    read_zipped_structure,
)
from sparsity_jax.errors import UserError

_ADVICE = "valid is what torch.save(model.state_dict(), FILE) writes"
_MAX_DEPTH = 64


def read_torch_zip(file: File) -> Source:
    """List the tensors of what PyTorch 1.6 and later write.

    Raises:
      UserError: whole objects instead of weights, TorchScript, big-endian numbers, damage.
    """
    with zipfile.ZipFile(file) as archive:
        content, folder = read_zipped_structure(archive)
    return _source("PyTorch file", content, ZippedStorages(file, folder))


def read_torch_legacy(file: File) -> Source:
    """List the tensors of what PyTorch before 1.6 wrote.

    Raises:
      UserError: whole objects instead of weights, damage.
    """
    content, starts = read_legacy_structure(file)
    return _source("PyTorch file (before 1.6)", content, LegacyStorages(file, starts))


def _source(what: str, content: Any, storages: ZippedStorages | LegacyStorages) -> Source:
    found: dict[Path, StoredTensor] = {}
    tensors: dict[Path, Tensor] = {}
    left_out: list[tuple[str, str]] = []
    for where, node in _nodes(content):
        name = shown(where)
        if isinstance(node, tuple):
            left_out.append((name, f"the same tensors as {shown(node)}"))
            continue
        if isinstance(node, Inert):
            if _is_module(node):
                left_out.append((name, f"a whole pickled module ({node.callee})"))
            continue
        for key, value in node.items():
            if isinstance(value, StoredTensor):
                path = (*where, *split_name(key, "/" if "/" in key else "."))
                found[path] = value
                tensors[path] = Tensor(value.shape, len(where), value.identity)
    if not tensors:
        raise UserError(_no_weights(content))

    def read(paths: Iterable[Path]) -> dict[Path, np.ndarray]:
        with storages as opened:
            return {path: opened.read(found[path]) for path in paths}

    return Source(what, tensors, read, tuple(left_out))


def _nodes(content: Any) -> Iterator[tuple[Path, dict[str, Any] | Inert | Path]]:
    """Every mapping and placeholder inside with the keys that lead to it.

    A mapping of tensors that was met before is given as the keys that led to it then.
    """
    queue: collections.deque[tuple[Path, Any]] = collections.deque([((), content)])
    seen: dict[int, Path] = {}
    while queue:
        where, node = queue.popleft()
        if id(node) in seen or len(where) > _MAX_DEPTH:
            if id(node) in seen and isinstance(node, Mapping) and _holds_tensors(node):
                yield where, seen[id(node)]
            continue
        seen[id(node)] = where
        if len(seen) > MAX_TENSORS:
            raise UserError("its structure is too large to be that of a network")
        if isinstance(node, Inert):
            yield where, node
            node = node.items
        if isinstance(node, Mapping):
            named = {str(key)[:500]: value for key, value in node.items()}
            yield where, named
            queue.extend(((*where, key), value) for key, value in named.items() if _holds(value))
        elif isinstance(node, list | tuple):
            queue.extend(
                ((*where, str(at)), value) for at, value in enumerate(node) if _holds(value)
            )


def _holds(value: Any) -> bool:
    return isinstance(value, Mapping | list | tuple | Inert)


def _holds_tensors(node: Mapping[Any, Any]) -> bool:
    return any(isinstance(value, StoredTensor) for value in node.values())


def _is_module(node: Inert) -> bool:
    return isinstance(node.state, Mapping) and "_modules" in node.state


def _no_weights(content: Any) -> str:
    """Why there is nothing to read: the placeholder that stands in the way, or nothing at all."""
    strange = [node for _, node in _nodes(content) if isinstance(node, Inert)]
    strange += [v for _, n in _nodes(content) if isinstance(n, dict) for v in n.values()
                if isinstance(v, Inert)]  # fmt: skip
    if not strange:
        kind = type(content).__name__ if not isinstance(content, Name) else str(content)
        return f"holds no named tensors, but a {kind}; {_ADVICE}"
    module = next((node for node in strange if _is_module(node)), strange[0])
    whole = ": it is a whole module, and needs its program" if _is_module(module) else ""
    return (
        f"asks for {str(module.callee)[:100]}, which is more than weights, and is not run{whole}; "
        f"{_ADVICE}"
    )
