"""Cutting of optimizer states: as if they had always been smaller."""

import functools

import jax
import numpy as np
import optax
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from optax_rules import OPTIMIZERS

from sparsity_jax.errors import UserError
from sparsity_jax.pruning.slots import cut_slots

SHAPES = {"a/kernel": (3, 4, 3), "a/bias": (3,), "a/b/kernel": (4, 3), "kernel": (3, 4)}


def nested(flat):
    tree = {}
    for name, array in flat.items():
        *way, last = name.split("/")
        functools.reduce(lambda node, key: node.setdefault(key, {}), way, tree)[last] = array
    return tree


@given(seed=st.integers(0, 1000))
@settings(max_examples=5, deadline=None)
def test_slots_are_cut_as_if_they_had_always_been_smaller(seed):
    """Optimizers that treat each number by itself cannot tell when their arrays were cut."""
    rng = np.random.default_rng(seed)
    keep = {  # two places of each axis, for every new shape is a compilation
        name: {axis: rng.permuted(np.arange(size) < 2) for axis, size in enumerate(shape)}
        for name, shape in SHAPES.items()
    }

    def small(flat):
        return {n: array[np.ix_(*keep[n].values())] for n, array in flat.items()}

    params, *gradients = (
        {name: rng.normal(size=shape).astype(np.float32) for name, shape in SHAPES.items()}
        for _ in range(3)
    )
    whole, part = (
        after_updates([nested(change(one)) for one in (params, *gradients)])
        for change in (dict, small)
    )
    cuts = {f"params/{name}": axes for name, axes in keep.items()}
    found = cut_slots(whole, {"params": nested(params)}, cuts)
    assert jax.tree.structure(found) == jax.tree.structure(part)
    jax.tree.map(functools.partial(np.testing.assert_allclose, rtol=1e-5, atol=1e-9), found, part)


@jax.jit
def after_updates(trees):
    """Optimizer -> its state after some gradients, for those that treat each number by itself."""
    params, *gradients = trees
    states = {}
    for name in set(OPTIMIZERS) - {"clipped"}:
        states[name] = OPTIMIZERS[name].init(params)
        for gradient in gradients:
            _, states[name] = OPTIMIZERS[name].update(gradient, states[name], params)
    return states


def test_stacked_members_and_placeholders_pass():
    variables = {"params": {"kernel": np.zeros((2, 3))}}
    cuts = {"params/kernel": {1: np.array([True, False, True])}}
    stacked = np.arange(24).reshape(4, 2, 3)
    state = ({"kernel": stacked}, {"kernel": np.zeros(1)}, {"other": np.zeros(3)})
    found = cut_slots(state, variables, cuts)
    np.testing.assert_array_equal(found[0]["kernel"], stacked[:, :, [0, 2]])
    assert found[1]["kernel"].shape == (1,)
    assert found[2]["other"].shape == (3,)


def test_factored_slots_are_refused():
    params = {"kernel": np.zeros((4, 4), np.float32)}
    factored = optax.adafactor(min_dim_size_to_factor=2).init(params)
    cuts = {"kernel": {1: np.arange(4) > 0}}
    with pytest.raises(UserError, match="only slots of their parameter's shape can be cut"):
        cut_slots(factored, params, cuts)
    whole = optax.adafactor(min_dim_size_to_factor=5).init(params)
    cut = cut_slots(whole, params, cuts)
    shapes = {leaf.shape for leaf in jax.tree.leaves(cut)}
    assert shapes == {(), (1,), (4, 3)}
