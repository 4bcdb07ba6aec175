"""Arrays on the disk: of a cache, and pixels that are written there as they are decoded."""

from __future__ import annotations

import contextlib
import math
import tempfile
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.lib.npyio import NpzFile

from sparsity_jax.data.dataset import histograms

CHUNK_BYTES = 1 << 23  # read, or kept before they are written, at once
ALIGNMENT = 64  # of addresses that JAX on a CPU takes as they are: others it copies


class StoredArray(NamedTuple):
    """An array of a cache, which is read when it is asked for.

    Args:
        stored: the open cache.
        name: of the array.
        dtype: of its elements.
        shape: of it.
    """

    stored: NpzFile
    name: str
    dtype: np.dtype
    shape: tuple[int, ...]

    @classmethod
    def of(cls, stored: NpzFile, name: str) -> StoredArray:
        """Find an array in an open cache.

        Raises:
            ValueError: it is not an array of numbers in C order; KeyError: it is not there.
        """
        with _archive(stored).open(f"{name}.npy") as member:
            np.lib.format.read_magic(member)
            shape, fortran, dtype = np.lib.format.read_array_header_1_0(member)
        if fortran or dtype.hasobject:
            raise ValueError(f"{name} is no array of numbers in C order")
        return cls(stored, name, dtype, shape)

    def chunks(self) -> Iterator[bytes]:
        """Yield its bytes in order, some megabytes at a time; at the end the zip's checksum."""
        with _archive(self.stored).open(f"{self.name}.npy") as member:
            np.lib.format.read_magic(member)
            np.lib.format.read_array_header_1_0(member)
            while chunk := member.read(CHUNK_BYTES):
                yield chunk

    def load(self) -> np.ndarray:
        """Read it to an address that JAX on a CPU takes without a copy.

        Raises:
            ValueError: it is not as long as its shape says.
        """
        size = math.prod(self.shape) * self.dtype.itemsize
        room = np.empty(size + ALIGNMENT, np.uint8)
        start = -room.ctypes.data % ALIGNMENT
        flat, done = room[start : start + size], 0
        for chunk in self.chunks():
            if done + len(chunk) > size:
                raise ValueError(f"{self.name} is longer than its shape")
            flat[done : done + len(chunk)] = np.frombuffer(chunk, np.uint8)
            done += len(chunk)
        if done < size:
            raise ValueError(f"{self.name} is cut off")
        return flat.view(self.dtype).reshape(self.shape)


def _archive(stored: NpzFile) -> zipfile.ZipFile:
    if stored.zip is None:
        raise ValueError("the cache is closed")
    return stored.zip


class PixelFile:
    """uint8 images of one size, written one by one to a file without a name.

    Args:
        folder: on the disk that shall hold it.

    Attributes:
        dtype: uint8.
        count: images so far.
        image_shape: (H, W, C) of each; () before the first.
        histograms: int64 (C, 256), how often each value occurs in each channel, once flushed.
    """

    dtype = np.dtype(np.uint8)

    def __init__(self, folder: Path) -> None:
        self._file = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115 -- until `close`
        self._waiting: list[np.ndarray] = []
        self.count = 0
        self.image_shape: tuple[int, ...] = ()
        self.histograms = np.zeros((0, 256), np.int64)

    def add(self, pixels: np.ndarray) -> None:
        """Append an image, of the same shape as those before.

        Raises:
            OSError: it cannot be written.
        """
        if not self.count:
            self.image_shape = pixels.shape
            self.histograms = np.zeros((pixels.shape[-1], 256), np.int64)
        self._waiting.append(pixels)
        self.count += 1
        if len(self._waiting) * pixels.size >= CHUNK_BYTES:
            self.flush()

    def flush(self) -> None:
        """Write what waits.

        Raises:
            OSError: it cannot be written.
        """
        if self._waiting:
            stacked = np.stack(self._waiting)
            self.histograms += histograms(stacked)
            self._file.seek(0, 2)
            self._file.write(stacked.data)
            self._waiting.clear()

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of all images as one array."""
        return (self.count, *self.image_shape)

    def chunks(self) -> Iterator[bytes]:
        """Yield all pixels in order, some megabytes at a time; can be called again."""
        self.flush()
        self._file.seek(0)
        while chunk := self._file.read(CHUNK_BYTES):
            yield chunk

    def close(self) -> None:
        """Give the disk space back."""
        with contextlib.suppress(OSError):  # a full disk, which was told already
            self._file.close()
