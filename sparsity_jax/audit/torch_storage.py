"""Structure and storages of PyTorch's two file formats."""

from __future__ import annotations

import dataclasses
import io
import math
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path as File
from typing import Any, BinaryIO

import ml_dtypes
import numpy as np

from sparsity_jax.audit.pickles import Name, read_pickle
from sparsity_jax.audit.tensors import MAX_HEADER, MAX_VECTOR, checked_shape
from sparsity_jax.errors import UserError

LEGACY_MAGIC = 0x1950A86A20F9469CFC6C
_TYPES: Mapping[str, Any] = {
    "Double": np.float64, "Float": np.float32, "Half": np.float16, "BFloat16": ml_dtypes.bfloat16,
    "Long": np.int64, "Int": np.int32, "Short": np.int16, "Char": np.int8, "Byte": np.uint8,
    "Bool": np.bool_, "float64": np.float64, "float32": np.float32, "float16": np.float16,
    "bfloat16": ml_dtypes.bfloat16, "float8_e4m3fn": ml_dtypes.float8_e4m3fn,
    "float8_e5m2": ml_dtypes.float8_e5m2, "int64": np.int64, "int32": np.int32,
    "int16": np.int16, "int8": np.int8, "uint8": np.uint8, "uint16": np.uint16,
    "uint32": np.uint32, "uint64": np.uint64, "bool": np.bool_,
}  # fmt: skip


@dataclasses.dataclass(frozen=True)
class Storage:
    """A row of numbers in the file; dtype is None where the tensor says it, or it is unknown."""

    key: str
    dtype: Any
    size: int


@dataclasses.dataclass(frozen=True)
class StoredTensor:
    """A view of a storage: offset and strides in elements."""

    storage: Storage
    dtype: Any
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]

    @property
    def identity(self) -> tuple[Any, ...]:
        """Equal for two names of the same memory."""
        return self.storage.key, self.offset, self.shape, self.strides


def read_zipped_structure(archive: zipfile.ZipFile) -> tuple[Any, str]:
    """Read the pickle of a .pt file; returns it with the folder that its storages lie in."""
    members = set(archive.namelist())
    names = [name for name in members if name.rpartition("/")[2] == "data.pkl"]
    if len(names) != 1:
        raise UserError("no data.pkl inside; valid is what torch.save(model.state_dict()) writes")
    folder = names[0].removesuffix("data.pkl")
    if f"{folder}constants.pkl" in members:
        raise UserError(
            "is TorchScript, a program; save its weights: "
            "torch.save(torch.jit.load(FILE).state_dict(), 'weights.pt')"
        )
    if f"{folder}byteorder" in members and _head(archive, f"{folder}byteorder", 16) != b"little":
        raise UserError("saved on a big-endian machine; valid are little-endian files")
    content = _head(archive, names[0], MAX_HEADER + 1)
    if len(content) > MAX_HEADER:
        raise UserError("its data.pkl is too large to be the structure of a network")
    return read_pickle(io.BytesIO(content), _call, _storage), folder


def read_legacy_structure(file: File) -> tuple[Any, dict[str, int]]:
    """Read the pickles of a file before PyTorch 1.6, with the place of each storage."""
    size = file.stat().st_size
    with file.open("rb") as opened:
        head = _Limited(opened, MAX_HEADER)
        read_pickle(head, _call, _storage)  # the magic number
        read_pickle(head, _call, _storage)  # the protocol
        system = read_pickle(head, _call, _storage)
        if isinstance(system, dict) and system.get("little_endian") is False:
            raise UserError("saved on a big-endian machine; valid are little-endian files")
        storages: dict[str, Storage] = {}

        def note(pid: Any) -> Storage:
            storage = _storage(pid)
            return storages.setdefault(storage.key, storage)

        content = read_pickle(head, _call, note)
        keys = read_pickle(head, _call, note)
        return content, _starts(keys, storages, opened.tell(), size)


def _starts(keys: Any, storages: Mapping[str, Storage], at: int, size: int) -> dict[str, int]:
    """Byte at which each storage begins: one after another, each behind its length."""
    starts = {}
    for key in keys if isinstance(keys, list) else ():
        storage = storages.get(key) if isinstance(key, str) else None
        if storage is None or storage.dtype is None:
            break
        starts[storage.key] = at + 8
        at += 8 + storage.size * np.dtype(storage.dtype).itemsize
        if at > size:
            raise UserError("a storage lies behind the end: the file is damaged or truncated")
    return starts


class _Limited:
    """A file of which only so many bytes can be read, for pickles that lie about their length."""

    def __init__(self, file: BinaryIO, limit: int) -> None:
        self._file, self._left = file, limit

    def read(self, count: int = -1) -> bytes:
        if count < 0 or count > self._left:
            raise UserError("its pickle is too large to be the structure of a network")
        self._left -= count
        return self._file.read(count)

    def readline(self) -> bytes:
        line = self._file.readline(min(self._left, 2**16))
        self._left -= len(line)
        return line


