"""How are a convolution and a 2x2 max pool written so that this backend runs them fast?

GPU and TPU get XLA's own convolution. On a CPU that one is slow, above all its kernel gradient inside a loop
(jax-ml/jax #12868), so there every convolution becomes matrix products.
"""

import jax
import jax.numpy as jnp
from jax import lax

from sparsity_jax.models.winograd import winograd

METHODS = ("native", "patches", "winograd2", "winograd4")


def conv(x: jax.Array, kernel: jax.Array, *, method: str | None = None) -> jax.Array:
    """Convolve with stride 1 and 'same' zero padding.

    y[n, h, w, o] = sum over i, j, c of x[n, h + i - p, w + j - p, c] kernel[i, j, c, o], p = (k-1)//2

    Args:
        x: activations (N, H, W, C).
        kernel: weights (k, k, C, O).
        method: one of METHODS (the Winograd ones need k = 3); None chooses for backend and shapes.

    Returns:
        Activations (N, H, W, O).

    Example:
        >>> conv(jnp.ones((1, 4, 4, 3)), jnp.ones((3, 3, 3, 8))).shape
        (1, 4, 4, 8)
    """
    match method or choose(x.shape, kernel.shape, backend=jax.default_backend()):
        case "native":
            dimensions = ("NHWC", "HWIO", "NHWC")
            return lax.conv_general_dilated(x, kernel, (1, 1), "SAME", dimension_numbers=dimensions)
        case "patches":
            return _patches(x, kernel, block=4 if x.shape[-1] <= 4 else 1)
        case "winograd2":
            return winograd(x, kernel, 2)
        case "winograd4":
            return winograd(x, kernel, 4)
    raise ValueError(f"method {method!r} is not one of {', '.join(METHODS)}")


def choose(x_shape: tuple[int, ...], kernel_shape: tuple[int, ...], *, backend: str) -> str:
    """Name the fastest method, by measurement (tests/benchmarks/step.py).

    Args:
        x_shape: (N, H, W, C).
        kernel_shape: (k, k, C, O).
        backend: 'cpu', 'gpu' or 'tpu'.

    Returns:
        One of METHODS.

    Example:
        >>> choose((40, 8, 8, 64), (3, 3, 64, 64), backend="cpu")
        'winograd4'
    """
    if backend != "cpu":
        return "native"
    small_side = min(x_shape[1:3])
    if kernel_shape[0] != 3 or kernel_shape[2] < 8 or small_side < 2:
        return "patches"
    return "winograd4" if small_side > 2 else "winograd2"


def max_pool(x: jax.Array) -> jax.Array:
    """Take the maximum of each 2x2 square, stride 2; an odd last row or column is dropped.

    Args:
        x: activations (N, H, W, C).

    Returns:
        Activations (N, H // 2, W // 2, C).

    Example:
        >>> max_pool(jnp.ones((1, 5, 4, 3))).shape
        (1, 2, 2, 3)
    """
    if jax.default_backend() != "cpu":
        return lax.reduce_window(x, -jnp.inf, lax.max, (1, 2, 2, 1), (1, 2, 2, 1), "VALID")
    x = x[:, : x.shape[1] // 2 * 2, : x.shape[2] // 2 * 2]
    top = jnp.maximum(x[:, ::2, ::2], x[:, ::2, 1::2])
    return jnp.maximum(top, jnp.maximum(x[:, 1::2, ::2], x[:, 1::2, 1::2]))


def _patches(x: jax.Array, kernel: jax.Array, *, block: int) -> jax.Array:
    """Every window of x as a row, times the kernel as a matrix.

    A row serves `block` neighbouring outputs, with the kernel repeated at each offset: for few channels the
    rows of 1x1 blocks are mostly copies of each other, and copying costs more than multiplying by zeros.
    """
    size, _, channels, filters = kernel.shape
    n, height, width, _ = x.shape
    reach, blocks, before = block + size - 1, -(-width // block), (size - 1) // 2
    after = blocks * block - width + size - 1 - before
    x = jnp.pad(x, ((0, 0), (before, size - 1 - before), (before, after), (0, 0)))
    if block == 1:
        strips = [x[:, :, j : j + width] for j in range(size)]
        strip = jnp.concatenate(strips, axis=-1)
    else:
        strips = [x[:, :, j * block : j * block + reach] for j in range(blocks)]
        strip = jnp.stack(strips, axis=2).reshape(n, -1, blocks, reach * channels)
    rows = jnp.concatenate([strip[:, i : i + height] for i in range(size)], axis=-1)
    shifted = [jnp.pad(kernel, ((0, 0), (b, block - 1 - b), (0, 0), (0, 0))) for b in range(block)]
    matrix = jnp.stack(shifted, axis=3).reshape(size * reach * channels, block * filters)
    return (rows @ matrix).reshape(n, height, blocks * block, filters)[:, :, :width]
