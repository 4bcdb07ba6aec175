"""Cache of a decoded data set: one npz file, whole and verified, or not used at all."""

import contextlib
import hashlib
import json
import logging
import math
import os
import secrets
import tempfile
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.lib.npyio import NpzFile

from sparsity_jax.data.dataset import Dataset
from sparsity_jax.data.files.stored_array import CHUNK_BYTES, PixelFile, StoredArray
from sparsity_jax.data.progress import still
from sparsity_jax.errors import UserError

_FORMAT = 2  # raise it when the layout of the file changes: older files are then built again
_ARRAYS = ("train_images", "train_labels", "test_images", "test_labels")
_log = logging.getLogger(__name__)

Stored = np.ndarray | PixelFile | StoredArray  # in memory, in a file that grows, in a cache


def read_cache(path: Path, *, pixels: bool = True) -> Dataset | None:
    """Read a data set written by `write_cache`, if it is there and undamaged.

    A file that was cut off, altered, written in another format or under another name is named in
    a warning and not used: the caller builds the set again. The name tells the settings, so a file
    that was renamed or swapped is never taken for a set that was made with others.

    Args:
        path: the file.
        pixels: False: verify them, but do not hold them; the images are `without_pixels` then.

    Returns:
        The data set, or None when there is no file or it cannot be trusted.

    Example:
        >>> read_cache(Path("no/such/file.npz")) is None
        True
    """
    if not path.exists():
        return None
    try:
        reading = still(lambda: f"reading {path.name}")
        with path.open("rb") as file, reading, _opened(file) as stored:
            header = json.loads(stored["header"].tobytes())
            parts = {name: StoredArray.of(stored, name) for name in _ARRAYS}
            kept = {name: pixels or name.endswith("labels") for name in _ARRAYS}
            arrays: dict[str, Any] = {n: p.load() if kept[n] else p for n, p in parts.items()}
            if header["format"] != _FORMAT:
                raise ValueError(f"format {header['format']}, this version reads {_FORMAT}")
            if header["digest"] != _digest(header["about"], arrays):
                raise ValueError("its contents do not match their digest")
        arrays = {n: a if kept[n] else without_pixels(a.shape) for n, a in arrays.items()}
        file_name, name, variant, class_names, mean, std = json.loads(header["about"])
        if file_name != path.name:
            raise ValueError(f"it was written as {file_name}")
        return Dataset(
            name=name,
            variant=variant,
            class_names=tuple(class_names),
            moments=(np.array(mean, np.float32), np.array(std, np.float32)),
            **arrays,
        )
    except Exception as error:  # whatever zipfile, numpy or json make of damaged bytes
        reason = str(error).split("\n", 1)[0] or type(error).__name__
        _log.warning("cache %s cannot be used (%s); building it again", path, reason)
        return None


def write_cache(path: Path, dataset: Dataset) -> None:
    """Write a data set to one file, atomically: readers see all of it or none.

    The file is a plain npz without pickles: the four arrays, and a JSON header with its own name,
    those of the set, the normalisation constants, a format number and a digest of everything.

    Args:
        path: the file, named after all that decides its contents; its folder is made when missing,
            an older file is replaced.
        dataset: what to keep.

    Raises:
        UserError: the folder cannot be written or the disk is full; nothing is left behind.
    """
    write_parts(path, dataset, {name: getattr(dataset, name) for name in _ARRAYS})


