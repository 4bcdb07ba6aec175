"""Tensors of a Flax .msgpack file: `flax.serialization.to_bytes` of variables or a train state."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from pathlib import Path as File
from typing import Any, NamedTuple

import jax.numpy as jnp
import msgpack
import numpy as np

from sparsity_jax.audit.tensors import (
    MAX_TENSORS,
    MAX_VECTOR,
    Path,
    Source,
    Tensor,
    checked_shape,
    from_bytes,
)
from sparsity_jax.errors import UserError

_ARRAY, _COMPLEX, _SCALAR = 1, 2, 3  # the extension types of flax.serialization
_MAX_DEPTH = 64


class _Array(NamedTuple):
    shape: tuple[int, ...]
    dtype: str
    content: bytes  # empty where it is larger than a vector of a norm


def read_msgpack(file: File) -> Source:
    """List the arrays of a Flax .msgpack file; of large ones only the shape is kept.

    Raises:
      UserError: it holds no mapping of names to arrays.
    """
    with file.open("rb") as opened:
        unpacker = msgpack.Unpacker(
            opened,
            ext_hook=_unpacked,
            raw=False,
            strict_map_key=False,
            unicode_errors="replace",
            max_buffer_size=max(file.stat().st_size, 1),
        )
        content = unpacker.unpack()
    found: dict[Path, _Array] = {}
    _collect(content, (), found)
    if not found:
        raise UserError("holds no named arrays; valid is what flax.serialization.to_bytes writes")

    def read(paths: Iterable[Path]) -> dict[Path, np.ndarray]:
        return {path: _array(found[path]) for path in paths}

    return Source("Flax msgpack file", {p: Tensor(a.shape) for p, a in found.items()}, read)


def _unpacked(code: int, data: bytes) -> Any:
    if code not in (_ARRAY, _COMPLEX, _SCALAR):
        return None
    if code != _ARRAY:
        return None
    shape, dtype, content = msgpack.unpackb(data, raw=False, max_bin_len=len(data))
    shape = checked_shape(shape)
    return _Array(shape, str(dtype), content if math.prod(shape) <= MAX_VECTOR else b"")


def _collect(node: Any, where: Path, found: dict[Path, _Array]) -> None:
    if isinstance(node, _Array):
        found[where] = node
    elif isinstance(node, Mapping) and len(where) < _MAX_DEPTH and len(found) < MAX_TENSORS:
        if "__msgpack_chunked_array__" in node:  # arrays of more than 1 GB
            shape = node.get("shape") or {}
            sizes = [shape[key] for key in sorted(shape, key=int)]
            found[where] = _Array(checked_shape(sizes), "", b"")
            return
        for key, value in node.items():
            _collect(value, (*where, str(key)), found)


def _array(array: _Array) -> np.ndarray:
    return from_bytes(array.content, jnp.dtype(array.dtype), array.shape)
