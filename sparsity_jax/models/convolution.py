"""Convolution in the form that the present backend runs fastest.

GPU and TPU get the plain form. XLA's convolution for the CPU is slow, above all its kernel gradient
inside a loop (jax-ml/jax #12868), so there every convolution becomes matrix products, which know
reverse mode only.
"""

import jax
import jax.numpy as jnp
from jax import lax

from sparsity_jax.models.winograd import winograd

METHODS = ("native", "patches", "winograd2", "winograd4")


def conv(
    x: jax.Array, kernel: jax.Array, *, stride: int = 1, method: str | None = None
) -> jax.Array:
    """Convolve with 'same' zero padding, at every `stride`-th place.

    y[n, h, w, o] = sum over i, j, c of x[n, s h + i - p, s w + j - p, c] kernel[i, j, c, o],
    p = (k - 1) // 2.

    Args:
      x: activations (N, H, W, C).
      kernel: weights (k, k, C, O).
      stride: s, in both directions.
      method: one of METHODS (the Winograd ones need k = 3 and s = 1); None chooses for backend
        and shapes.

    Returns:
      Activations (N, ceil(H / s), ceil(W / s), O).

    Raises:
      ValueError: an unknown method, or a Winograd one with a stride.

    Example:
      >>> conv(jnp.ones((1, 4, 4, 3)), jnp.ones((3, 3, 3, 8))).shape
      (1, 4, 4, 8)
    """
    match method or choose(x.shape, kernel.shape, stride=stride, backend=jax.default_backend()):
        case "native":
            layout = ("NHWC", "HWIO", "NHWC")
            size = kernel.shape[0]
            pads = [((size - 1) // 2, size // 2)] * 2
            strides = (stride, stride)
            return lax.conv_general_dilated(x, kernel, strides, pads, dimension_numbers=layout)
        case "patches":
            block = 4 if x.shape[-1] <= 4 and stride == 1 else 1
            return patches(x, kernel, block=block, stride=stride)
        case "winograd2" if stride == 1:
            return winograd(x, kernel, 2)
        case "winograd4" if stride == 1:
            return winograd(x, kernel, 4)
    raise ValueError(f"method {method!r} is not one of {', '.join(METHODS)} with stride {stride}")


def choose(
    x_shape: tuple[int, ...], kernel_shape: tuple[int, ...], *, backend: str, stride: int = 1
) -> str:
    """Name the fastest method, as measured layer by layer in whole training steps.

    Args:
      x_shape: (N, H, W, C).
      kernel_shape: (k, k, C, O).
      backend: 'cpu', 'gpu' or 'tpu'.
      stride: of the convolution.

    Returns:
      One of METHODS.

    Example:
      >>> choose((40, 8, 8, 64), (3, 3, 64, 64), backend="cpu")
      'winograd4'
    """
    if backend != "cpu":
        return "native"
    smaller_side = min(x_shape[1:3])
    if stride > 1 or kernel_shape[0] != 3 or kernel_shape[2] < 8 or smaller_side < 2:
        return "patches"
    return "winograd4" if smaller_side > 2 else "winograd2"


def patches(x: jax.Array, kernel: jax.Array, *, block: int = 1, stride: int = 1) -> jax.Array:
    """Convolve with 'same' zero padding: every window of x as a row, times the kernel.

    A row serves `block` neighbouring outputs, with the kernel repeated at each offset. For few
    channels the rows of single outputs are mostly copies of each other, and copying them costs
    more than multiplying by the zeros around the repeated kernel.

    Args:
      x: activations (N, H, W, C).
      kernel: weights (k, k, C, O).
      block: outputs per row; 1 where there is a stride.
      stride: rows and columns from one window to the next.

    Returns:
      Activations (N, ceil(H / stride), ceil(W / stride), O).

    Example:
      >>> patches(jnp.ones((1, 4, 4, 3)), jnp.ones((5, 5, 3, 8)), block=4).shape
      (1, 4, 4, 8)
    """
    size, _, channels, filters = kernel.shape
    n, height, width, _ = x.shape
    reach, blocks, before = block + size - 1, -(-width // block), (size - 1) // 2
    after = blocks * block - width + size - 1 - before
    x = jnp.pad(x, ((0, 0), (before, size - 1 - before), (before, after), (0, 0)))
    if block == 1:
        strips = [x[:, :, j : j + width : stride] for j in range(size)]
        strip = jnp.concatenate(strips, axis=-1)
    else:
        strips = [x[:, :, j * block : j * block + reach] for j in range(blocks)]
        strip = jnp.stack(strips, axis=2).reshape(n, -1, blocks, reach * channels)
    rows = jnp.concatenate([strip[:, i : i + height : stride] for i in range(size)], axis=-1)
    shifted = [jnp.pad(kernel, ((0, 0), (b, block - 1 - b), (0, 0), (0, 0))) for b in range(block)]
    matrix = jnp.stack(shifted, axis=3).reshape(size * reach * channels, block * filters)
    y = _product(rows.reshape(-1, len(matrix)), matrix)
    tall, wide = (-(-side // stride) for side in (height, width))
    return y.reshape(n, tall, -1, filters)[:, :, :wide]


@jax.custom_vjp
def _product(rows: jax.Array, matrix: jax.Array) -> jax.Array:
    """rows @ matrix, whose matrix gradient JAX would compute through a transposed copy of dy."""
    return rows @ matrix


def _forward(rows: jax.Array, matrix: jax.Array) -> tuple[jax.Array, tuple[jax.Array, jax.Array]]:
    return rows @ matrix, (rows, matrix)


def _backward(saved: tuple[jax.Array, jax.Array], dy: jax.Array) -> tuple[jax.Array, jax.Array]:
    rows, matrix = saved
    return dy @ matrix.T, rows.T @ dy


_product.defvjp(_forward, _backward)
