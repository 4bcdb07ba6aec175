"""Universality and selectivity of filters: the share of images that activate each."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from sparsity_jax.sparsity.activation import Preprocess, check_threshold, compiled, corpus_peaks
from sparsity_jax.sparsity.filters import natural
from sparsity_jax.sparsity.recording import Activation, pooled_in_parts
from sparsity_jax.sparsity.streaming import Images, masked_batches, repeatable


@dataclasses.dataclass(frozen=True, eq=False)
class Universality:
    """Universality of every filter.

    Attributes:
      layers: layer path -> float array (filters,), percent of images; natural order of paths.
    """

    layers: Mapping[str, np.ndarray]

    def __post_init__(self) -> None:
        ordered = {path: np.asarray(self.layers[path]) for path in natural(self.layers)}
        object.__setattr__(self, "layers", MappingProxyType(ordered))

    def selectivity(self) -> dict[str, np.ndarray]:
        """Selectivity (filters,) by layer path, in percent: 100 - universality (Sec. 2.2)."""
        return {path: 100.0 - percent for path, percent in self.layers.items()}

    def __reduce__(self) -> tuple[Any, ...]:  # a mapping proxy cannot be pickled or deep-copied
        return Universality, (dict(self.layers),)


def universality(
    apply_fn: Any,
    variables: Any,
    images: Images,
    threshold: float = 1e-3,
    *,
    activation: Activation = jax.nn.relu,
    preprocess: Preprocess | None = None,
    batch_size: int = 500,
) -> Universality:
    """Percent of images that activate each filter.

    pooled[n, c]    = max over h, w of |activation(norm(x))[n, h, w, c]|
    universality[c] = 100 * mean over n of (pooled[n, c] / max over n of pooled[n, c] > threshold)

    Two streaming passes, the first for the maximum; memory does not grow with the data set. A
    filter whose maximum is 0 has universality 0 (Sec. 2.2 speaks of "0% universality"). Multiplying
    a filter by a positive number changes nothing. Class labels play no part.

    Args:
      apply_fn: (variables, images) -> anything, running a Linen module in evaluation mode; or an
        NNX module.
      variables: as for `gamma_sparsity`.
      images: normalised floats (N, H, W, C), or an iterable of batches that can be walked twice.
      threshold: share of the maximum above which an image counts; 1e-3 is the paper's.
      activation: what follows the norm; give the leaky ReLU for leaky networks.
      preprocess: images as stored -> normalised floats, on the device.
      batch_size: images at a time; any size gives the same answer.

    Returns:
      Universality by layer path, in percent.

    Raises:
      UserError: as `activation_sparsity`, and images that can be read only once.

    Example:
      >>> found = universality(apply_fn, variables, images)
      >>> float(found.layers['C2/norm'].mean() + found.selectivity()['C2/norm'].mean())
      100.0
    """
    check_threshold(threshold)
    images = repeatable(images)
    peaks = corpus_peaks(apply_fn, variables, images, activation, preprocess, batch_size)
    return universality_of_peaks(
        apply_fn, variables, images, peaks, threshold, activation, preprocess, batch_size
    )


def universality_of_peaks(
    apply_fn: Any,
    variables: Any,
    images: Images,
    peaks: Mapping[str, np.ndarray],
    threshold: float,
    activation: Activation,
    preprocess: Preprocess | None,
    batch_size: int,
) -> Universality:
    """Percent of images that activate each filter, in one pass where the maxima are known.

    Args:
      apply_fn: as for `universality`, like all others.
      variables: of the network.
      images: that are counted.
      peaks: layer path -> (filters,) largest value of each filter over the images.
      threshold: share of the maximum.
      activation: what follows the norm.
      preprocess: images as stored -> normalised floats.
      batch_size: images at a time.
    """
    step = compiled(_batch_counts, apply_fn, activation, preprocess)
    counts = {path: np.zeros(peak.shape, np.int64) for path, peak in peaks.items()}
    total = 0
    for batch, mask in masked_batches(images, batch_size, integers=preprocess is not None):
        here = jax.device_get(step(variables, batch, mask, peaks, threshold))
        counts = {path: count + here[path] for path, count in counts.items()}
        total += int(mask.sum())
    return Universality({path: 100.0 * count / total for path, count in counts.items()})


def _batch_counts(
    apply_fn: Any,
    activation: Activation,
    preprocess: Preprocess | None,
    variables: Any,
    images: jax.Array,
    mask: jax.Array,
    peaks: dict[str, jax.Array],
    threshold: jax.Array,
) -> dict[str, jax.Array]:
    pooled = pooled_in_parts(apply_fn, activation, preprocess, variables, images)
    counts = {}
    for path, peak in peaks.items():
        # Divided, as the paper defines it; 0 / 0 of an inactive filter becomes 0 / 1.
        share = pooled[path] / jnp.where(peak > 0, peak, 1)
        counts[path] = ((share > threshold) & mask[:, None]).sum(axis=0)
    return counts