def write_parts(path: Path, dataset: Dataset, arrays: Mapping[str, Stored]) -> None:
    """Write a data set whose pixels may be in files, as `write_cache` does.

    Args:
        path: as for `write_cache`.
        dataset: its names and normalisation constants.
        arrays: `train_images`, `train_labels`, `test_images`, `test_labels`.

    Raises:
        UserError: the folder cannot be written or the disk is full; nothing is left behind.
    """
    names = [path.name, dataset.name, dataset.variant, list(dataset.class_names)]
    about = json.dumps([*names, dataset.mean.tolist(), dataset.std.tolist()])
    check_writable(path.parent)
    with explained(path, sum(math.prod(array.shape) for array in arrays.values())):
        header = {"format": _FORMAT, "about": about, "digest": _digest(about, arrays)}
        packed = np.frombuffer(json.dumps(header).encode(), np.uint8)
        with replacing(path) as file, zipfile.ZipFile(file, "w") as stored:
            for name, array in {"header": packed, **arrays}.items():
                with stored.open(f"{name}.npy", "w", force_zip64=True) as member:
                    layout = {"descr": array.dtype.str, "fortran_order": False}
                    np.lib.format.write_array_header_1_0(member, {**layout, "shape": array.shape})
                    for chunk in _chunks(array):
                        member.write(chunk)


@contextlib.contextmanager
def explained(path: Path, size: int) -> Iterator[None]:
    """Within it, a disk that cannot take a cache of so many bytes is a UserError."""
    try:
        yield
    except OSError as error:
        raise UserError(
            f"cannot write cache {path}: {error.strerror or error}; name a folder with at least"
            f" {1 + size // 2**20} MB free (data_dir, or the variable SPARSITY_JAX_DATA)"
        ) from error


def just_written(path: Path, *, pixels: bool = True) -> Dataset:
    """Read a data set that this process has just written, as `read_cache`.

    Raises:
        UserError: it cannot be read back: the disk lost or changed it.
    """
    dataset = read_cache(path, pixels=pixels)
    if dataset is None:
        raise UserError(f"{path} is not what was written there; the disk may be failing")
    return dataset


def without_pixels(shape: tuple[int, ...]) -> np.ndarray:
    """Images of a shape, all of them zero, that take no memory.

    Example:
        >>> without_pixels((100_000, 64, 64, 3)).strides
        (0, 0, 0, 0)
    """
    return np.broadcast_to(np.uint8(0), shape)


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[IO[bytes]]:
    """Open a file that takes the place of `path` once it is whole and on the disk.

    Raises:
        OSError: it cannot be written; what stood there is as it was.

    Example:
        >>> with replacing(Path("moments.json")) as file:  # doctest: +SKIP
        ...     file.write(b"[0.5, 0.25]")
    """
    part = path.with_name(f"{path.name}.{secrets.token_hex(4)}.part")
    try:
        with part.open("xb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def check_writable(folder: Path) -> None:
    """Make `folder` when missing and prove that files can be written there.

    Called before long work whose result is to be kept there.

    Raises:
        UserError: it cannot be made or written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise UserError(
            f"data folder {folder} cannot be written ({error.strerror or error}); name a writable"
            " one with data_dir, or the variable SPARSITY_JAX_DATA"
        ) from error


def _opened(file: IO[bytes]) -> NpzFile:
    """The arrays of an npz file; `file` is opened by the caller, for NumPy leaks it on errors."""
    if not zipfile.is_zipfile(file):
        raise ValueError("cut off, or not an npz file")
    file.seek(0)
    return NpzFile(file, allow_pickle=False)


def _digest(about: str, arrays: Mapping[str, Stored]) -> str:
    """BLAKE2 over the names, types, shapes and bytes of everything stored."""
    digest = hashlib.blake2b(about.encode(), digest_size=16)
    for name in _ARRAYS:
        array = arrays[name]
        digest.update(f"{name} {array.dtype.str} {array.shape} ".encode())
        for chunk in _chunks(array):
            digest.update(chunk)
    return digest.hexdigest()


def _chunks(array: Stored) -> Iterator[bytes | memoryview]:
    """The bytes of an array in order."""
    if not isinstance(array, np.ndarray):
        yield from array.chunks()
        return
    flat = np.ascontiguousarray(array).reshape(-1).view(np.uint8)
    for start in range(0, len(flat), CHUNK_BYTES):
        yield flat[start : start + CHUNK_BYTES].data
