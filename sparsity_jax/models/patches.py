"""How does a convolution of any kernel size become one matrix product?"""

import jax
import jax.numpy as jnp


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
