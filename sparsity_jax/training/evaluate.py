"""Loss, errors and confusions of a network on a set of images, in evaluation mode."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from sparsity_jax.data.augment import as_tested
from sparsity_jax.data.stream import StreamedImages
from sparsity_jax.models import Plan
from sparsity_jax.models.convnet import logits
from sparsity_jax.training.loss import cross_entropy

# A CPU maps every large buffer anew: batches of 500 spend half their time on page faults.
_MOST_IMAGES = {"cpu": 40}
_MOST_ELSEWHERE = 500
_MOST_PER_CALL = 2_000
_MOST_PIXELS = 500 * 64 * 64  # beyond, activations outgrow small devices


class Sums(NamedTuple):
    """Sums over images, which add up over batches."""

    images: jax.Array | np.float32
    loss: jax.Array | np.float32
    wrong: jax.Array | np.float32
    wrong_top5: jax.Array | np.float32


_NOTHING = Sums(*(np.float32(0),) * 4)


class Score(NamedTuple):
    """Mean loss (nats) and errors (percent) over a set of images."""

    loss: float
    error: float
    top5_error: float


def evaluate(
    plan: Plan,
    variables: Mapping[str, Any],
    images: jax.Array | np.ndarray | StreamedImages,
    labels: jax.Array | np.ndarray,
    *,
    mean: jax.Array,
    std: jax.Array,
    batch_size: int | None = None,
) -> Score:
    """Score a network in evaluation mode, without augmentation.

    Args:
      plan: the network.
      variables: its params and batch_stats.
      images: uint8 (N, height, width, channels), any N of at least 1, or streaming; the centre
        is taken of those larger than what the network sees.
      labels: int32 (N,).
      mean: per channel, of images / 255.
      std: per channel, of images / 255.
      batch_size: images at a time; the last batch is padded and masked, so that any size gives the
        same answer. By default `images_at_once`.

    Returns:
      Loss, error and top-5 error; a label is wrong in the top 5 when five others score higher.

    Example:
      >>> evaluate(plan, variables, images, labels, mean=mean, std=std).error  # doctest: +SKIP
      9.7
    """
    size = min(batch_size or images_at_once(plan), len(labels))
    if isinstance(images, StreamedImages):
        total = _NOTHING
        for batch in _batches(images, labels, size):
            total = _added(total, _batch_sums(plan, variables, *batch, mean, std))
    else:
        total = _all_sums(plan, size, variables, images, labels, mean, std)
    count, loss, wrong, wrong_top5 = (float(value) for value in jax.device_get(total))
    return Score(loss / count, 100 * wrong / count, 100 * wrong_top5 / count)


def confusion(
    plan: Plan,
    variables: Mapping[str, Any],
    images: jax.Array | np.ndarray | StreamedImages,
    labels: jax.Array | np.ndarray,
    *,
    mean: jax.Array,
    std: jax.Array,
) -> np.ndarray:
    """Count the images of each class by the class that a network takes them for.

    An image that `evaluate` calls wrong is counted under the highest of the other classes, also
    where that is a tie, so that both agree.

    Args:
      plan: the network.
      variables: its params and batch_stats.
      images: as for `evaluate`.
      labels: int32 (N,).
      mean: per channel, of images / 255.
      std: per channel, of images / 255.

    Returns:
      int32 (pairs, 3): class, class it was taken for, number of images; pairs that occur, in order.

    Example:
      >>> confusion(plan, variables, images, labels, mean=mean, std=std)  # doctest: +SKIP
      array([[0, 0, 48], [0, 7, 2], [1, 1, 50]], dtype=int32)
    """
    size = min(images_at_once(plan), len(labels))
    taken = [
        np.asarray(_taken_for(plan, variables, batch, truth, mean, std))[mask]
        for batch, truth, mask in _batches(images, labels, size)
    ]
    pairs = np.stack([np.asarray(labels), np.concatenate(taken)], axis=1)
    found, counts = np.unique(pairs, axis=0, return_counts=True)
    return np.column_stack([found, counts]).astype(np.int32)


def images_at_once(plan: Plan) -> int:
    """Number of images to evaluate at once: 40 on a CPU, at most 500 elsewhere, fewer large ones.

    Example:
      >>> images_at_once(plan)
      40
    """
    height, width, _ = plan.input_shape
    most = _MOST_IMAGES.get(jax.default_backend(), _MOST_ELSEWHERE)
    return max(1, min(most, _MOST_PIXELS // (height * width)))


def images_per_call(plan: Plan) -> int:
    """Number of images to measure in one call, 2,000 on a CPU: it loops over them by itself.

    Example:
      >>> images_per_call(plan) >= images_at_once(plan)
      True
    """
    if jax.default_backend() != "cpu":
        return images_at_once(plan)
    height, width, _ = plan.input_shape
    return max(images_at_once(plan), min(_MOST_PER_CALL, _MOST_PIXELS // (height * width)))


def _batches(
    images: jax.Array | np.ndarray | StreamedImages, labels: Any, size: int
) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """(images, labels, mask) of one size; the last batch is padded."""
    if isinstance(images, StreamedImages):
        parts = images.in_batches(size)
    else:
        whole = np.asarray(images)
        parts = (whole[start : start + size] for start in range(0, len(whole), size))
    for index, batch in enumerate(parts):
        missing = size - len(batch)
        truth = np.asarray(labels[index * size : index * size + len(batch)])
        padded = np.pad(batch, [(0, missing), (0, 0), (0, 0), (0, 0)])
        yield padded, np.pad(truth, (0, missing)), np.arange(size) < len(batch)


@functools.partial(jax.jit, static_argnums=(0, 1))
def _all_sums(
    plan: Plan,
    size: int,
    variables: Mapping[str, Any],
    images: jax.Array,
    labels: jax.Array,
    mean: jax.Array,
    std: jax.Array,
) -> Sums:
    """The sums over all images in one compiled loop, whose buffers are mapped once."""
    count = len(labels)

    def body(index: jax.Array, total: Sums) -> Sums:
        start = index * size
        # The last batch slides back to stay inside; images seen before are masked out.
        first = jnp.minimum(start, count - size)
        batch, truth = (lax.dynamic_slice_in_dim(a, first, size) for a in (images, labels))
        mask = first + jnp.arange(size) >= start
        return _added(total, _batch_sums(plan, variables, batch, truth, mask, mean, std))

    return lax.fori_loop(0, -(-count // size), body, _NOTHING)


def _added(a: Sums, b: Sums) -> Sums:
    return Sums(*(x + y for x, y in zip(a, b, strict=True)))


@functools.partial(jax.jit, static_argnums=0)
def _batch_sums(
    plan: Plan,
    variables: Mapping[str, Any],
    images: jax.Array,
    labels: jax.Array,
    mask: jax.Array,
    mean: jax.Array,
    std: jax.Array,
) -> Sums:
    seen = as_tested(images, size=plan.input_shape[:2], mean=mean, std=std)
    outputs = logits(plan, variables, seen)
    losses = cross_entropy(outputs, labels)
    own = jnp.take_along_axis(outputs, labels[:, None], axis=1)
    # Counting >= keeps a network of NaNs, or of equal logits, from scoring well.
    ahead = jnp.sum(~(outputs < own), axis=1) - 1
    return Sums(
        images=jnp.sum(mask, dtype=jnp.float32),
        loss=jnp.sum(jnp.where(mask, losses, 0)),
        wrong=jnp.sum(mask & (ahead >= 1), dtype=jnp.float32),
        wrong_top5=jnp.sum(mask & (ahead >= 5), dtype=jnp.float32),
    )


@functools.partial(jax.jit, static_argnums=0)
def _taken_for(
    plan: Plan,
    variables: Mapping[str, Any],
    images: jax.Array,
    labels: jax.Array,
    mean: jax.Array,
    std: jax.Array,
) -> jax.Array:
    """The class that each image is taken for."""
    seen = as_tested(images, size=plan.input_shape[:2], mean=mean, std=std)
    outputs = logits(plan, variables, seen)
    own = jnp.take_along_axis(outputs, labels[:, None], axis=1)
    wrong = jnp.sum(~(outputs < own), axis=1) > 1
    is_own = jnp.arange(plan.classes) == labels[:, None]
    return jnp.where(wrong, jnp.argmax(jnp.where(is_own, -jnp.inf, outputs), axis=1), labels)
