"""BatchNorm's form off the CPU: sums in two stages, and a gradient that autodiff confirms."""

from unittest import mock

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from sparsity_jax.models.norm import batch_norm, sums_in_parts, two_stage

EPSILON = 1e-5
ROWS = (40, 640, 1024, 1026, 1031)  # 1031 is prime


def definition(x, gamma, beta):
    mean = x.mean(0)
    var = jnp.square(x - mean).mean(0)
    return gamma * (x - mean) / jnp.sqrt(var + EPSILON) + beta, mean, var


def own(x, gamma, beta):
    return two_stage(x, gamma, beta, jnp.asarray(EPSILON, x.dtype))


def some(rows: int, *, dtype: str = "float64", channels: int = 5) -> tuple:
    rng = np.random.default_rng(rows)
    shapes = (rows, channels), (channels,), (channels,)
    return tuple(jnp.asarray(3 + 2 * rng.standard_normal(shape), dtype) for shape in shapes)


def pulled(form, arguments: tuple) -> tuple:
    """The gradients of the arguments for random gradients of all three results."""
    rng = np.random.default_rng(0)
    directions = jax.tree.map(
        lambda result: jnp.asarray(rng.standard_normal(result.shape), result.dtype),
        jax.eval_shape(form, *arguments),
    )

    def run(arguments: tuple, directions: tuple) -> tuple:
        results, pull = jax.vjp(form, *arguments)
        return results, pull(directions)

    return jax.jit(run)(arguments, directions)


@pytest.mark.parametrize("rows", ROWS)
def test_in_float64_values_and_gradients_are_those_of_autodiff(rows):
    with jax.enable_x64(True):
        got, expected = (pulled(form, some(rows)) for form in (own, definition))
        for a, b in zip(jax.tree.leaves(got), jax.tree.leaves(expected), strict=True):
            assert a.dtype == np.float64
            np.testing.assert_allclose(a, b, rtol=1e-10, atol=1e-10 * np.abs(b).max())


def test_in_bfloat16_they_are_those_of_autodiff_up_to_one_rounding():
    """As the network has it: activations in bfloat16, normalised in float32."""

    def narrow(form):
        def normalise(x, gamma, beta):
            y, mean, var = form(x.astype(jnp.float32), gamma, beta)
            return y.astype(jnp.bfloat16), mean, var

        return normalise

    x, gamma, beta = some(1280, dtype="float32")
    arguments = x.astype(jnp.bfloat16), gamma, beta
    got, expected = (pulled(narrow(form), arguments) for form in (own, definition))
    assert got[1][0].dtype == jnp.bfloat16
    for a, b in zip(jax.tree.leaves(got), jax.tree.leaves(expected), strict=True):
        assert a.dtype == b.dtype
        a, b = (np.asarray(each, np.float32) for each in (a, b))
        np.testing.assert_allclose(a, b, rtol=2**-8, atol=2**-8 * np.abs(b).max())


@pytest.mark.parametrize("channels", [5, 300])
@pytest.mark.parametrize("rows", ROWS)
def test_sums_in_parts_are_sums(rows, channels):
    with jax.enable_x64(True):
        x, factor = some(rows, channels=channels)[0], some(rows + 1, channels=channels)[0][:rows]
        total, product = sums_in_parts(x, factor)
        np.testing.assert_allclose(total, x.sum(0), rtol=1e-12)
        np.testing.assert_allclose(sums_in_parts(x)[0], x.sum(0), rtol=1e-12)
        np.testing.assert_allclose(product, (x * factor).sum(0), rtol=1e-12)


@pytest.mark.parametrize(
    ("channels", "factors", "parts"), [(64, 0, 64), (256, 0, 16), (256, 1, 64)]
)
def test_wide_sums_without_factors_have_fewer_parts(channels, factors, parts):
    """The barrier holds the parts; fewer than 32 are added inside of the next kernel on a GPU."""
    arrays = [jnp.ones((2560, channels))] * (1 + factors)
    steps = jax.make_jaxpr(sums_in_parts)(*arrays).eqns
    (barrier,) = [step for step in steps if step.primitive.name == "optimization_barrier"]
    assert [array.aval.shape for array in barrier.outvars] == [(parts, channels)] * (1 + factors)


def test_sums_of_several_factors_are_one_reduction():
    arrays = [jnp.ones((2560, 4))] * 3
    steps = [step.primitive.name for step in jax.make_jaxpr(sums_in_parts)(*arrays).eqns]
    assert [name for name in steps if "reduce" in name] == ["reduce_sum"] * 3 + ["reduce"]


def test_the_compiler_may_not_merge_the_stages():
    def barriers(rows: int) -> int:
        return str(jax.make_jaxpr(sums_in_parts)(jnp.ones((rows, 4)))).count("optimization_barrier")

    assert [barriers(rows) for rows in ROWS] == [0, 0, 1, 1, 0]


def test_members_in_a_batch_are_members_alone():
    members = [some(1280 + i, dtype="float32") for i in range(3)]
    stacked = tuple(jnp.stack([m[k][:1280] for m in members]) for k in range(3))
    together = jax.vmap(own)(*stacked)
    for i in range(3):
        alone = own(*(leaf[i] for leaf in stacked))
        for a, b in zip(together, alone, strict=True):
            np.testing.assert_allclose(a[i], b, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(("backend", "barriers"), [("cpu", 0), ("gpu", 2), ("tpu", 2)])
def test_a_cpu_keeps_its_form(backend, barriers):
    arguments = jnp.ones((20, 8, 8, 4)), jnp.ones(4), jnp.zeros(4)
    with mock.patch.object(jax, "default_backend", return_value=backend):
        program = str(jax.make_jaxpr(lambda *given: batch_norm(*given))(*arguments))
    assert program.count("optimization_barrier") == barriers
