"""How are convolution, max pooling and BatchNorm written so that this backend runs them fast?

GPU and TPU get the plain forms. XLA's convolution for the CPU is slow, above all its kernel
gradient inside a loop (jax-ml/jax #12868), so there every convolution becomes matrix products; and
pooling and BatchNorm get gradients that read memory fewer times. The CPU forms know reverse mode
only. A GPU pools as a CPU does: the plain form's gradient (select-and-scatter) is refused where
programs must repeat bit for bit (google/flax #4233).
"""

import jax
import jax.numpy as jnp
from jax import lax

from sparsity_jax.models.patches import patches
from sparsity_jax.models.winograd import winograd

METHODS = ("native", "patches", "winograd2", "winograd4")


def conv(x: jax.Array, kernel: jax.Array, *, method: str | None = None) -> jax.Array:
    """Convolve with stride 1 and 'same' zero padding.

    y[n, h, w, o] = sum over i, j, c of x[n, h + i - p, w + j - p, c] kernel[i, j, c, o],
    p = (k - 1) // 2.

    Args:
        x: activations (N, H, W, C).
        kernel: weights (k, k, C, O).
        method: one of METHODS (the Winograd ones need k = 3); None chooses for backend and shapes.

    Returns:
        Activations (N, H, W, O).

    Raises:
        ValueError: an unknown method.

    Example:
        >>> conv(jnp.ones((1, 4, 4, 3)), jnp.ones((3, 3, 3, 8))).shape
        (1, 4, 4, 8)
    """
    match method or choose(x.shape, kernel.shape, backend=jax.default_backend()):
        case "native":
            layout = ("NHWC", "HWIO", "NHWC")
            return lax.conv_general_dilated(x, kernel, (1, 1), "SAME", dimension_numbers=layout)
        case "patches":
            return patches(x, kernel, block=4 if x.shape[-1] <= 4 else 1)
        case "winograd2":
            return winograd(x, kernel, 2)
        case "winograd4":
            return winograd(x, kernel, 4)
    raise ValueError(f"method {method!r} is not one of {', '.join(METHODS)}")


def choose(x_shape: tuple[int, ...], kernel_shape: tuple[int, ...], *, backend: str) -> str:
    """Name the fastest method, as measured layer by layer in whole training steps.

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
    smaller_side = min(x_shape[1:3])
    if kernel_shape[0] != 3 or kernel_shape[2] < 8 or smaller_side < 2:
        return "patches"
    return "winograd4" if smaller_side > 2 else "winograd2"


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


def batch_norm(
    x: jax.Array, gamma: jax.Array, beta: jax.Array, *, epsilon: float = 1e-5
) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Normalise every channel over the batch (training mode).

    y = gamma (x - mean) / sqrt(var + epsilon) + beta, with mean and var over all axes but the last;
    var is the mean of (x - mean)^2 in a second pass, because a dying filter is nearly constant.

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
    form = _batch_norm if jax.default_backend() == "cpu" else _plain_batch_norm
    y, mean, var = form(x.reshape(-1, x.shape[-1]), gamma, beta, jnp.asarray(epsilon, x.dtype))
    return y.reshape(x.shape), mean, var


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


def _plain_batch_norm(
    x: jax.Array, gamma: jax.Array, beta: jax.Array, epsilon: jax.Array
) -> tuple[jax.Array, jax.Array, jax.Array]:
    mean = x.mean(0)
    var = jnp.square(x - mean).mean(0)
    return (x - mean) * (lax.rsqrt(var + epsilon) * gamma) + beta, mean, var


_batch_norm = jax.custom_vjp(_plain_batch_norm)


def _batch_norm_forward(
    x: jax.Array, gamma: jax.Array, beta: jax.Array, epsilon: jax.Array
) -> tuple[tuple[jax.Array, jax.Array, jax.Array], tuple[jax.Array, ...]]:
    y, mean, var = _plain_batch_norm(x, gamma, beta, epsilon)
    return (y, mean, var), (x, gamma, mean, lax.rsqrt(var + epsilon))


def _batch_norm_backward(
    saved: tuple[jax.Array, ...], gradients: tuple[jax.Array, jax.Array, jax.Array]
) -> tuple[jax.Array, jax.Array, jax.Array, None]:
    """Two sums over the batch and one pass that writes dx; autodiff makes four sums."""
    (x, gamma, mean, rate), (dy, dmean, dvar) = saved, gradients
    normal = (x - mean) * rate
    dbeta, dgamma = dy.sum(0), (dy * normal).sum(0)
    slope = gamma * rate
    along = (2 * dvar / rate - slope * dgamma) / len(x)
    dx = slope * dy + along * normal + (dmean - slope * dbeta) / len(x)
    return dx, dgamma, dbeta, None


_batch_norm.defvjp(_batch_norm_forward, _batch_norm_backward)
