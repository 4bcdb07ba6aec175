"""BatchNorm's normalisation in training, with a gradient that reads memory fewer times.

Autodiff makes four sums over the batch out of the gradient; two are enough. Off the CPU the sums
run in two stages: the narrow layers of a network have few channels and many rows, and a sum of one
stage would keep only a few of a GPU's processors busy.
"""

from __future__ import annotations

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax import lax

_MOST_PARTS, _FEWEST_PARTS = 64, 8  # sums of the first stage
# Of a sum without factors, all channels together: what keeps every processor busy. Fewer than 32
# parts the compiler adds up inside the next kernel; with factors it would write the products first.
_MOST_SUMS = 4096
_FEWEST_ROWS = 1024  # below, a second stage costs more than it spares

_Sums = Callable[..., tuple[jax.Array, ...]]
_Form = Callable[..., tuple[jax.Array, jax.Array, jax.Array]]


def batch_norm(
    x: jax.Array, gamma: jax.Array, beta: jax.Array, *, epsilon: float = 1e-5
) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Normalise every channel over the batch (training mode).

    y = gamma (x - mean) / sqrt(var + epsilon) + beta, with mean and var over all axes but the last;
    var is the mean of (x - mean)^2 in a second pass, because a filter on its way to inactive has a
    nearly constant map.

    Args:
      x: activations (..., C).
      gamma: scale (C,).
      beta: shift (C,).
      epsilon: added to the variance.

    Returns:
      (y, mean, var): activations (..., C), and the batch's mean and biased variance (C,).

    Example:
      >>> y, mean, var = batch_norm(jnp.ones((2, 4, 4, 3)), jnp.ones(3), jnp.zeros(3))
      >>> y.shape, mean.shape
      ((2, 4, 4, 3), (3,))
    """
    form = one_stage if jax.default_backend() == "cpu" else two_stage
    y, mean, var = form(x.reshape(-1, x.shape[-1]), gamma, beta, jnp.asarray(epsilon, x.dtype))
    return y.reshape(x.shape), mean, var


def sums_in_parts(array: jax.Array, *factors: jax.Array) -> tuple[jax.Array, ...]:
    """Sum an array (rows, C), and its products with factors, over the rows: in parts, then those.

    A barrier keeps the compiler from merging the stages. Rows that no number from 8 to 64 divides
    are summed at once, and so are fewer than 1,024. Without factors, wide arrays have fewer parts.

    Args:
      array: (rows, C).
      factors: (rows, C) each.

    Returns:
      sum array, sum array * factor, ...; (C,) each.

    Example:
      >>> [total.tolist() for total in sums_in_parts(jnp.ones((1280, 2)))]
      [[1280.0, 1280.0]]
    """
    rows, channels = array.shape
    most = _MOST_PARTS if factors else min(_MOST_PARTS, max(_FEWEST_PARTS, _MOST_SUMS // channels))
    counts = range(most, _FEWEST_PARTS - 1, -1)
    parts = next((count for count in counts if rows % count == 0), 1)
    if parts == 1 or rows < _FEWEST_ROWS:
        return _sums(array, *factors)
    terms = (array, *(array * factor for factor in factors))
    split = tuple(term.reshape(-1, parts, channels).sum(0) for term in terms)
    return _in_one_reduction(lax.optimization_barrier(split))


def _in_one_reduction(arrays: tuple[jax.Array, ...]) -> tuple[jax.Array, ...]:
    """The sums of arrays of one shape over their first axis: a single kernel on a GPU."""
    zeros = tuple(jnp.zeros((), array.dtype) for array in arrays)
    return tuple(lax.reduce(arrays, zeros, _added, (0,)))


def _added(left: tuple[jax.Array, ...], right: tuple[jax.Array, ...]) -> tuple[jax.Array, ...]:
    return tuple(a + b for a, b in zip(left, right, strict=True))


def _sums(array: jax.Array, *factors: jax.Array) -> tuple[jax.Array, ...]:
    return (array.sum(0), *((array * factor).sum(0) for factor in factors))


def _form(sums: _Sums) -> _Form:
    """Normalisation of (rows, C) whose sums over the rows are these."""

    def normalise(
        x: jax.Array, gamma: jax.Array, beta: jax.Array, epsilon: jax.Array
    ) -> tuple[jax.Array, jax.Array, jax.Array]:
        mean = sums(x)[0] / len(x)
        var = sums(jnp.square(x - mean))[0] / len(x)
        return (x - mean) * (lax.rsqrt(var + epsilon) * gamma) + beta, mean, var

    def forward(
        x: jax.Array, gamma: jax.Array, beta: jax.Array, epsilon: jax.Array
    ) -> tuple[tuple[jax.Array, jax.Array, jax.Array], tuple[jax.Array, ...]]:
        y, mean, var = normalise(x, gamma, beta, epsilon)
        return (y, mean, var), (x, gamma, mean, lax.rsqrt(var + epsilon))

    def backward(
        saved: tuple[jax.Array, ...], gradients: tuple[jax.Array, jax.Array, jax.Array]
    ) -> tuple[jax.Array, jax.Array, jax.Array, None]:
        """Two sums over the batch and one pass that writes dx."""
        (x, gamma, mean, rate), (dy, dmean, dvar) = saved, gradients
        normal = (x - mean) * rate
        dbeta, dgamma = sums(dy, normal)
        slope = gamma * rate
        along = (2 * dvar / rate - slope * dgamma) / len(x)
        dx = slope * dy + along * normal + (dmean - slope * dbeta) / len(x)
        return dx, dgamma, dbeta, None

    form = jax.custom_vjp(normalise)
    form.defvjp(forward, backward)
    return form


one_stage, two_stage = _form(_sums), _form(sums_in_parts)
