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
from sparsity_jax.sparsity.share_counter import ShareCounter
from sparsity_jax.sparsity.streaming import Images, masked_batches, repeatable
from sparsity_jax.sparsity.universality import Universality, universality_of_peaks

KEPT_BYTES = 1 << 28  # of activations that wait for the maximum


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
    of the maximum can't be told before the maximum is known. Here most images are counted before
    it is (`ShareCounter`) and the activations of the others, a few percent, are kept meanwhile.
    Where they do not fit in `kept_bytes`, or a maximum grows late, the images are walked over once
    more. The answers are the same.

    Args:
      apply_fn: as for `universality`.
      variables: as for `universality`.
      images: as for `universality`.
      threshold: share of the maximum above which an image counts; 1e-3 is the paper's.
      activation: what follows the norm.
      preprocess: images as stored -> normalised floats, on the device.
      batch_size: images at a time.
      kept_bytes: of activations that may be kept.
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
    counters: dict[str, ShareCounter] = {}
    keeps, done = True, 0
    for batch, mask in masked_batches(images, batch_size, integers=preprocess is not None):
        here = jax.device_get(step(variables, batch, mask))
        for path, pooled in here.items():
            counters.setdefault(path, ShareCounter(threshold)).add(pooled, keep=keeps)
        keeps = keeps and sum(counter.nbytes for counter in counters.values()) <= kept_bytes
        done += int(mask.sum())
        seen(done)
    peaks = {path: counters[path].peak for path in natural(counters)}
    check_finite(peaks)
    counts = {path: counters[path].counts() if keeps else None for path in peaks}
    told = {path: 100.0 * count / done for path, count in counts.items() if count is not None}
    if len(told) == len(counts):
        return CorpusMeasures(peaks, Universality(told))
    found = universality_of_peaks(
        apply_fn, variables, images, peaks, threshold, activation, preprocess, batch_size
    )
    return CorpusMeasures(peaks, found)


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
