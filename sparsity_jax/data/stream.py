"""Streams of sets too large for the device: batches read, decoded and queued by Grain.

Grain is imported only here and only when batches are asked for. Which images make a batch is the
caller's: a stream is given an order of indices, so that whoever knows (seed, epoch, step) can
start anywhere, in any process, with the identical batch.
"""

import contextlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import numpy as np

from sparsity_jax.data.dataset import Dataset
from sparsity_jax.errors import UserError

DEVICE_BYTES = 4 * 2**30  # sets whose training pixels take more are streamed
FEW_CPUS, MAX_WORKERS = 4, 16
_THREADS = 2  # in each worker: one reads while the other decodes
_BATCHES_AHEAD = 2  # that each worker keeps ready
_BATCH = 256  # images, where nobody asks for another number

Batch = tuple[np.ndarray, np.ndarray]  # uint8 (n, H, W, C), int32 (n,)


class RandomAccessSource(Protocol):
    """Labelled images by index, each uint8 (H, W, C). With worker processes it must pickle."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int) -> tuple[np.ndarray, int]: ...

    def label(self, index: int) -> int:
        """The label alone, without decoding the image."""
        ...


class Arrays(NamedTuple):
    """A source that is in memory already."""

    images: np.ndarray
    labels: np.ndarray

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: Any) -> Any:
        return self.images[index], int(self.labels[index])

    def label(self, index: int) -> int:
        """The label alone."""
        return int(self.labels[index])


@dataclass(frozen=True)
class StreamedImages:
    """The images of a split, in order, wherever an array of them would do.

    Walking through it yields uint8 arrays (n, H, W, C), anew every time; a slice is one array.

    Args:
        source: where they are.
        workers: processes that decode.
    """

    source: RandomAccessSource
    workers: int = 0

    def __len__(self) -> int:
        return len(self.source)

    def __iter__(self) -> Iterator[np.ndarray]:
        return self.in_batches(_BATCH)

    def __getitem__(self, places: Any) -> Any:
        chosen = range(len(self))[places]
        return np.stack([self.source[place][0] for place in chosen])

    def in_batches(self, size: int) -> Iterator[np.ndarray]:
        """All images, `size` at a time; the last array may be shorter."""
        order = np.arange(len(self.source))
        for images, _ in read(self.source, order, batch_size=size, workers=self.workers):
            yield images


@dataclass(frozen=True, eq=False)
class Stream:
    """A labelled image set that does not fit on the device, split into train and test.

    Args:
        name: what results.csv calls it.
        train: its training images by index.
        test: its test images.
        class_names: one name per label.
        image_shape: (H, W, C) of every image as stored.
        mean: float32 (C,), of train pixels / 255.
        std: float32 (C,), of train pixels / 255.
        variant: what else tells it apart.
        workers: processes that decode; 0 for images that need no decoding.
    """

    name: str
    train: RandomAccessSource
    test: RandomAccessSource
    class_names: tuple[str, ...]
    image_shape: tuple[int, int, int]
    mean: np.ndarray
    std: np.ndarray
    variant: str = ""
    workers: int = 0

    @classmethod
    def of(cls, dataset: Dataset) -> "Stream":
        """A set in memory that is too large for the device."""
        return cls(
            name=dataset.name,
            train=Arrays(dataset.train_images, dataset.train_labels),
            test=Arrays(dataset.test_images, dataset.test_labels),
            class_names=dataset.class_names,
            image_shape=dataset.image_shape,
            mean=dataset.mean,
            std=dataset.std,
            variant=dataset.variant,
        )

    @property
    def classes(self) -> int:
        """Number of classes."""
        return len(self.class_names)

    @property
    def train_size(self) -> int:
        """Number of training images."""
        return len(self.train)


def usable_cpus() -> int:
    """Number of CPUs that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def default_workers() -> int:
    """Number of worker processes that decode a stream.

    None on a few CPUs, where threads do: decoding lets go of the interpreter's lock, and copies
    between processes cost 0.3 ms an image. On more, one for each CPU, at most MAX_WORKERS.
    """
    return 0 if usable_cpus() <= FEW_CPUS else min(MAX_WORKERS, usable_cpus())


