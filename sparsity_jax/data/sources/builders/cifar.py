"""CIFAR-10 and CIFAR-100 from their official archives of binary records.

A record is one label byte (CIFAR-10) or a coarse and a fine one (CIFAR-100), then 3 planes of
32 x 32 pixels: red, green, blue, each row by row.
"""

from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import ClassVar

import numpy as np
from PIL import Image

from sparsity_jax.data.files.archives import read_archive
from sparsity_jax.data.files.downloads import Archive
from sparsity_jax.data.sources.builders.archive_builder import ArchiveBuilder, Example
from sparsity_jax.errors import UserError

SIDE = 32


def read_records(data: bytes, *, label_bytes: int, name: str) -> tuple[np.ndarray, np.ndarray]:
    """Split a file of binary records.

    Args:
        data: n records of `label_bytes` + 3072 bytes.
        label_bytes: 1 for CIFAR-10, 2 for CIFAR-100, where the last one, the fine label, counts.
        name: what errors call the file.

    Returns:
        uint8 (n, 32, 32, 3) images and uint8 (n,) labels.

    Raises:
        UserError: the file ends within a record, or holds none.

    Example:
        >>> images, labels = read_records(bytes([7]) + bytes(3072), label_bytes=1, name="a.bin")
        >>> images.shape, labels.tolist()
        ((1, 32, 32, 3), [7])
    """
    size = label_bytes + 3 * SIDE * SIDE
    if not data or len(data) % size:
        raise UserError(f"{name} has {len(data)} bytes, not a multiple of {size}: it is cut off")
    records = np.frombuffer(data, np.uint8).reshape(-1, size)
    planes = records[:, label_bytes:].reshape(-1, 3, SIDE, SIDE)
    return planes.transpose(0, 2, 3, 1), records[:, label_bytes - 1]


class _Cifar(ArchiveBuilder, skip_registration=True):
    IMAGE_SHAPE = (SIDE, SIDE, 3)
    LABEL_BYTES: ClassVar[int]
    NAMES_FILE: ClassVar[str]
    FILES: ClassVar[dict[str, tuple[str, ...]]]

    def class_names(self, path: Path) -> tuple[str, ...]:
        """See `ArchiveBuilder.class_names`."""
        (text,) = _files(path, (self.NAMES_FILE,))
        return tuple(text.decode(errors="replace").split())

    def examples(self, path: Path, split: str) -> Iterator[Example]:
        """See `ArchiveBuilder.examples`."""
        classes = len(self.class_names(path))
        for name, data in zip(self.FILES[split], _files(path, self.FILES[split]), strict=True):
            images, labels = read_records(data, label_bytes=self.LABEL_BYTES, name=name)
            if labels.max() >= classes:
                raise UserError(f"{name} has label {labels.max()} but there are {classes} classes")
            for image, label in zip(images, labels.tolist(), strict=True):
                yield Image.fromarray(np.ascontiguousarray(image)), label


class Cifar10(_Cifar):
    """CIFAR-10: 60,000 colour images of 32 x 32 pixels in 10 classes (Krizhevsky 2009)."""

    ARCHIVE = Archive(
        file="cifar-10-binary.tar.gz",
        url="https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz",
        md5="c32a1d4ab5d03f1284b67883e8d87530",
    )
    LABEL_BYTES = 1
    NAMES_FILE = "batches.meta.txt"
    FILES: ClassVar = {
        "train": tuple(f"data_batch_{number}.bin" for number in range(1, 6)),
        "test": ("test_batch.bin",),
    }


class Cifar100(_Cifar):
    """CIFAR-100: 60,000 colour images of 32 x 32 pixels in 100 classes (Krizhevsky 2009)."""

    ARCHIVE = Archive(
        file="cifar-100-binary.tar.gz",
        url="https://www.cs.toronto.edu/~kriz/cifar-100-binary.tar.gz",
        md5="03b5dce01913d631647c71ecec9e9cb8",
    )
    LABEL_BYTES = 2
    NAMES_FILE = "fine_label_names.txt"
    FILES: ClassVar = {"train": ("train.bin",), "test": ("test.bin",)}


def _files(path: Path, names: tuple[str, ...]) -> tuple[bytes, ...]:
    """The contents of some files of the archive, in the order of `names`."""
    found = {
        PurePosixPath(file.name).name: file.data
        for file in read_archive(path, lambda name: PurePosixPath(name).name in names)
    }
    if lacking := [name for name in names if name not in found]:
        raise UserError(f"{path} lacks {lacking[0]}: not the official archive")
    return tuple(found[name] for name in names)
