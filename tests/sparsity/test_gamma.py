"""Sparsity by gamma: definition, order, which norms count, trees of every kind, bad input."""

import copy
import pickle

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn
from flax import nnx
from flax.core import freeze
from hypothesis import given, settings
from hypothesis import strategies as st

from sparsity_jax.errors import UserError
from sparsity_jax.sparsity import FilterSparsity, gamma_sparsity, inactive_gamma


def conv(inputs, filters):
    return {"kernel": jnp.zeros((3, 3, inputs, filters))}


def norm(gamma):
    gamma = jnp.asarray(gamma, jnp.float32)
    return {"scale": gamma, "bias": jnp.zeros_like(gamma)}


def stats(filters):
    return {"mean": jnp.zeros(filters), "var": jnp.ones(filters)}


def tree(gammas):
    """Variables of a chain of convolutions C1, C2, ... with these gammas."""
    params, batch_stats = {}, {}
    for i, gamma in enumerate(gammas, start=1):
        params[f"C{i}"] = {"conv": conv(3, len(gamma)), "norm": norm(gamma)}
        batch_stats[f"C{i}"] = {"norm": stats(len(gamma))}
    return {"params": params, "batch_stats": batch_stats}


gammas_near_threshold = st.floats(-2, 2, width=32).map(lambda x: np.float32(x) * np.float32(1e-3))
gamma_lists = st.lists(
    st.lists(gammas_near_threshold, min_size=1, max_size=6), min_size=1, max_size=12
)


@settings(max_examples=25, deadline=None)
@given(gamma_lists, st.sampled_from([0.0, 1e-4, 1e-3]))
def test_counts_what_the_definition_says(gammas, threshold):
    found = gamma_sparsity(tree(gammas), threshold)
    assert list(found.layers) == [f"C{i + 1}/norm" for i in range(len(gammas))]
    expected = [[abs(np.float32(g)) < threshold for g in gamma] for gamma in gammas]
    for mask, layer in zip(found.layers.values(), expected, strict=True):
        assert mask.tolist() == layer
    flat = [inactive for layer in expected for inactive in layer]
    assert found.total_pct == pytest.approx(100 * np.mean(flat))
    assert found.layer_pct["C1/norm"] == pytest.approx(100 * np.mean(expected[0]))


@settings(max_examples=10, deadline=None)
@given(gamma_lists, st.randoms(use_true_random=False))
def test_permuting_filters_permutes_the_answer(gammas, random):
    orders = [random.sample(range(len(gamma)), len(gamma)) for gamma in gammas]
    shuffled = [[g[i] for i in order] for g, order in zip(gammas, orders, strict=True)]
    before, after = gamma_sparsity(tree(gammas)), gamma_sparsity(tree(shuffled))
    for old, new, order in zip(before.layers.values(), after.layers.values(), orders, strict=True):
        assert (old[order] == new).all()


def test_order_survives_jit_and_pickling():
    variables = tree([[0.0, 1.0]] * 11)
    raw = jax.jit(inactive_gamma)(variables)
    assert next(iter(raw)) == "C1/norm"
    assert list(raw)[1] == "C10/norm"  # what jit does to dicts, and why FilterSparsity sorts
    found = FilterSparsity(raw)
    assert list(found.layers)[-3:] == ["C9/norm", "C10/norm", "C11/norm"]
    again = pickle.loads(pickle.dumps(copy.deepcopy(found)))
    assert list(again.layers) == list(found.layers)
    assert again.table() == found.table()


def test_stacked_members_under_vmap_and_as_they_are():
    members = [tree([[0.0, 1.0], [1.0, 1e-4, 5.0]]), tree([[1.0, 1.0], [0.0, 0.0, 0.0]])]
    stacked = jax.tree.map(lambda *leaves: jnp.stack(leaves), *members)
    vmapped = jax.jit(jax.vmap(inactive_gamma))(stacked)
    for i, member in enumerate(members):
        for path, mask in gamma_sparsity(member).layers.items():
            assert (np.asarray(vmapped[path])[i] == mask).all()
            assert (gamma_sparsity(stacked).layers[path][i] == mask).all()


