"""Streams of prepared TFDS sets: records by index, decoded one by one where asked for."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from sparsity_jax.data.dataset import histograms, moments_of
from sparsity_jax.data.files.cache import check_writable, replacing
from sparsity_jax.data.files.decode import decode
from sparsity_jax.data.progress import Bar
from sparsity_jax.data.stream import RandomAccessSource, Stream, default_workers, read
from sparsity_jax.errors import UserError

_BATCH = 256  # images at a time while the constants are computed
_ROWS = 1000  # examples read at a time


class Records:
    """The images of one split of a set that TFDS prepared as `array_record`.

    The files are opened on first use, in whatever process that is.

    Args:
        folder: where the set is prepared: <name>/<version> or <name>/<config>/<version>.
        split: 'train' or 'test'; 'validation' stands in for a test split that is missing.
        order: the number in the files of each image, int (n,); by default the order of the files,
            which TFDS shuffles by a hash of the examples' keys: the same on every machine.
    """

    def __init__(self, folder: Path, split: str, order: np.ndarray | None = None) -> None:
        self._folder, self._split, self._order = folder, split, order
        self._opened: Any = None
        self._shape: tuple[int, ...] = ()  # of the first image read, which all must have

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_opened": None}

    def __len__(self) -> int:
        return len(self._open())

    def __getitem__(self, index: int) -> tuple[np.ndarray, int]:
        split = self._open()
        example = split[self._number(index)]
        name = f"{self._split} image {example.id}"
        try:
            pixels = decode(example.image)
        except ValueError as error:
            raise UserError(f"{self._folder}: {name} cannot be read ({error})") from error
        if pixels.shape[-1] == 1:
            pixels = np.broadcast_to(pixels, (*pixels.shape[:2], split.channels))
        self._shape = self._shape or pixels.shape
        if pixels.shape != self._shape:
            raise UserError(
                f"{self._folder}: images of mixed sizes: {name} is {pixels.shape}, another"
                f" {self._shape}; prepare them in one size"
            )
        return pixels, example.label

    def label(self, index: int) -> int:
        """The label alone, without decoding the image."""
        return self._open()[self._number(index)].label

    def by_id(self) -> np.ndarray:
        """The numbers in the files of all images, sorted by their ids."""
        split = self._open()
        rows = (range(k, min(k + _ROWS, len(split))) for k in range(0, len(split), _ROWS))
        ids = [example.id for some in rows for example in split.several(some)]
        return np.array(sorted(range(len(ids)), key=ids.__getitem__), np.int64)

    def _number(self, index: int) -> int:
        return index if self._order is None else int(self._order[index])

    def class_names(self) -> tuple[str, ...]:
        """One name per label."""
        return self._open().class_names

    def _open(self) -> Any:
        if self._opened is None:
            import tensorflow_datasets as tfds  # slow to import

            from sparsity_jax.data.sources.tfds_records import EncodedSplit

            self._opened = EncodedSplit(tfds.builder_from_directory(self._folder), self._split)
        return self._opened


def open_stream(
    folder: Path,
    *,
    name: str,
    cache_dir: Path,
    variant: str = "",
    workers: int | None = None,
    sort: bool = False,
    progress: bool = True,
) -> Stream:
    """A prepared set as a stream; its normalisation constants are computed once and kept.

    Args:
        folder: where TFDS prepared it.
        name: what results.csv calls it.
        cache_dir: where the constants are kept.
        variant: what else tells it apart.
        workers: processes that decode; by default `default_workers()`, 0 being threads.
        sort: put the images in the order of their ids, as `tfds_arrays.to_arrays` does.
        progress: show a bar while the constants are computed.

    Raises:
        UserError: a set of another kind or format, or images of mixed sizes.
    """
    from sparsity_jax.data.sources.tfds_arrays import fingerprint

    workers = default_workers() if workers is None else workers
    train, test = Records(folder, "train"), Records(folder, "test")
    key = f"{name}-{fingerprint(folder)}"
    if sort:
        orders = _kept(
            cache_dir / f"{key}.order.json", lambda: [each.by_id() for each in (train, test)]
        )
        train, test = (
            Records(folder, split, np.array(order, np.int64))
            for split, order in zip(("train", "test"), orders, strict=True)
        )
    moments = _kept(
        cache_dir / f"{key}.moments.json", lambda: moments_of(_counted(train, workers, progress))
    )
    mean, std = (np.array(values, np.float32) for values in moments)
    return Stream(
        name=name,
        train=train,
        test=test,
        class_names=train.class_names(),
        image_shape=train[0][0].shape,
        mean=mean,
        std=std,
        variant=variant,
        workers=workers,
    )


def _kept(cache: Path, make: Callable[[], Sequence[np.ndarray]]) -> list[list[float]]:
    """Two arrays as lists: read from `cache`, else made and kept there."""
    try:
        file_name, one, other = json.loads(cache.read_text())
        if file_name == cache.name:  # else of another set: renamed
            return [one, other]
    except (OSError, ValueError, TypeError):
        pass
    check_writable(cache.parent)
    made = [values.tolist() for values in make()]
    try:
        with replacing(cache) as file:
            file.write(json.dumps([cache.name, *made]).encode())
    except OSError as error:
        raise UserError(f"cannot write {cache}: {error.strerror or error}") from error
    return made


def _counted(train: RandomAccessSource, workers: int, progress: bool) -> np.ndarray:
    bar = Bar("normalisation constants, once", total=len(train), unit="image", shown=progress)
    total = np.int64(0)
    with bar:
        batches = read(train, np.arange(len(train)), batch_size=_BATCH, workers=workers)
        for images, _ in batches:
            total = total + histograms(images)
            bar.update(len(images))
    return np.asarray(total)
