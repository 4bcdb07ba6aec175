"""Tensors of a .safetensors file: its header, and the vectors that are asked for."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from pathlib import Path as File
from typing import Any, NamedTuple

import ml_dtypes
import numpy as np

from sparsity_jax.audit.tensors import (
    MAX_HEADER,
    Path,
    Source,
    Tensor,
    checked_shape,
    from_bytes,
    separator_of,
    split_name,
)
from sparsity_jax.errors import UserError

_TYPES: Mapping[str, Any] = {
    "F64": np.float64,
    "F32": np.float32,
    "F16": np.float16,
    "BF16": ml_dtypes.bfloat16,
    "F8_E4M3": ml_dtypes.float8_e4m3fn,
    "F8_E5M2": ml_dtypes.float8_e5m2,
    "I64": np.int64,
    "I32": np.int32,
    "I16": np.int16,
    "I8": np.int8,
    "U64": np.uint64,
    "U32": np.uint32,
    "U16": np.uint16,
    "U8": np.uint8,
    "BOOL": np.bool_,
}


class _Place(NamedTuple):
    start: int
    size: int
    dtype: Any
    shape: tuple[int, ...]


def read_safetensors(file: File) -> Source:
    """List the tensors of a .safetensors file.

    Raises:
      UserError: its header does not fit its length.
    """
    with file.open("rb") as opened:
        size = file.stat().st_size
        length = int.from_bytes(opened.read(8), "little")
        if not 2 <= length <= min(MAX_HEADER, size - 8):
            raise UserError("the header's length is wrong: the file is damaged or truncated")
        header: Mapping[str, Any] = json.loads(opened.read(length))
    entries = {name: entry for name, entry in header.items() if name != "__metadata__"}
    separator = separator_of(entries)
    places = {
        split_name(name, separator): _place(name, entry, 8 + length, size)
        for name, entry in entries.items()
    }

    def read(paths: Iterable[Path]) -> dict[Path, np.ndarray]:
        with file.open("rb") as opened:
            return {path: _read(opened, places[path]) for path in paths}

    tensors = {path: Tensor(place.shape) for path, place in places.items()}
    return Source("safetensors file", tensors, read)


def is_safetensors(head: bytes, size: int) -> bool:
    """Whether a file's first bytes are a length and the beginning of a JSON object."""
    return head[8:9] == b"{" and 2 <= int.from_bytes(head[:8], "little") <= size


def _place(name: str, entry: Any, data: int, size: int) -> _Place:
    dtype = _TYPES.get(entry["dtype"])
    (start, end), shape = entry["data_offsets"], checked_shape(entry["shape"])
    wanted = end - start if dtype is None else math.prod(shape) * np.dtype(dtype).itemsize
    if not 0 <= start <= end <= size - data or end - start != wanted:
        raise UserError(f"tensor {name} does not fit its place: the file is damaged or truncated")
    return _Place(data + start, wanted, dtype, shape)


def _read(opened: Any, place: _Place) -> np.ndarray:
    if place.dtype is None:
        raise UserError("a norm is of a number type that is not known here")
    opened.seek(place.start)
    return from_bytes(opened.read(place.size), place.dtype, place.shape)
