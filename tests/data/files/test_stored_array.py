"""Pixels on the disk: in order, and never all of them in memory."""

from __future__ import annotations

import tracemalloc
from pathlib import Path

import numpy as np

from sparsity_jax.data.dataset import channel_moments, moments_of
from sparsity_jax.data.files.stored_array import CHUNK_BYTES, PixelFile


def test_images_come_back_in_order_as_often_as_asked(tmp_path: Path) -> None:
    images = np.random.default_rng(0).integers(0, 256, (50, 7, 5, 3), dtype=np.uint8)
    pixels = PixelFile(tmp_path)
    for image in images:
        pixels.add(image)
    for _ in range(2):
        found = np.frombuffer(b"".join(pixels.chunks()), np.uint8).reshape(pixels.shape)
        np.testing.assert_array_equal(found, images)
    for found, whole in zip(moments_of(pixels.histograms), channel_moments(images), strict=True):
        np.testing.assert_array_equal(found, whole)
    pixels.close()
    assert list(tmp_path.iterdir()) == []


def test_a_set_larger_than_a_chunk_is_not_held(tmp_path: Path) -> None:
    image = np.ones((512, 512, 1), np.uint8)
    count = 16 * CHUNK_BYTES // image.nbytes
    pixels = PixelFile(tmp_path)
    tracemalloc.start()
    for _ in range(count):
        pixels.add(image.copy())
    size = sum(len(chunk) for chunk in pixels.chunks())
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    pixels.close()
    assert size == 16 * CHUNK_BYTES
    # np.bincount widens the chunk that it counts eightfold.
    assert peak < 12 * CHUNK_BYTES
