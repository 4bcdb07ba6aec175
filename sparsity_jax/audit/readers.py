"""Readers of somebody's checkpoint, which trust no byte of it.

Vectors are read; of larger tensors only the shape is, so that no file can make us unpack more than
it takes to look at its norms. No pickle is ever executed (`foreign_torch` interprets PyTorch's).
"""

from __future__ import annotations

import json
import math
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, BinaryIO

import jax
import ml_dtypes
import numpy as np

from sparsity_jax.audit.tensors import MAX_HEADER, Tensors, vector_or_shape
from sparsity_jax.errors import UserError

FORMATS = "an Orbax checkpoint directory, .safetensors, .pt, .pth or .npz"

_SAFETENSORS_TYPES = {
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


def read_tensors(path: Path) -> Tensors:
    """Read the tensors of a checkpoint by name.

    Args:
      path: an Orbax directory, or a .safetensors, .pt, .pth or .npz file; also a folder that
        `save_model` wrote.

    Returns:
      Name as in the file -> vector, or the shape alone of a tensor with more than one axis.

    Raises:
      UserError: the file is missing, of another kind, truncated, or hostile; it is named.

    Example:
      >>> tensors = read_tensors(Path('model.safetensors'))  # doctest: +SKIP
      >>> tensors['layer1.0.bn1.weight'].shape  # doctest: +SKIP
      (64,)
    """
    if not path.exists():
        raise UserError(f"{path} does not exist; give {FORMATS}")
    if path.is_dir() and (path / "weights.npz").is_file():
        path = path / "weights.npz"
    reader = _reader(path)
    try:
        return reader(path)
    except UserError as error:
        raise UserError(f"{path}: {error}") from None
    # Damage shows as any of these, deep inside zipfile, json, struct or Orbax.
    except Exception as error:
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise UserError(f"{path} is damaged or not {FORMATS}: {reason}") from None


def _reader(path: Path) -> Callable[[Path], Tensors]:
    # Imported here because each brings what only its format needs.
    if path.is_dir():
        from sparsity_jax.audit.orbax_reader import read_orbax

        return read_orbax
    from sparsity_jax.audit.torch_reader import read_torch

    kinds = {
        ".safetensors": _read_safetensors,
        ".npz": _read_npz,
        ".pt": read_torch,
        ".pth": read_torch,
    }
    if path.suffix.lower() not in kinds:
        raise UserError(f"{path} is not a checkpoint known here; give {FORMATS}")
    return kinds[path.suffix.lower()]


def _read_safetensors(path: Path) -> Tensors:
    size = path.stat().st_size
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        if not 2 <= length <= min(MAX_HEADER, size - 8):
            raise UserError("the header's length is wrong: the file is damaged or truncated")
        header: Mapping[str, Any] = json.loads(file.read(length))
        entries = {name: entry for name, entry in header.items() if name != "__metadata__"}
        return {name: _safetensor(file, name, e, 8 + length, size) for name, e in entries.items()}


def _safetensor(file: BinaryIO, name: str, entry: Any, data: int, size: int) -> Any:
    dtype = _SAFETENSORS_TYPES.get(entry["dtype"])
    (start, end), shape = entry["data_offsets"], tuple(entry["shape"])
    if dtype is None:
        return jax.ShapeDtypeStruct(shape, np.uint8)  # an exotic type; norms are never of one
    fits = 0 <= start <= end <= size - data
    if not fits or end - start != math.prod(shape) * np.dtype(dtype).itemsize:
        raise UserError(f"tensor {name} does not fit its place: the file is damaged or truncated")
    file.seek(data + start)
    return vector_or_shape(shape, dtype, file.read)


def _read_npz(path: Path) -> Tensors:
    tensors = {}
    with zipfile.ZipFile(path) as archive:
        for entry in archive.infolist():
            with archive.open(entry) as file:
                major, _ = np.lib.format.read_magic(file)
                headers = np.lib.format
                read = (
                    headers.read_array_header_1_0 if major == 1 else headers.read_array_header_2_0
                )
                shape, _, dtype = read(file)
                if dtype.hasobject:
                    raise UserError(f"array {entry.filename} is pickled; valid are plain numbers")
                tensors[entry.filename.removesuffix(".npy")] = vector_or_shape(
                    shape, dtype, file.read
                )
    return tensors
