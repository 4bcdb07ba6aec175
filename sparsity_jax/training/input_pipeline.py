"""Training on images that stream: the same batches as from the device, fed in time."""

from __future__ import annotations

import functools
from collections import deque
from collections.abc import Iterator

import jax
import numpy as np
from jax.sharding import Sharding

from sparsity_jax.data.stream import (
    RandomAccessSource,
    Stream,
    StreamedImages,
    part_of_batches,
    read,
)
from sparsity_jax.distributed.shards import WHOLE, Shard
from sparsity_jax.storage.io import array_digest
from sparsity_jax.training.state import Hparams, ProgramConfig, epoch_order

ORDER_LENGTH = 2**20  # indices handed to the workers at once: whole epochs, and at least one
_IMAGES_THAT_TELL = 16  # of each split: sets with equal labels differ in some of them
_ON_DEVICE = 2  # batches: one is trained on while the next is copied

DeviceBatch = tuple[jax.Array, jax.Array]


class StreamingDataset:
    """A data set that streams, with the names of `DeviceDataset`: batches of uint8 images.

    Batches are a function of (seed, step) and nothing else, and the same ones that a
    `DeviceDataset` of these images gives: streaming changes no result. Batches are read ahead of
    the step between calls, as long as each call goes on where the last one ended.

    Args:
      stream: the images.

    Example:
      >>> data = StreamingDataset(Stream.of(dataset))  # doctest: +SKIP
      >>> images, labels = next(data.batches(program, hparams, start=7, stop=8))  # doctest: +SKIP
    """

    def __init__(self, stream: Stream) -> None:
        self.train_size = stream.train_size
        self.train_images = StreamedImages(stream.train, stream.workers)
        self.test_images = StreamedImages(stream.test, stream.workers)
        self.mean, self.std = jax.device_put(stream.mean), jax.device_put(stream.std)
        self._stream = stream
        self._ahead: tuple[tuple, Iterator[DeviceBatch]] | None = None

    @functools.cached_property
    def test_labels(self) -> np.ndarray:
        """int32 (M,), read without decoding the images."""
        return _labels(self._stream.test)

    @functools.cached_property
    def fingerprint(self) -> tuple[str, ...]:
        """Digests of arrays that tell it from other sets: all labels, and some images for all."""
        sources = self._stream.train, self._stream.test
        images = (source[int(i)][0] for source in sources for i in _evenly(len(source)))
        constants = np.asarray(self.mean), np.asarray(self.std)
        arrays = (*constants, _labels(sources[0]), self.test_labels, *images)
        return tuple(array_digest(np.asarray(array)) for array in arrays)

    def batches(
        self,
        program: ProgramConfig,
        hparams: Hparams,
        *,
        start: int,
        stop: int,
        split: Sharding | None = None,
    ) -> Iterator[DeviceBatch]:
        """Feed the batches of steps `start` to `stop` (exclusive) of a run to the device.

        Args:
          program: gives the batch size.
          hparams: give the seed.
          start: first step.
          stop: step after the last.
          split: which device takes which images of a batch; None: one device takes all.

        Yields:
          uint8 images (batch, H, W, C) as stored, int32 labels (batch,).
        """
        who = (int(hparams.seed), program.batch_size)
        if self._ahead is None or self._ahead[0] != (*who, start):
            self.close()
            shard = _share_of(split)
            ahead = _host_batches(self._stream, hparams, program.batch_size, start, shard)
            feed = _to_device(ahead, split)
        else:
            feed = self._ahead[1]
        for step in range(start, stop):
            batch = next(feed)
            self._ahead = ((*who, step + 1), feed)
            yield batch

    def close(self) -> None:
        """End the workers that read ahead."""
        if self._ahead is not None:
            self._ahead[1].close()  # type: ignore[attr-defined]
            self._ahead = None


def _labels(source: RandomAccessSource) -> np.ndarray:
    return np.array([source.label(index) for index in range(len(source))], np.int32)


def _evenly(size: int) -> np.ndarray:
    return np.unique(np.linspace(0, size - 1, _IMAGES_THAT_TELL).astype(int))


def _share_of(split: Sharding | None) -> Shard:
    """The part of every batch that this process reads: its devices' part."""
    return WHOLE if split is None else Shard(jax.process_index(), jax.process_count())


def _to_device(
    batches: Iterator[tuple[np.ndarray, np.ndarray]], split: Sharding | None
) -> Iterator[DeviceBatch]:
    waiting: deque[DeviceBatch] = deque()
    for images, labels in batches:
        if split is None:
            waiting.append((jax.device_put(images), jax.device_put(labels)))
        else:
            put = jax.make_array_from_process_local_data
            waiting.append((put(split, images), put(split, labels)))
        if len(waiting) == _ON_DEVICE:
            yield waiting.popleft()


def _host_batches(
    stream: Stream, hparams: Hparams, batch_size: int, step: int, shard: Shard
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """The batches from a step on, without end."""
    per_epoch = stream.train_size // batch_size
    epochs_at_once = max(1, ORDER_LENGTH // stream.train_size)
    while True:
        epoch, place = divmod(step, per_epoch)
        order = orders(hparams, range(epoch, epoch + epochs_at_once), stream.train_size, batch_size)
        order = order[place * batch_size :]
        mine = part_of_batches(order, batch_size=batch_size, index=shard.index, count=shard.count)
        size = batch_size // shard.count
        yield from read(stream.train, mine, batch_size=size, workers=stream.workers)
        step += len(order) // batch_size


def orders(hparams: Hparams, epochs: range, size: int, batch_size: int) -> np.ndarray:
    """Indices that consecutive epochs see, without what fills no last batch: int (n,)."""
    whole = size - size % batch_size
    return np.concatenate(
        [np.asarray(epoch_order(hparams, epoch, size=size))[:whole] for epoch in epochs]
    )
