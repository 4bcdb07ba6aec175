"""How good is a network on a set of images? Masked sums, divided once."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from sparsity_jax.data.augment import as_tested
from sparsity_jax.data.stream import StreamedImages
from sparsity_jax.models import Plan
from sparsity_jax.models.convnet import logits
from sparsity_jax.training.loss import cross_entropy

_MOST_IMAGES = 500
_MOST_PIXELS = _MOST_IMAGES * 64 * 64  # beyond, activations outgrow small devices


class Sums(NamedTuple):
    """Sums over images, which add up over batches."""

    images: jax.Array
    loss: jax.Array
    wrong: jax.Array
    wrong_top5: jax.Array


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
      >>> evaluate(plan, variables, images, labels, mean=mean, std=std).error
      9.7
    """
    size = min(batch_size or images_at_once(plan), len(labels))
    total = Sums(*(jnp.float32(0),) * 4)
    for batch, truth, mask in _batches(images, labels, size):
        sums = _batch_sums(plan, variables, batch, truth, mask, mean, std)
        total = jax.tree.map(lambda a, b: a + b, total, sums)
    count, loss, wrong, wrong_top5 = (float(value) for value in total)
    return Score(loss / count, 100 * wrong / count, 100 * wrong_top5 / count)


def images_at_once(plan: Plan) -> int:
    """How many images to look at together: at most 500, fewer of large ones.

    Example:
      >>> images_at_once(plan)  # images of 224 x 224 pixels
      40
    """
    height, width, _ = plan.input_shape
    return max(1, min(_MOST_IMAGES, _MOST_PIXELS // (height * width)))


def _batches(images: Any, labels: Any, size: int) -> Iterator[tuple[Any, Any, np.ndarray]]:
    if isinstance(images, StreamedImages):
        for index, batch in enumerate(images.in_batches(size)):
            missing = size - len(batch)
            truth = np.asarray(labels[index * size : index * size + len(batch)])
            padded = np.pad(batch, [(0, missing), (0, 0), (0, 0), (0, 0)])
            yield padded, np.pad(truth, (0, missing)), np.arange(size) < len(batch)
        return
    for start in range(0, len(labels), size):
        # The last batch slides back to stay inside; images seen before are masked out.
        first = min(start, len(labels) - size)
        mask = np.arange(first, first + size) >= start
        yield images[first : first + size], labels[first : first + size], mask


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
        images=jnp.sum(mask),
        loss=jnp.sum(jnp.where(mask, losses, 0)),
        wrong=jnp.sum(mask & (ahead >= 1)),
        wrong_top5=jnp.sum(mask & (ahead >= 5)),
    )
