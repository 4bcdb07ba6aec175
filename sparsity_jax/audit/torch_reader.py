"""Tensors of a PyTorch file, read without PyTorch and without running its pickle.

A .pt file is a zip with a pickle of the structure and one member per storage. The interpreter below
knows the handful of names that weights need and refuses every other, as `weights_only=True` does.
"""

from __future__ import annotations

import collections
import dataclasses
import io
import math
import pickle
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np

from sparsity_jax.audit.tensors import MAX_HEADER, Tensors, vector_or_shape
from sparsity_jax.errors import UserError

_STORAGES: dict[str, Any] = {
    "DoubleStorage": np.float64,
    "FloatStorage": np.float32,
    "HalfStorage": np.float16,
    "BFloat16Storage": ml_dtypes.bfloat16,
    "LongStorage": np.int64,
    "IntStorage": np.int32,
    "ShortStorage": np.int16,
    "CharStorage": np.int8,
    "ByteStorage": np.uint8,
    "BoolStorage": np.bool_,
}
MAX_NODES = 10**6


@dataclasses.dataclass(frozen=True)
class _Storage:
    key: str
    dtype: Any


@dataclasses.dataclass(frozen=True)
class _Tensor:
    storage: _Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]


def read_torch(path: Path) -> Tensors:
    """Tensors of the (first) state dict in a .pt or .pth file, by their names in it.

    Wrappers such as {'model': state_dict, 'epoch': 3} are looked into; the state dict that holds
    running statistics is the one that counts.

    Raises:
      UserError: not a zip (saved before PyTorch 1.6), whole objects instead of weights, damage.
    """
    if not zipfile.is_zipfile(path):
        raise UserError(
            "not a zip file: truncated, or saved before PyTorch 1.6; save it anew with torch.save"
        )
    with zipfile.ZipFile(path) as archive:
        names = [name for name in archive.namelist() if name.rpartition("/")[2] == "data.pkl"]
        if len(names) != 1:
            raise UserError(
                "no data.pkl inside; valid is what torch.save(model.state_dict()) writes"
            )
        folder = names[0].removesuffix("data.pkl")
        if f"{folder}byteorder" in archive.namelist() and _head(
            archive, f"{folder}byteorder", 16
        ) != (b"little"):
            raise UserError("saved on a big-endian machine; valid are little-endian files")
        content = _head(archive, names[0], MAX_HEADER + 1)
        if len(content) > MAX_HEADER:
            raise UserError("its data.pkl is too large to be the structure of a network")
        state = _state_dict(_Weights(io.BytesIO(content)).load())
        return {name: _read(archive, folder, tensor) for name, tensor in state.items()}


class _Weights(pickle._Unpickler):  # pyright: ignore[reportAttributeAccessIssue]
    """Interprets a pickle of weights; the Python version, whose memo cannot be made to explode."""

    def find_class(self, module_name: str, global_name: str) -> Any:
        match module_name, global_name:
            case "collections", "OrderedDict":
                return collections.OrderedDict
            case "torch._utils", "_rebuild_tensor_v2":
                return _rebuild_tensor
            case "torch._utils", "_rebuild_parameter":
                return _rebuild_parameter
            case "torch", "Size":
                return tuple
            case "torch", kind if kind in _STORAGES:
                return _STORAGES[kind]
        raise UserError(
            f"asks for {module_name}.{global_name}, which is more than weights, and is not run; "
            "valid is what torch.save(model.state_dict()) writes"
        )

    def persistent_load(self, pid: Any) -> _Storage:
        kind, dtype, key, _, _ = pid
        if kind != "storage" or not isinstance(key, str):
            raise UserError("its storages are not PyTorch's")
        return _Storage(key, np.dtype(dtype))


def _rebuild_tensor(storage: Any, offset: int, shape: Any, strides: Any, *_: Any) -> _Tensor:
    if not isinstance(storage, _Storage):
        raise UserError("a tensor has no storage")
    return _Tensor(storage, offset, tuple(shape), tuple(strides))


def _rebuild_parameter(data: Any, *_: Any) -> Any:
    return data


def _state_dict(content: Any) -> dict[str, _Tensor]:
    """The first mapping of names to tensors that has running statistics, or the first at all."""
    found = [tensors for tensors in _mappings(content) if tensors]
    with_norms = [t for t in found if any(name.endswith("running_var") for name in t)]
    if not found:
        raise UserError(
            "holds no named tensors; valid is what torch.save(model.state_dict()) writes"
        )
    return (with_norms or found)[0]


def _mappings(content: Any) -> Iterator[dict[str, _Tensor]]:
    """Every mapping inside, outermost first; shared and cyclic references are visited once."""
    queue, seen = collections.deque([content]), set()
    while queue:
        node = queue.popleft()
        if id(node) in seen:
            continue
        seen.add(id(node))
        if len(seen) > MAX_NODES:
            raise UserError("its structure is too large to be that of a network")
        if isinstance(node, Mapping):
            yield {str(k): v for k, v in node.items() if isinstance(v, _Tensor)}
            queue.extend(node.values())
        elif isinstance(node, list | tuple):
            queue.extend(node)


def _read(archive: zipfile.ZipFile, folder: str, tensor: _Tensor) -> Any:
    def read(wanted: int) -> bytes:
        stride = tensor.strides[0] if tensor.shape and math.prod(tensor.shape) > 1 else 1
        if stride != 1 or not 0 <= tensor.offset <= MAX_HEADER:
            raise UserError("a vector does not lie in its storage in one piece")
        start = tensor.offset * tensor.storage.dtype.itemsize
        return _head(archive, f"{folder}data/{tensor.storage.key}", start + wanted)[start:]

    return vector_or_shape(tensor.shape, tensor.storage.dtype, read)


def _head(archive: zipfile.ZipFile, name: str, size: int) -> bytes:
    """The first bytes of a member; never more than asked for, whatever the zip claims."""
    with archive.open(name) as file:
        return file.read(size)