def read(
    source: RandomAccessSource, order: np.ndarray, *, batch_size: int, workers: int = 0
) -> Iterator[Batch]:
    """Yield the images of a source in a given order, in batches.

    The batches do not depend on `workers`; the next ones are decoded while one is used. Workers
    live until the iterator is exhausted or closed.

    Args:
        source: where the images are.
        order: indices (n,) into the source.
        batch_size: images in a batch; the last one may be smaller.
        workers: processes that decode; 0: threads of this one.

    Yields:
        uint8 (batch, H, W, C) images and int32 (batch,) labels.

    Raises:
        UserError: an image that cannot be read.

    Example:
        >>> source = Arrays(np.zeros((5, 2, 2, 1), np.uint8), np.arange(5))
        >>> [labels.tolist() for _, labels in read(source, np.array([4, 2, 0]), batch_size=2)]
        [[4, 2], [0]]
    """
    if isinstance(source, Arrays):
        for start in range(0, len(order), batch_size):
            chosen = order[start : start + batch_size]
            yield source.images[chosen], source.labels[chosen].astype(np.int32)
        return
    batches = _grain_iterator(_Batches(source, np.asarray(order), batch_size), workers)
    with contextlib.closing(batches):
        yield from batches


def part_of_batches(order: np.ndarray, *, batch_size: int, index: int, count: int) -> np.ndarray:
    """One process's part of an order: its share of every batch, so that all together see it all.

    Args:
        order: indices (n,), a whole number of batches.
        batch_size: images in a batch of all processes together.
        index: which process, as `jax.process_index()`.
        count: of how many, as `jax.process_count()`; must divide the batch.

    Returns:
        Indices (n / count,): batch by batch, the `index`-th part of each.

    Raises:
        UserError: a batch that cannot be shared out evenly.

    Example:
        >>> part_of_batches(np.arange(8), batch_size=4, index=1, count=2).tolist()
        [2, 3, 6, 7]
    """
    if batch_size % count:
        raise UserError(
            f"a batch of {batch_size} cannot be shared by {count} processes; give a multiple"
        )
    return np.asarray(order).reshape(-1, count, batch_size // count)[:, index].reshape(-1)


class _Batches:
    """A source in another order, batch by batch: Grain's own work then counts once a batch."""

    def __init__(self, source: RandomAccessSource, order: np.ndarray, size: int) -> None:
        self.source, self.order, self.size = source, order, size

    def __len__(self) -> int:
        return -(-len(self.order) // self.size)

    def __getitem__(self, index: int) -> Batch:
        chosen = self.order[index * self.size : (index + 1) * self.size].tolist()
        labels = np.empty(len(chosen), np.int32)
        pixels, labels[0] = self.source[chosen[0]]
        images = np.empty((len(chosen), *pixels.shape), np.uint8)
        images[0] = pixels
        for place, each in enumerate(chosen[1:], start=1):  # copied at once, while in the cache
            images[place], labels[place] = self.source[each]
        return images, labels


def _grain_iterator(source: _Batches, workers: int) -> Any:
    import grain  # takes two seconds
    from absl import flags

    if not flags.FLAGS.is_parsed():
        flags.FLAGS.mark_as_parsed()  # Grain reads its own flags, of which we set none
    options = grain.ReadOptions(
        num_threads=_THREADS if workers else usable_cpus(),
        prefetch_buffer_size=_BATCHES_AHEAD if workers else 2 * usable_cpus(),
    )
    batches = grain.MapDataset.source(source).to_iter_dataset(options)
    # A worker takes seconds to start: a few batches do not need many.
    workers = min(workers, len(source))
    if workers:
        queues = grain.MultiprocessingOptions(workers, per_worker_buffer_size=_BATCHES_AHEAD)
        batches = batches.mp_prefetch(queues)
    return iter(batches)