def test_dense_norms_do_not_count_even_when_members_are_stacked():
    variables = tree([[0.0, 1.0, 1.0]])
    variables["params"]["F1"] = {"dense": {"kernel": jnp.zeros((3, 3))}, "norm": norm([0, 0, 0])}
    variables["batch_stats"]["F1"] = {"norm": stats(3)}
    stacked = jax.tree.map(lambda leaf: jnp.stack([leaf, leaf]), variables)
    assert list(gamma_sparsity(variables).layers) == ["C1/norm"]
    assert list(gamma_sparsity(stacked).layers) == ["C1/norm"]


class Flat(nn.Module):
    """Automatic names, everything in one scope."""

    @nn.compact
    def __call__(self, x):
        for _ in range(11):
            x = nn.relu(nn.BatchNorm(use_running_average=True)(nn.Conv(4, (3, 3))(x)))
        x = nn.Dense(5)(x.mean((1, 2)))
        return nn.BatchNorm(use_running_average=True)(x)


def test_flat_linen_names_frozen_and_partitioned():
    shapes = jax.eval_shape(Flat().init, jax.random.key(0), jnp.ones((1, 4, 4, 3)))
    variables = jax.tree.map(lambda leaf: np.ones(leaf.shape, np.float32), shapes)
    names = [f"BatchNorm_{i}" for i in range(11)]  # BatchNorm_11 follows the dense layer
    assert list(gamma_sparsity(variables).layers) == names
    assert list(gamma_sparsity(freeze(variables)).layers) == names
    boxed = jax.tree.map(lambda leaf: nn.Partitioned(leaf, (None,) * leaf.ndim), variables)
    assert list(gamma_sparsity(boxed).layers) == names


class NnxNet(nnx.Module):
    def __init__(self):
        rngs = nnx.Rngs(0)
        self.blocks = nnx.List(
            [layer for _ in range(2) for layer in (nnx.Conv(3, 3, (3, 3), rngs=rngs), bn(3, rngs))]
        )
        self.dense = nnx.Linear(3, 6, rngs=rngs)
        self.head = bn(6, rngs)


def bn(features, rngs):
    return nnx.BatchNorm(features, rngs=rngs)


def test_nnx_state_and_pure_dict():
    model = NnxNet()
    model.blocks[3].scale[...] = jnp.asarray([0.0, 1.0, -1e-4])
    state = nnx.state(model)
    for variables in (state, nnx.to_pure_dict(state)):
        found = gamma_sparsity(variables)
        assert list(found.layers) == ["blocks/1", "blocks/3"]
        assert found.layers["blocks/3"].tolist() == [True, False, True]


def test_table_shows_every_layer_and_the_total():
    lines = gamma_sparsity(tree([[0.0, 1.0], [0.0, 0.0]])).table().splitlines()
    assert [line.split() for line in lines] == [
        ["layer", "filters", "inactive", "%"],
        ["C1/norm", "2", "1", "50.0"],
        ["C2/norm", "2", "2", "100.0"],
        ["total", "4", "3", "75.0"],
    ]


def without(variables, collection, leaf):
    norms = {**variables[collection]["C1"]["norm"]}
    del norms[leaf]
    layers = {**variables[collection], "C1": {**variables[collection]["C1"], "norm": norms}}
    return {**variables, collection: layers}


@pytest.mark.parametrize(
    ("variables", "threshold", "message"),
    [
        ({"params": tree([[1.0]])["params"]}, 1e-3, "no BatchNorm found"),
        ({}, 1e-3, "no BatchNorm found"),
        (tree([[1.0], [float("nan"), 0.0]]), 1e-3, "layer C2/norm has 1 gammas"),
        (without(tree([[1.0]]), "params", "scale"), 1e-3, r"C1/norm has no gamma \(use_scale"),
        (without(tree([[1.0]]), "batch_stats", "mean"), 1e-3, "C1/norm has a running var but no"),
        (tree([[1.0]]), -1e-3, "threshold=-0.001 is not valid"),
        (tree([[1.0]]), float("nan"), "threshold=nan is not valid"),
    ],
)
def test_bad_input_is_named(variables, threshold, message):
    with pytest.raises(UserError, match=message):
        gamma_sparsity(variables, threshold)


def test_a_network_of_dense_norms_only_is_refused():
    variables = {
        "params": {"dense": {"kernel": jnp.zeros((2, 3))}, "norm": norm([1, 1, 1])},
        "batch_stats": {"norm": stats(3)},
    }
    with pytest.raises(UserError, match="follows a dense layer"):
        gamma_sparsity(variables)
