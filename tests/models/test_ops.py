"""Every way to write a convolution or a max pool must compute the same thing."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jax import lax

from sparsity_jax.models.convolution import METHODS, choose, conv
from sparsity_jax.models.norm import batch_norm
from sparsity_jax.models.pooling import max_pool

SIDES = st.integers(1, 9)
FAST = settings(max_examples=4, deadline=None)
ORACLE = METHODS[0]


def random(seed: int, *shape: int) -> jax.Array:
    return jax.random.normal(jax.random.key(seed), shape)


@functools.partial(jax.jit, static_argnums=0)
def value_and_gradients(method: str | None, x: jax.Array, kernel: jax.Array) -> tuple:
    y, pull = jax.vjp(lambda x, kernel: conv(x, kernel, method=method), x, kernel)
    return y, *pull(jnp.cos(1 + 3 * jnp.arange(y.size, dtype=y.dtype)).reshape(y.shape))


def assert_same(got: tuple, expected: tuple, *, tolerance: float) -> None:
    for a, b in zip(got, expected, strict=True):
        scale = max(float(jnp.abs(b).max()), 1e-3)
        np.testing.assert_allclose(a / scale, b / scale, rtol=0, atol=tolerance)


@pytest.mark.parametrize("method", [*METHODS[1:], None])
@FAST
@given(st.integers(1, 3), SIDES, SIDES, st.integers(1, 9), st.integers(1, 9), st.integers(1, 5))
def test_every_method_agrees_with_the_native_convolution(method, n, h, w, c, o, k):
    k = 3 if method and method.startswith("winograd") else k
    x, kernel = random(0, n, h, w, c), random(1, k, k, c, o)
    got = value_and_gradients(method, x, kernel)
    assert_same(got, value_and_gradients(ORACLE, x, kernel), tolerance=2e-5)


@pytest.mark.parametrize(
    ("method", "bound"), [("patches", 1e-6), ("winograd2", 2e-6), ("winograd4", 2e-5)]
)
def test_float32_error_against_float64(method, bound):
    x, kernel = random(0, 8, 4, 4, 256), random(1, 3, 3, 256, 64)
    with jax.enable_x64(True):
        wide = (np.asarray(a, np.float64) for a in (x, kernel))
        expected = [np.asarray(a) for a in value_and_gradients(ORACLE, *wide)]
    got = value_and_gradients(method, x, kernel)
    for a, b in zip(got, expected, strict=True):
        assert np.abs(np.asarray(a, np.float64) - b).max() < bound * np.abs(b).max()


@pytest.mark.parametrize("method", METHODS)
def test_vmap_and_scan_change_nothing(method):
    x, kernels = random(0, 2, 6, 5, 4), random(1, 3, 3, 3, 4, 4)
    each = [value_and_gradients(method, x, kernel) for kernel in kernels]
    together = jax.vmap(lambda kernel: value_and_gradients(method, x, kernel))(kernels)

    def body(carry, kernel):
        return carry, value_and_gradients(method, x, kernel)

    _, looped = lax.scan(body, 0, kernels)
    for i, alone in enumerate(each):
        assert_same(jax.tree.map(lambda a, i=i: a[i], together), alone, tolerance=1e-5)
        assert_same(jax.tree.map(lambda a, i=i: a[i], looped), alone, tolerance=1e-5)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("bad", [jnp.nan, jnp.inf])
def test_what_is_not_finite_stays_visible_and_in_its_image(method, bad):
    x, kernel = random(0, 2, 6, 6, 3).at[0, 2, 3, 1].set(bad), random(1, 3, 3, 3, 4)
    y = conv(x, kernel, method=method)
    native = conv(x, kernel, method=ORACLE)
    assert not jnp.isfinite(y)[~jnp.isfinite(native)].any()
    assert jnp.isfinite(y[1]).all()


@pytest.mark.parametrize("method", METHODS)
def test_dead_channels_stay_exactly_zero(method):
    x = random(0, 2, 8, 8, 4).at[..., 1].set(0)
    kernel = random(1, 3, 3, 4, 5).at[..., 2].set(0)
    y, _, dkernel = value_and_gradients(method, x, kernel)
    assert not y[..., 2].any()
    assert not dkernel[:, :, 1].any()


def test_accelerators_get_the_native_convolution():
    for backend in ("gpu", "tpu"):
        assert choose((40, 8, 8, 64), (3, 3, 64, 64), backend=backend) == "native"


def test_an_unknown_method_is_refused_by_name():
    with pytest.raises(ValueError, match=r"'fft'.*native, patches"):
        conv(jnp.ones((1, 2, 2, 1)), jnp.ones((3, 3, 1, 1)), method="fft")


@FAST
@given(st.integers(1, 3), st.integers(2, 9), st.integers(2, 9), st.integers(1, 5))
def test_max_pool_agrees_with_reduce_window(n, h, w, c):
    x = random(0, n, h, w, c)

    def oracle(x):
        return lax.reduce_window(x, -jnp.inf, lax.max, (1, 2, 2, 1), (1, 2, 2, 1), "VALID")

    y, pull = jax.vjp(max_pool, x)
    expected, pull_expected = jax.vjp(oracle, x)
    dy = random(1, *y.shape)
    np.testing.assert_array_equal(y, expected)
    np.testing.assert_array_equal(*pull(dy), *pull_expected(dy))


def test_max_pool_gives_the_first_of_equals_the_gradient():
    dx = jax.grad(lambda x: max_pool(x).sum())(jnp.ones((1, 4, 4, 2)))
    np.testing.assert_array_equal(dx.reshape(2, 2, 2, 2, 2)[:, 0, :, 0], 1)
    assert dx.sum() == 8


def test_max_pool_loses_no_gradient_where_the_compiler_computes_its_input_twice():
    """Here XLA (jax 0.10) rounds the two copies differently: a backward pass that asks x == y
    finds no winner in some squares (a third of this gradient was lost)."""

    def oracle(x):
        return lax.reduce_window(x, -jnp.inf, lax.max, (1, 2, 2, 1), (1, 2, 2, 1), "VALID")

    def block(x, kernel, gamma, beta):
        x = conv(x, kernel)
        mean = x.mean((0, 1, 2))
        var = jnp.square(x - mean).mean((0, 1, 2))
        return jax.nn.relu((x - mean) * (gamma * lax.rsqrt(var + 1e-5)) + beta)

    with jax.enable_x64(True):
        x = random(0, 4, 6, 6, 8)
        layers = [
            (random(i, 3, 3, 8, 8), 1 + random(i + 8, 8) / 10, random(i + 4, 8)) for i in (1, 2)
        ]

        def gradient(pool):
            def loss(layers):
                return jnp.sin(block(pool(block(x, *layers[0])), *layers[1])).sum()

            return jax.jit(jax.grad(loss))(layers)[0][0]

        np.testing.assert_allclose(gradient(max_pool), gradient(oracle), rtol=1e-6, atol=1e-9)


def test_max_pool_passes_nan_on():
    y = max_pool(jnp.ones((1, 4, 4, 1)).at[0, 1, 1, 0].set(jnp.nan))
    assert jnp.isnan(y[0, 0, 0, 0])
    assert jnp.isfinite(y[0, 1, 1, 0])


@pytest.mark.parametrize("shape", [(4, 3, 5, 6), (8, 3), (1, 2, 2, 1)])
def test_batch_norm_has_the_values_and_gradients_of_its_definition(shape):
    def definition(x, gamma, beta):
        axes = tuple(range(x.ndim - 1))
        mean, var = x.mean(axes), x.var(axes)
        return gamma * (x - mean) / jnp.sqrt(var + 1e-5) + beta, mean, var

    channels = shape[-1]
    arguments = (3 + 2 * random(0, *shape), random(1, channels), random(2, channels))
    got, pull = jax.vjp(batch_norm, *arguments)
    expected, pull_expected = jax.vjp(definition, *arguments)
    directions = jax.tree.map(lambda a: random(3, *a.shape), expected)
    assert_same(got, expected, tolerance=1e-5)
    assert_same(pull(directions), pull_expected(directions), tolerance=1e-4)


def test_batch_norm_of_a_nearly_constant_map_keeps_its_variance():
    x = 100 + 1e-2 * random(0, 64, 4, 4, 1)
    _, _, var = batch_norm(x, jnp.ones(1), jnp.zeros(1))
    np.testing.assert_allclose(var, np.var(np.asarray(x, np.float64)), rtol=1e-2)