class ZippedStorages:
    """Reads tensors of a .pt file while it is open."""

    def __init__(self, file: File, folder: str) -> None:
        self._file, self._folder = file, folder

    def __enter__(self) -> ZippedStorages:
        self._archive = zipfile.ZipFile(self._file)
        self._raw = self._file.open("rb")
        return self

    def __exit__(self, *_: object) -> None:
        self._archive.close()
        self._raw.close()

    def read(self, tensor: StoredTensor) -> np.ndarray:
        """Read one tensor; of its storage only the bytes that it spans."""
        info = self._archive.getinfo(f"{self._folder}data/{tensor.storage.key}")
        start, count = _span(tensor)
        if info.compress_type == zipfile.ZIP_STORED:
            self._raw.seek(info.header_offset + 26)
            lengths = np.frombuffer(self._raw.read(4), "<u2")
            skipped = start if start + count <= info.file_size else info.file_size
            self._raw.seek(info.header_offset + 30 + int(lengths.sum()) + skipped)
            return _strided(self._raw.read(min(count, info.file_size - skipped)), tensor)
        if start > MAX_HEADER:
            raise UserError("a vector lies too deep in a compressed storage")
        return _strided(_head(self._archive, info.filename, start + count)[start:], tensor)


class LegacyStorages:
    """Reads tensors of a file before PyTorch 1.6 while it is open."""

    def __init__(self, file: File, starts: Mapping[str, int]) -> None:
        self._file, self._starts = file, starts

    def __enter__(self) -> LegacyStorages:
        self._raw = self._file.open("rb")
        return self

    def __exit__(self, *_: object) -> None:
        self._raw.close()

    def read(self, tensor: StoredTensor) -> np.ndarray:
        """Read one tensor; of its storage only the bytes that it spans."""
        if tensor.storage.key not in self._starts:
            raise UserError("a tensor has no storage: the file is damaged or truncated")
        start, count = _span(tensor)
        self._raw.seek(self._starts[tensor.storage.key] + start)
        return _strided(self._raw.read(count), tensor)


def _span(tensor: StoredTensor) -> tuple[int, int]:
    """First byte of a tensor in its storage, and how many it spans."""
    if tensor.dtype is None:
        raise UserError("a norm is of a number type that is not known here")
    ends = [(n - 1) * stride for n, stride in zip(tensor.shape, tensor.strides, strict=True)]
    elements = sum(ends) + 1
    if min(tensor.strides, default=0) < 0 or tensor.offset < 0 or elements > 4 * MAX_VECTOR:
        raise UserError("a vector does not lie in its storage in one piece")
    size = np.dtype(tensor.dtype).itemsize
    return tensor.offset * size, elements * size


def _strided(content: bytes, tensor: StoredTensor) -> np.ndarray:
    dtype = np.dtype(tensor.dtype)
    if len(content) != _span(tensor)[1]:
        raise UserError("a tensor has fewer bytes than its shape needs: the file is truncated")
    strides = [stride * dtype.itemsize for stride in tensor.strides]
    row = np.frombuffer(content, dtype)
    return np.lib.stride_tricks.as_strided(row, tensor.shape, strides, writeable=False)


def _head(archive: zipfile.ZipFile, name: str, size: int) -> bytes:
    """The first bytes of a member; never more than asked for, whatever the zip claims."""
    with archive.open(name) as file:
        return file.read(size)


def _storage(pid: Any) -> Storage:
    """What a persistent id stands for: ('storage', type, key, device, size)."""
    if not isinstance(pid, tuple) or len(pid) < 5 or pid[0] != "storage":
        raise UserError("its storages are not PyTorch's")
    kind, key, size = pid[1], pid[2], pid[4]
    if not isinstance(kind, Name) or not isinstance(key, str) or type(size) is not int:
        raise UserError("its storages are not PyTorch's")
    return Storage(key, _TYPES.get(kind.name.removesuffix("Storage")), size)


def _call(name: str, arguments: tuple[Any, ...]) -> Any:
    """The calls that weights need; every other stays a placeholder."""
    match name, arguments:
        case "collections.OrderedDict" | "builtins.dict" | "__builtin__.dict", ():
            return {}
        case "collections.OrderedDict", (list(pairs),):
            return {str(pair[0]): pair[1] for pair in pairs if len(pair) == 2}
        case "collections.defaultdict", _:
            return {}
        case "torch.Size", (sizes,):
            return sizes
        case (
            "torch._utils._rebuild_tensor" | "torch._utils._rebuild_tensor_v2",
            (Storage() as storage, offset, shape, strides, *_),
        ):
            return _tensor(storage, storage.dtype, offset, shape, strides)
        case (
            "torch._utils._rebuild_tensor_v3",
            (Storage() as storage, offset, shape, strides, _, _, Name() as dtype, *_),
        ):
            return _tensor(storage, _TYPES.get(dtype.name), offset, shape, strides)
        case (
            "torch._utils._rebuild_parameter" | "torch._utils._rebuild_parameter_with_state",
            (StoredTensor() as data, *_),
        ):
            return data
        case "torch._tensor._rebuild_from_type_v2", (Name() as inner, _, tuple(own), *_):
            return _call(str(inner), own)
    return NotImplemented


def _tensor(storage: Storage, dtype: Any, offset: Any, shape: Any, strides: Any) -> StoredTensor:
    sizes, steps = checked_shape(shape), tuple(strides)
    sound = len(sizes) == len(steps) and all(type(step) is int for step in (*steps, offset))
    if not sound or math.prod(sizes) < 0:
        raise UserError("a tensor's strides do not fit its shape")
    return StoredTensor(storage, dtype, offset, sizes, steps)


def magic_of_legacy(head: Sequence[int] | bytes) -> bool:
    """Whether a file begins with the pickled magic number of PyTorch before 1.6."""
    number = LEGACY_MAGIC.to_bytes(10, "little")
    return bytes(head[2:14]) == b"\x8a\n" + number
