"""Agreement of two networks' outputs on images."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

RANDOM_BATCHES = 3
TOLERANCE = 1e-4  # of the output's scale, in float32; more where numbers have fewer digits


@dataclasses.dataclass(frozen=True)
class Change:
    """Distance of a network from another on some images.

    Attributes:
      largest: largest absolute difference of any output.
      relative: the same, over the largest absolute output of the other network.
      changed_pct: images whose predicted class differs, in percent; NaN if there are no classes.
    """

    largest: float
    relative: float
    changed_pct: float


def change(ours: Sequence[Any], theirs: Sequence[Any]) -> Change:
    """Compare the outputs of two networks.

    Args:
      ours: outputs of a network, one for each batch.
      theirs: outputs of the other, on the same batches.

    Example:
      >>> change([np.array([[0.0, 2.0]])], [np.array([[0.0, 4.0]])])
      Change(largest=2.0, relative=0.5, changed_pct=0.0)
    """
    largest = relative = 0.0
    changed, images = 0.0, 0
    for a, b in zip(ours, theirs, strict=True):
        for x, y in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True):
            distance, scale = _distance(x, y)
            largest = max(largest, distance)
            relative = max(relative, distance / scale if distance else 0.0)
        if isinstance(a, np.ndarray) and a.ndim == 2:
            changed += float((a.argmax(-1) != b.argmax(-1)).sum())
            images += len(a)
    return Change(largest, relative, 100 * changed / images if images else float("nan"))


def batches_like(images: Any, seed: int = 0) -> list[Any]:
    """The images themselves, and random batches of their shape, kind and scale.

    Example:
      >>> [batch.shape for batch in batches_like(np.zeros((2, 4, 4, 3), np.float32))]
      [(2, 4, 4, 3), (2, 4, 4, 3), (2, 4, 4, 3), (2, 4, 4, 3)]
    """
    rng = np.random.default_rng(seed)

    def alike(leaf: Any) -> Any:
        leaf = np.asarray(leaf)
        if not jnp.issubdtype(leaf.dtype, jnp.floating):
            return rng.permuted(leaf.ravel()).reshape(leaf.shape)
        numbers = leaf.astype(np.float32)
        spread = float(numbers.std()) or 1.0
        return (numbers.mean() + spread * rng.normal(size=leaf.shape)).astype(leaf.dtype)

    return [images, *(jax.tree.map(alike, images) for _ in range(RANDOM_BATCHES))]


def outputs(apply_fn: Callable[..., Any], variables: Any, batches: Sequence[Any]) -> list[Any]:
    """Outputs of a network for each batch, on the host.

    Example:
      >>> outputs(lambda v, x: v * x, 2.0, [np.ones(2)])
      [array([2., 2.], dtype=float32)]
    """
    compiled = jax.jit(apply_fn)
    return [jax.device_get(compiled(variables, jax.tree.map(jnp.asarray, x))) for x in batches]


def tolerance(dtypes: Iterable[Any]) -> float:
    """Largest relative change that rounding explains, for a network that computes in `dtypes`.

    Example:
      >>> tolerance([np.float32])
      0.0001
    """
    floats = [d for d in dtypes if jnp.issubdtype(d, jnp.floating)]
    digits = max((float(jnp.finfo(d).eps) for d in floats), default=0.0)
    return max(TOLERANCE, 8 * digits)


def _distance(ours: Any, theirs: Any) -> tuple[float, float]:
    a, b = (np.asarray(x).astype(np.float64) for x in (ours, theirs))
    if not a.size:
        return 0.0, 1.0
    if not np.array_equal(np.isfinite(a), np.isfinite(b)):
        return float("inf"), 1.0
    finite = np.isfinite(a)
    distance = float(np.abs(a - b)[finite].max(initial=0.0))
    return distance, float(np.abs(b)[finite].max(initial=0.0)) or 1.0
