"""Pruning: masked equals pruned, keep-all is the identity, twice equals once, and bad keep-sets."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sparsity_jax.errors import UserError
from sparsity_jax.models import ConvNet, vgg
from sparsity_jax.pruning import prune, prune_like, prune_opt_state, zero

NAMES = ("global", "flatten", "window", "no hidden", "deep")
seeds = st.integers(0, 10_000)


def assert_same(left, right):
    assert jax.tree.structure(left) == jax.tree.structure(right)
    jax.tree.map(np.testing.assert_array_equal, left, right)


@pytest.mark.parametrize("name", NAMES)
def test_the_network_itself_masked_equals_pruned(networks, name):
    """On ConvNet in float32; the other tests of this room use its double in numpy."""
    plan = networks.plans[name]
    variables, keep = networks.variables(plan, 1), networks.keep(plan, 1)
    images = networks.images(plan, 1)
    smaller, weights = prune(plan, variables, keep)
    masked = jax.jit(ConvNet(plan).apply)(zero(variables, keep), images)
    pruned = jax.jit(ConvNet(smaller).apply)(weights, images)
    np.testing.assert_allclose(pruned, masked, atol=1e-5)
    np.testing.assert_allclose(pruned, networks.logits(smaller, weights, images), atol=1e-4)
    assert np.ptp(masked, axis=0).max() > 1e-3  # images are told apart: equality says something


@settings(max_examples=50, deadline=None)
@given(name=st.sampled_from(NAMES), seed=seeds, share=st.sampled_from([0.0, 0.3, 0.8]))
def test_masked_equals_pruned(networks, name, seed, share):
    plan = networks.plans[name]
    variables, keep = networks.variables(plan, seed), networks.keep(plan, seed, share)
    images = networks.images(plan, seed)
    smaller, weights = prune(plan, variables, keep)
    masked = networks.logits(plan, zero(variables, keep), images)
    np.testing.assert_allclose(networks.logits(smaller, weights, images), masked, atol=1e-5)
    assert smaller.filters == sum(int(mask.sum()) for mask in keep.values())


def test_masked_equals_pruned_on_a_vgg(networks):
    plan = vgg("VGG-11", classes=5, input_shape=(64, 64, 3), width="8-0.05x")
    assert plan.head_map[:2] == (2, 2)  # a flatten head with places
    variables, keep = networks.variables(plan, 1), networks.keep(plan, 1)
    images = networks.images(plan, 1)
    smaller, weights = prune(plan, variables, keep)
    masked = networks.logits(plan, zero(variables, keep), images)
    np.testing.assert_allclose(networks.logits(smaller, weights, images), masked, atol=1e-5)
    assert np.ptp(masked, axis=0).max() > 1e-3


@pytest.mark.parametrize("name", NAMES)
def test_keep_all_is_the_identity(networks, name):
    plan = networks.plans[name]
    variables = networks.variables(plan, 3)
    everything = {layer: mask | True for layer, mask in networks.keep(plan, 3).items()}
    same, weights = prune(plan, variables, everything)
    assert same == plan
    assert_same(weights, variables)
    assert_same(zero(variables, everything), variables)


@settings(max_examples=15, deadline=None)
@given(name=st.sampled_from(NAMES), seed=seeds)
def test_pruning_twice_equals_pruning_once(networks, name, seed):
    plan = networks.plans[name]
    variables = networks.variables(plan, seed)
    first = networks.keep(plan, seed, 0.8)
    middle, weights = prune(plan, variables, first)
    second = networks.keep(middle, seed + 1, 0.5)
    both = {layer: mask.copy() for layer, mask in first.items()}
    for layer, mask in both.items():
        mask[mask] = second[layer]
    last, last_weights = prune(middle, weights, second)
    once, once_weights = prune(plan, variables, both)
    assert last == once
    assert_same(last_weights, once_weights)


def permuted(plan, variables, orders):
    """The same function with filters in another order, written without the code under test."""
    params = jax.tree.map(np.asarray, variables["params"])
    stats = jax.tree.map(np.asarray, variables["batch_stats"])
    params, stats = dict(params), dict(stats)
    before = np.arange(plan.input_shape[2])
    for name, order in orders.items():
        kernel = params[name]["conv"]["kernel"][:, :, before][..., order]
        norm = {leaf: value[order] for leaf, value in params[name]["norm"].items()}
        params[name] = {"conv": {"kernel": kernel}, "norm": norm}
        stats[name] = {"norm": {leaf: v[order] for leaf, v in stats[name]["norm"].items()}}
        before = order
    height, width, filters = plan.head_map
    dense = params["F1"]["dense"]
    kernel = dense["kernel"].reshape(height, width, filters, -1)[:, :, before]
    kernel = kernel.reshape(dense["kernel"].shape)
    params["F1"] = {**params["F1"], "dense": {**dense, "kernel": kernel}}
    return {"params": params, "batch_stats": stats}


@settings(max_examples=15, deadline=None)
@given(name=st.sampled_from(NAMES), seed=seeds)
def test_permuting_filters_does_not_change_the_pruned_function(networks, name, seed):
    plan = networks.plans[name]
    variables, keep = networks.variables(plan, seed), networks.keep(plan, seed)
    images = networks.images(plan, seed)
    rng = np.random.default_rng(seed)
    orders = {layer: rng.permutation(mask.size) for layer, mask in keep.items()}
    moved = {layer: mask[orders[layer]] for layer, mask in keep.items()}
    one, weights = prune(plan, variables, keep)
    other, other_weights = prune(plan, permuted(plan, variables, orders), moved)
    assert one == other
    np.testing.assert_allclose(
        networks.logits(one, weights, images),
        networks.logits(other, other_weights, images),
        atol=1e-5,
    )


OPTIMIZERS = {
    "adam": optax.chain(optax.add_decayed_weights(1e-3), optax.adam(1e-2)),
    "sgd": optax.sgd(optax.constant_schedule(0.1), momentum=0.9),
}


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_moments_are_sliced_along(networks, optimizer):
    """One step from pruned weights with pruned moments = the pruned result of one dense step."""
    plan, rule = networks.plans["flatten"], OPTIMIZERS[optimizer]
    variables, keep = networks.variables(plan, 5), networks.keep(plan, 5)
    params = variables["params"]
    gradients = networks.variables(plan, 6)["params"]
    _, state = rule.update(gradients, rule.init(params), params)
    smaller_state = prune_opt_state(state, plan, keep)
    updates, _ = rule.update(gradients, state, params)
    small = prune_like(params, plan, keep), prune_like(gradients, plan, keep)
    smaller_updates, _ = rule.update(small[1], smaller_state, small[0])
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-6, atol=1e-9),
        smaller_updates,
        prune_like(updates, plan, keep),
    )
    fresh = rule.init(prune(plan, variables, keep)[1]["params"])
    assert jax.tree.map(jnp.shape, smaller_state) == jax.tree.map(jnp.shape, fresh)


def test_moments_of_another_shape_are_refused(networks):
    plan = networks.plans["global"]
    keep = networks.keep(plan, 0)
    with pytest.raises(UserError, match="C2/conv/kernel has shape"):
        prune_like({"C2": {"conv": {"kernel": jnp.zeros(6)}}}, plan, keep)


def test_stacked_members_are_sliced_and_masked_alike(networks):
    plan = networks.plans["global"]
    keep = networks.keep(plan, 2)
    members = [networks.variables(plan, seed) for seed in (0, 1)]
    stacked = jax.tree.map(lambda *leaves: jnp.stack(leaves), *members)
    _, weights = prune(plan, stacked, keep)
    masked = jax.jit(zero)(stacked, keep)
    for i, member in enumerate(members):
        assert_same(jax.tree.map(lambda leaf, i=i: leaf[i], weights), prune(plan, member, keep)[1])
        assert_same(jax.tree.map(lambda leaf, i=i: leaf[i], masked), zero(member, keep))


def test_inputs_are_left_as_they_were(networks):
    plan = networks.plans["global"]
    variables, keep = networks.variables(plan, 0), networks.keep(plan, 0)
    before = jax.tree.map(np.array, variables)
    prune(plan, variables, keep)
    zero(variables, keep)
    assert_same(variables, before)


def test_a_pruned_network_trains(networks):
    plan = networks.plans["global"]
    smaller, weights = prune(plan, networks.variables(plan, 0), networks.keep(plan, 0))
    images = networks.images(plan, 0)
    _, updated = ConvNet(smaller).apply(weights, images, train=True, mutable=["batch_stats"])
    wanted = jax.tree.map(jnp.shape, weights["batch_stats"])
    assert jax.tree.map(jnp.shape, updated["batch_stats"]) == wanted


def edit(keep, **changes):
    return {layer: mask for layer, mask in {**keep, **changes}.items() if mask is not None}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"C3": None}, "keep-set is for layers C1, C2; global has C1, C2, C3"),
        ({"C4": np.ones(3, bool)}, "keep-set is for layers C1, C2, C3, C4"),
        (
            {"C2": np.ones(5, bool)},
            r"C2 has shape \(5,\) and type bool; valid is a boolean array of 6",
        ),
        ({"C2": np.arange(6)}, "and type int64; valid is a boolean array of 6"),
        ({"C2": np.zeros(6, bool)}, "C2 would keep no filter; use criteria.without_empty_layers"),
    ],
)
def test_bad_keep_sets_are_named(networks, change, message):
    plan = networks.plans["global"]
    keep = edit(networks.keep(plan, 0), **change)
    with pytest.raises(UserError, match=message):
        prune(plan, networks.variables(plan, 0), keep)


def test_variables_of_another_plan_are_named(networks):
    plan, other = networks.plans["global"], networks.plans["flatten"]
    variables = networks.variables(other, 0)
    with pytest.raises(UserError, match=r"kernel of C1 is of shape \(3, 3, 1, 5\); the plan needs"):
        prune(plan, variables, networks.keep(plan, 0))
    with pytest.raises(UserError, match="variables have no batch_stats"):
        prune(plan, {"params": variables["params"]}, networks.keep(plan, 0))
    with pytest.raises(UserError, match="keep names layer C9, but the variables have C1"):
        zero(variables, {"C9": np.ones(3, bool)})
    with pytest.raises(UserError, match=r"C1 has shape \(4,\)"):
        zero(variables, {"C1": np.ones(4, bool)})
