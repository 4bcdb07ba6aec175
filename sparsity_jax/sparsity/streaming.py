"""Batches of one shape out of any number of images."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from sparsity_jax.errors import UserError

Images = Any  # an array (N, ...), or an iterable of such arrays that can be walked more than once


def masked_batches(
    images: Images, batch_size: int, *, integers: bool = False
) -> Iterator[tuple[jax.Array | np.ndarray, np.ndarray]]:
    """Cut images into batches of one size; the last is padded and its padding masked.

    One shape means one compilation, and a mask means that padding never counts.

    Args:
      images: an array (N, H, W, C), or an iterable of such arrays of any lengths. Memory is bounded
        by the largest array of the iterable.
      batch_size: images in a batch; fewer images given as an array are one smaller batch.
      integers: accept integer images (a `preprocess` will turn them into floats).

    Yields:
      (batch (B, ...), mask (B,) bool, True = a real image).

    Raises:
      UserError: no images, a batch size below 1, or integer images nobody converts.

    Example:
      >>> [int(mask.sum()) for _, mask in masked_batches(np.zeros((7, 8, 8, 3)), 5)]
      [5, 2]
    """
    if batch_size < 1:
        raise UserError(f"batch_size={batch_size} is not valid; give 1 or more")
    whole = hasattr(images, "shape")
    arrays: Iterable[Any] = (images,) if whole else images
    size = max(1, min(batch_size, len(images))) if whole else batch_size
    empty = True
    for array in arrays:
        _check(array, integers=integers)
        for start in range(0, len(array), size):
            empty = False
            yield _padded(array[start : start + size], size)
    if empty:
        raise UserError("there are no images; give at least one")


def repeatable(images: Images) -> Images:
    """Return the images unchanged if they can be walked through twice.

    Raises:
      UserError: they are a one-shot iterator.

    Example:
      >>> repeatable([1, 2])
      [1, 2]
    """
    if isinstance(images, Iterator):
        raise UserError(
            "two passes over the images are needed and an iterator can be read only once; "
            "give an array, a list of batches, or an object whose iteration starts anew"
        )
    return images


def _check(array: Any, *, integers: bool) -> None:
    if not hasattr(array, "shape") or array.ndim < 2:
        raise UserError("images must be an array (images, height, width, channels), or batches")
    if not integers and not jnp.issubdtype(array.dtype, jnp.floating):
        raise UserError(
            f"images are {array.dtype}; give normalised floats, or preprocess= to make them so"
        )


def _padded(batch: Any, size: int) -> tuple[Any, np.ndarray]:
    count = len(batch)
    mask = np.arange(size) < count
    if count == size:
        return batch, mask
    pad = jnp.pad if isinstance(batch, jax.Array) else np.pad
    return pad(batch, [(0, size - count)] + [(0, 0)] * (batch.ndim - 1)), mask
