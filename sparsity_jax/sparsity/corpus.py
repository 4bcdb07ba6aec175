"""Largest activations and universality of every filter, in one pass over the training corpus."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from sparsity_jax.sparsity.activation import Preprocess, check_finite, check_threshold, compiled
from sparsity_jax.sparsity.filters import natural
from sparsity_jax.sparsity.recording import Activation, pooled_in_parts
from sparsity_jax.sparsity.streaming import Images, masked_batches, repeatable
from sparsity_jax.sparsity.universality import Universality, universality

KEPT_BYTES = 1 << 30  # of pooled activations kept in memory: CIFAR and TinyImageNet of BasicNet

Pooled = dict[str, np.ndarray]  # layer path -> (images, filters)


class CorpusMeasures(NamedTuple):
    """Effect of a corpus of images on every filter.

    Attributes:
      peaks: layer path -> (filters,) largest activation over the corpus.
      universality: percent of the images that each filter answers to.
    """

    peaks: dict[str, np.ndarray]
    universality: Universality

    def inactive(self, threshold: float = 1e-12) -> dict[str, np.ndarray]:
        """Layer path -> (filters,) bool, True where no image activates a filter."""
        return {path: peak <= threshold for path, peak in self.peaks.items()}


def measure_corpus(
    apply_fn: Any,
    variables: Any,
    images: Images,
    threshold: float = 1e-3,
    *,
    activation: Activation = jax.nn.relu,
    preprocess: Preprocess | None = None,
    batch_size: int = 500,
    kept_bytes: int = KEPT_BYTES,
    seen: Callable[[int], None] = lambda images: None,
) -> CorpusMeasures:
    """Find peaks and universality together: the answers of two functions in one pass.

    `activation_sparsity` and `universality` walk over the images once and twice, because a share
    of the maximum can't be told before the maximum is known. Here the pooled activations of all
    images are kept in memory meanwhile (4 bytes for each image and filter), as long as they fit
    in `kept_bytes`; for a larger corpus the images are walked over once more.

    Args:
      apply_fn: as for `universality`.
      variables: as for `universality`.
      images: as for `universality`.
      threshold: share of the maximum above which an image counts; 1e-3 is the paper's.
      activation: what follows the norm.
      preprocess: images as stored -> normalised floats, on the device.
      batch_size: images at a time.
      kept_bytes: how much of the pooled activations may be kept.
      seen: called with the number of images measured so far.

    Raises:
      UserError: as `universality`.

    Example:
      >>> found = measure_corpus(apply_fn, variables, images)  # doctest: +SKIP
      >>> found.peaks["C6/norm"].max()  # doctest: +SKIP
      3.1
    """
    check_threshold(threshold)
    images = repeatable(images)
    step = compiled(_pooled, apply_fn, activation, preprocess)
    kept: list[tuple[Pooled, np.ndarray]] = []
    peaks: Pooled = {}
    done = size = 0
    for batch, mask in masked_batches(images, batch_size, integers=preprocess is not None):
        here = jax.device_get(step(variables, batch, mask))
        largest = {path: values.max(axis=0) for path, values in here.items()}
        peaks = {p: np.maximum(peaks.get(p, 0), values) for p, values in largest.items()}
        size += sum(values.nbytes for values in here.values())
        if size <= kept_bytes:
            kept.append((here, mask))
        else:
            kept.clear()
        done += int(mask.sum())
        seen(done)
    peaks = {path: peaks[path] for path in natural(peaks)}
    check_finite(peaks)
    if not kept:  # too many to keep
        found = universality(
            apply_fn,
            variables,
            images,
            threshold,
            activation=activation,
            preprocess=preprocess,
            batch_size=batch_size,
        )
        return CorpusMeasures(peaks, found)
    return CorpusMeasures(peaks, _universality(kept, peaks, threshold, done))


def _universality(
    kept: list[tuple[Pooled, np.ndarray]], peaks: Pooled, threshold: float, images: int
) -> Universality:
    """Universality from the pooled activations of all images."""
    counts = {path: np.zeros(peak.shape, np.int64) for path, peak in peaks.items()}
    for here, mask in kept:
        above = jax.device_get(_above(here, mask, peaks, threshold))
        counts = {path: count + above[path] for path, count in counts.items()}
    return Universality({path: 100.0 * count / images for path, count in counts.items()})


def _pooled(
    apply_fn: Any,
    activation: Activation,
    preprocess: Preprocess | None,
    variables: Any,
    images: jax.Array,
    mask: jax.Array,
) -> dict[str, jax.Array]:
    pooled = pooled_in_parts(apply_fn, activation, preprocess, variables, images)
    return {path: jnp.where(mask[:, None], values, 0) for path, values in pooled.items()}


@jax.jit
def _above(
    pooled: dict[str, jax.Array],
    mask: jax.Array,
    peaks: dict[str, jax.Array],
    threshold: jax.Array,
) -> dict[str, jax.Array]:
    """How many images pass the share of the maximum, by filter; as `universality` counts."""
    shares = {path: pooled[path] / jnp.where(peak > 0, peak, 1) for path, peak in peaks.items()}
    return {
        path: ((share > threshold) & mask[:, None]).sum(axis=0) for path, share in shares.items()
    }
