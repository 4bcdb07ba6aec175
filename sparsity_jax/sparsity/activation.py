"""Sparsity by activation: the filters that no training image activates."""

from __future__ import annotations

import dataclasses
import functools
import inspect
import math
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from sparsity_jax.errors import UserError
from sparsity_jax.sparsity.evaluation import NnxEvaluation, evaluation
from sparsity_jax.sparsity.filters import FilterSparsity
from sparsity_jax.sparsity.recording import Activation, pooled_in_parts
from sparsity_jax.sparsity.streaming import Images, masked_batches

Preprocess = Callable[[jax.Array], jax.Array]


def activation_sparsity(
    apply_fn: Any,
    variables: Any,
    images: Images,
    threshold: float = 1e-12,
    *,
    activation: Activation = jax.nn.relu,
    preprocess: Preprocess | None = None,
    batch_size: int = 500,
) -> FilterSparsity:
    """Find the filters that no image activates.

    inactive[c] = max over n, h, w of |activation(norm(x))[n, h, w, c]| <= threshold

    One streaming pass over images n; memory does not grow with the data set. The paper (Sec. 2.1)
    does not say in which mode: we take evaluation mode and un-augmented training images, sparsity
    being a property of the trained network.

    Args:
      apply_fn: (variables, images) -> anything, running a model in evaluation mode, such as
        `functools.partial(model.apply, train=False)`; or an NNX module. The same function object
        given again is not compiled again.
      variables: as for `gamma_sparsity`.
      images: normalised floats (N, H, W, C), or an iterable of such batches; of any dtype if
        `preprocess` is given.
      threshold: largest activation of an inactive filter; 1e-12 is the paper's.
      activation: what follows the norm; give the leaky ReLU for leaky networks.
      preprocess: images as stored -> normalised floats, on the device.
      batch_size: images at a time; any size gives the same answer.

    Returns:
      Inactive filters by layer path, in the layer order of `gamma_sparsity`.

    Raises:
      UserError: nothing recorded, no images, NaN activations, a threshold below zero.

    Example:
      >>> from sparsity_jax.models import ConvNet
      >>> apply_fn = functools.partial(ConvNet(plan).apply, train=False)
      >>> activation_sparsity(apply_fn, variables, images).filters
      48
    """
    check_threshold(threshold)
    peaks = corpus_peaks(apply_fn, variables, images, activation, preprocess, batch_size)
    return FilterSparsity({path: peak <= threshold for path, peak in peaks.items()})


def corpus_peaks(
    apply_fn: Any,
    variables: Any,
    images: Images,
    activation: Activation,
    preprocess: Preprocess | None,
    batch_size: int,
) -> dict[str, np.ndarray]:
    """Largest absolute activation of each filter over all images, layer by layer.

    Args:
      apply_fn: as for `activation_sparsity`; so are the others.
      variables: of the model.
      images: an array, or an iterable of batches.
      activation: what follows the norm.
      preprocess: images as stored -> normalised floats; None takes them as they are.
      batch_size: images at a time.

    Returns:
      Layer path -> float array (filters,).

    Raises:
      UserError: as `activation_sparsity`; a layer whose activations are NaN is named.

    Example:
      >>> corpus_peaks(apply_fn, variables, images, jax.nn.relu, None, 2)['C1/norm'].shape
      (16,)
    """
    step = compiled(_batch_peaks, apply_fn, activation, preprocess)
    peaks: dict[str, jax.Array] | None = None
    for batch, mask in masked_batches(images, batch_size, integers=preprocess is not None):
        here = step(variables, batch, mask)
        # Waiting for the batch before keeps at most two of them in memory.
        peaks = here if peaks is None else jax.block_until_ready(_larger(peaks, here))
    if peaks is None:  # masked_batches yields at least once or raises
        raise UserError("there are no images; give at least one")
    found = {path: np.asarray(peak) for path, peak in peaks.items()}
    check_finite(found)
    return found


def check_finite(peaks: Mapping[str, np.ndarray]) -> None:
    """Raise UserError, which names the layer, where a peak is NaN."""
    for path, peak in peaks.items():
        if np.isnan(peak).any():
            raise UserError(
                f"layer {path} has NaN activations: the variables or the images are not finite"
            )


def compiled(step: Callable[..., Any], *static: Any) -> Callable[..., Any]:
    """Compile `step` with its first arguments fixed; the same arguments give the same program.

    Functions are the same if they are one object, or methods of one object: functions that merely
    compare equal may compute different things. NNX modules are the same if they are built alike.

    Args:
      step: a function of the static arguments, then of arrays.
      *static: what is fixed; the programs of the last eight are kept.

    Returns:
      A function of the arrays alone.

    Example:
      >>> float(compiled(jnp.multiply, 2.0)(3.0))
      6.0
    """
    keys = tuple(_Same.of(evaluation(value)) for value in static)
    return _remembered(step, *keys)


def check_threshold(threshold: float) -> None:
    """Refuse a threshold that is not a number of zero or more.

    Raises:
      UserError: it is negative, infinite or NaN.

    Example:
      >>> check_threshold(1e-3)
    """
    if not (math.isfinite(threshold) and threshold >= 0):
        raise UserError(f"threshold={threshold} is not valid; give a number of 0 or more")


@dataclasses.dataclass(frozen=True)
class _Same:
    """A static argument as the key of a compiled program."""

    value: Any = dataclasses.field(compare=False)
    key: Any

    @classmethod
    def of(cls, value: Any) -> _Same:
        if isinstance(value, NnxEvaluation):
            return cls(value, value)
        if inspect.ismethod(value):
            return cls(value, (id(value.__self__), id(value.__func__)))
        return cls(value, id(value))  # unique, as the cache keeps the value alive


@functools.lru_cache(maxsize=8)
def _remembered(step: Callable[..., Any], *static: _Same) -> Callable[..., Any]:
    return jax.jit(functools.partial(step, *(same.value for same in static)))


def _batch_peaks(
    apply_fn: Any,
    activation: Activation,
    preprocess: Preprocess | None,
    variables: Any,
    images: jax.Array,
    mask: jax.Array,
) -> dict[str, jax.Array]:
    pooled = pooled_in_parts(apply_fn, activation, preprocess, variables, images)
    return {path: jnp.where(mask[:, None], peak, 0).max(axis=0) for path, peak in pooled.items()}


@jax.jit
def _larger(left: dict[str, jax.Array], right: dict[str, jax.Array]) -> dict[str, jax.Array]:
    return jax.tree.map(jnp.maximum, left, right)
