"""Pooling, with gradients that a CPU computes fast and a GPU repeats bit for bit.

XLA refuses the plain gradient of max pooling (select-and-scatter) where programs must repeat bit
for bit (google/flax #4233), and computes it slowly on a CPU.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jax import lax


def pool(x: jax.Array, kind: str) -> jax.Array:
    """Pool with stride 2.

    Args:
      x: activations (N, H, W, C).
      kind: 'max2', the maximum of 2x2 squares; 'max3', of overlapping 3x3 squares; 'max3_padded',
        the same with a border that never is the maximum; 'avg2', the mean of 2x2 squares.

    Returns:
      Activations with sides H // 2; (H - 1) // 2 for 'max3'; (H + 1) // 2 for 'max3_padded'.

    Raises:
      ValueError: an unknown kind.

    Example:
      >>> x = jnp.ones((1, 32, 32, 3))
      >>> [pool(x, kind).shape[1] for kind in ("max2", "max3", "max3_padded")]
      [16, 15, 16]
    """
    match kind:
        case "max2":
            return max_pool(x)
        case "max3":
            return _max_pool_3x3(x)
        case "max3_padded":
            border = ((0, 0), (1, 1), (1, 1), (0, 0))
            return _max_pool_3x3(jnp.pad(x, border, constant_values=-jnp.inf))
        case "avg2":
            height, width = x.shape[1] // 2 * 2, x.shape[2] // 2 * 2
            corners = [x[:, i:height:2, j:width:2] for i in (0, 1) for j in (0, 1)]
            return (corners[0] + corners[1] + corners[2] + corners[3]) / 4
    raise ValueError(f"pooling {kind!r} is not max2, max3, max3_padded or avg2")


def _max_pool_3x3(x: jax.Array) -> jax.Array:
    """Maximum of 3x3 squares, stride 2; the first of equal values, by rows, gets the gradient."""
    if jax.default_backend() == "tpu":
        return lax.reduce_window(x, -jnp.inf, lax.max, (1, 3, 3, 1), (1, 2, 2, 1), "VALID")
    for axis in (2, 1):
        size = (x.shape[axis] - 1) // 2
        shifted = [lax.slice_in_dim(x, i, i + 2 * size - 1, 2, axis) for i in range(3)]
        x = shifted[0]
        for other in shifted[1:]:
            x = jnp.where(other > x, other, x)
    return x


def max_pool(x: jax.Array) -> jax.Array:
    """Take the maximum of each 2x2 square, stride 2; an odd last row or column is dropped.

    Where several of the four are the maximum, the first gets the gradient.

    Args:
      x: activations (N, H, W, C).

    Returns:
      Activations (N, H // 2, W // 2, C).

    Example:
      >>> max_pool(jnp.ones((1, 5, 4, 3))).shape
      (1, 2, 2, 3)
    """
    if jax.default_backend() != "tpu":
        return _max_pool(x)
    return lax.reduce_window(x, -jnp.inf, lax.max, (1, 2, 2, 1), (1, 2, 2, 1), "VALID")


@jax.custom_vjp
def _max_pool(x: jax.Array) -> jax.Array:
    return _max_pool_forward(x)[0]


def _max_pool_forward(
    x: jax.Array,
) -> tuple[jax.Array, tuple[jax.Array, jax.Array, jax.Array]]:
    """The maxima, where they were (lower row, right column), and a scrap that knows x's shape.

    The places are saved because asking x == y later would be wrong: the compiler may compute x
    anew for the question and round it differently.
    """
    height, width = x.shape[1] // 2 * 2, x.shape[2] // 2 * 2
    (a, b), (c, d) = ([x[:, i:height:2, j:width:2] for j in (0, 1)] for i in (0, 1))
    upper, lower = jnp.maximum(a, b), jnp.maximum(c, d)
    low = lower > upper
    right = jnp.where(low, d > c, b > a)
    return jnp.maximum(upper, lower), (low, right, x[:0])


def _max_pool_backward(
    saved: tuple[jax.Array, jax.Array, jax.Array], dy: jax.Array
) -> tuple[jax.Array]:
    low, right, scrap = saved
    n, height, width, channels = dy.shape
    row, column = (jnp.array([False, True]).reshape(s) for s in ((2, 1, 1, 1), (2, 1)))
    low, right, dy = (a[:, :, None, :, None] for a in (low, right, dy))
    dx = jnp.where((low == row) & (right == column), dy, 0)
    dx = dx.reshape(n, 2 * height, 2 * width, channels)
    odd = [(0, full % 2) for full in scrap.shape[1:3]]
    return (jnp.pad(dx, ((0, 0), *odd, (0, 0))),)


_max_pool.defvjp(_max_pool_forward, _max_pool_backward)
