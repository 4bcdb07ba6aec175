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
