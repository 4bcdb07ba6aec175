"""Convolutions member by member: what each member would compute alone, and in plain shapes."""

import functools
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from sparsity_jax.models.by_member import one_by_one
from sparsity_jax.models.convolution import conv

MEMBERS = 3
RNG = np.random.default_rng(0)
X = RNG.standard_normal((MEMBERS, 2, 6, 6, 4))
KERNEL = RNG.standard_normal((MEMBERS, 3, 3, 4, 5))


def loss(convolve, x, kernel):
    return jnp.sin(convolve(x, kernel)).sum()


def gradients(convolve, x, kernel):
    return jax.value_and_grad(functools.partial(loss, convolve), (0, 1))(x, kernel)


@pytest.mark.parametrize(("method", "stride"), [("native", 1), ("native", 2), ("winograd4", 1)])
@pytest.mark.parametrize("shared", [False, True])
def test_each_member_gets_its_own_value_and_gradients(method, stride, shared):
    with jax.enable_x64(True):
        x, kernel = jnp.asarray(X[0] if shared else X), jnp.asarray(KERNEL)
        own = functools.partial(one_by_one, stride=stride, method=method)
        axes = (None if shared else 0, 0)
        together = jax.jit(jax.vmap(functools.partial(gradients, own), in_axes=axes))(x, kernel)
        plain = functools.partial(conv, stride=stride, method=method)
        plain = jax.jit(functools.partial(gradients, plain))
        for i in range(MEMBERS):
            alone = plain(x if shared else x[i], kernel[i])
            for a, b in zip(jax.tree.leaves(together), jax.tree.leaves(alone), strict=True):
                np.testing.assert_allclose(a[i], b, rtol=1e-9, atol=1e-9)


def groups(convolve) -> list[int]:
    """Feature groups of the convolutions in the batched program."""
    batched = jax.vmap(functools.partial(gradients, convolve))
    text = jax.jit(batched).lower(jnp.float32(X), jnp.float32(KERNEL)).as_text()
    found = re.findall(r"(?:feature|batch)_group_count = (\d+)", text)
    assert text.count("stablehlo.convolution") >= 3
    return [int(count) for count in found]


def test_no_convolution_is_grouped_where_plain_batching_groups_them():
    native = {"method": "native"}
    assert max(groups(functools.partial(one_by_one, **native))) == 1
    assert max(groups(functools.partial(conv, **native))) == MEMBERS


def test_without_members_it_is_the_convolution():
    own, plain = (
        jax.jit(functools.partial(gradients, each))(jnp.float32(X[0]), jnp.float32(KERNEL[0]))
        for each in (one_by_one, conv)
    )
    for a, b in zip(jax.tree.leaves(own), jax.tree.leaves(plain), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-5)
