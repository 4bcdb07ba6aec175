"""Pruning inside the blocks of models that are not plans."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn
from flax.traverse_util import flatten_dict
from hypothesis import given, settings
from hypothesis import strategies as st

from sparsity_jax.errors import UserError
from sparsity_jax.pruning.generic import narrow, prune_model
from sparsity_jax.sparsity import gamma_sparsity

Norm = functools.partial(nn.BatchNorm, use_running_average=True)
IMAGES = np.random.default_rng(0).normal(size=(3, 6, 6, 3)).astype(np.float32)


class Block(nn.Module):
    filters: int

    @nn.compact
    def __call__(self, x):
        y = nn.relu(Norm()(nn.Conv(self.filters, (3, 3), use_bias=False)(x)))
        y = nn.relu(Norm()(nn.Conv(self.filters + 1, (3, 3))(y)))  # with a bias
        y = Norm()(nn.Conv(x.shape[-1], (1, 1), use_bias=False)(y))
        return nn.relu(x + y)


class ResNet(nn.Module):
    """Two bottleneck blocks, a plain stage, and a flattened head."""

    @nn.compact
    def __call__(self, x):
        x = nn.relu(Norm(name="bn_init")(nn.Conv(6, (3, 3), name="conv_init")(x)))
        x = Block(5)(Block(5)(x))
        x = nn.max_pool(x, (2, 2), strides=(2, 2))
        x = nn.relu(Norm(name="bn_last")(nn.Conv(7, (3, 3), name="conv_last")(x)))
        return nn.Dense(4)(x.reshape(x.shape[0], -1))


class Odd(nn.Module):
    """Everything that ties filters together."""

    @nn.compact
    def __call__(self, x):
        a = nn.relu(Norm(name="joined")(nn.Conv(4, (3, 3), name="a")(x)))
        x = jnp.concatenate([a, x], -1)
        b = nn.relu(Norm(name="depthwise_input")(nn.Conv(4, (3, 3), name="b")(x)))
        c = nn.Conv(4, (3, 3), feature_group_count=4, name="depthwise")(b)
        c = nn.relu(Norm(name="depthwise_output")(c))
        d = nn.sigmoid(Norm(name="never_zero")(nn.Conv(4, (1, 1), name="d")(c)))
        e = nn.relu(Norm(name="two_ways")(nn.Conv(4, (1, 1), name="e")(d)))
        f = nn.relu(Norm(name="free")(nn.Conv(4, (1, 1), name="f")(e)))
        g = nn.Conv(4, (1, 1), name="g")(f)
        return nn.Dense(2)((e + g).mean((1, 2))) + nn.Conv(2, (1, 1), name="h")(f).mean((1, 2))


def variables_of(model, seed):
    rng = np.random.default_rng(seed)
    shapes = jax.eval_shape(model.init, jax.random.key(0), jnp.asarray(IMAGES))

    def random(path, leaf):
        low, high = {"var": (0.5, 2), "kernel": (-0.6, 0.6)}.get(path[-1].key, (-0.5, 1))
        return rng.uniform(low, high, leaf.shape).astype(np.float32)

    return jax.tree_util.tree_map_with_path(random, shapes)


def masked(variables, inactive):
    variables = jax.tree.map(np.array, variables)
    for path, mask in inactive.items():
        norm = functools.reduce(lambda tree, name: tree[name], path.split("/"), variables["params"])
        for leaf in ("scale", "bias"):
            norm[leaf][mask] = 0
    return variables


INSIDE = [
    "Block_0/BatchNorm_0",
    "Block_0/BatchNorm_1",
    "Block_1/BatchNorm_0",
    "Block_1/BatchNorm_1",
]
BLOCK_ENDS = ["Block_0/BatchNorm_2", "Block_1/BatchNorm_2", "bn_init"]


@settings(max_examples=4, deadline=None)
@given(seed=st.integers(0, 999))
def test_blocks_are_pruned_inside_and_sums_left_alone(seed):
    model = ResNet()
    variables = variables_of(model, seed)
    rng = np.random.default_rng(seed)
    inactive = {p: rng.random(m.size) < 0.5 for p, m in gamma_sparsity(variables).layers.items()}
    inactive["Block_0/BatchNorm_0"][:2] = True, False  # something to remove, something to keep
    inactive["Block_0/BatchNorm_2"][0] = True
    pruned = prune_model(model.apply, variables, inactive, IMAGES)
    assert set(pruned.removed) <= {*INSIDE, "bn_last"}
    assert set(pruned.left_alone) <= set(BLOCK_ENDS)
    assert "through a sum" in pruned.left_alone["Block_0/BatchNorm_2"]
    assert len(pruned.report().splitlines()) == sum(
        map(len, (pruned.removed, pruned.left_alone, pruned.kept_strongest))
    )
    removed = {path: mask for path, mask in inactive.items() if path in pruned.removed}
    for path in pruned.kept_strongest:
        norm = functools.reduce(lambda tree, name: tree[name], path.split("/"), variables["params"])
        if path in removed:
            removed[path] = np.arange(norm["scale"].size) != np.abs(norm["scale"]).argmax()
    more = np.random.default_rng(seed + 1).normal(size=(5, 6, 6, 3)).astype(np.float32)
    np.testing.assert_allclose(
        jax.jit(pruned.apply_fn)(pruned.variables, more),
        jax.jit(model.apply)(masked(variables, removed), more),
        rtol=1e-4,
        atol=1e-4,
    )


def test_kernels_shrink_on_both_sides_and_flattened_heads_too():
    variables = variables_of(ResNet(), 0)
    inactive = {
        "Block_1/BatchNorm_0": np.array([True, False, True, False, False]),
        "Block_1/BatchNorm_1": np.arange(6) < 4,
        "bn_last": np.arange(7) < 2,
    }
    pruned = prune_model(ResNet().apply, variables, inactive, IMAGES[:1])
    assert dict(pruned.removed) == {
        "Block_1/BatchNorm_0": 2,
        "Block_1/BatchNorm_1": 4,
        "bn_last": 2,
    }
    shapes = {k: v.shape for k, v in flatten_dict(pruned.variables["params"], sep="/").items()}
    assert shapes["Block_1/Conv_0/kernel"] == (3, 3, 6, 3)
    assert shapes["Block_1/Conv_1/kernel"] == (3, 3, 3, 2)
    assert shapes["Block_1/Conv_1/bias"] == (2,)
    assert shapes["Block_1/Conv_2/kernel"] == (1, 1, 2, 6)
    assert shapes["Dense_0/kernel"] == (3 * 3 * 5, 4)
    assert pruned.left_alone == {}


def test_everything_that_ties_filters_together_is_left_alone():
    variables = variables_of(Odd(), 3)
    inactive = {path: np.arange(4) == 1 for path in gamma_sparsity(variables).layers}
    pruned = prune_model(Odd().apply, variables, inactive, IMAGES)
    assert dict(pruned.removed) == {"free": 1}
    why = pruned.left_alone
    assert why["depthwise_input"] == "it feeds the grouped convolution depthwise"
    assert why["depthwise_output"] == "its convolution depthwise is grouped"
    assert "reach b through a sum or another joint layer" in why["joined"]
    assert "reach e through" in why["never_zero"]
    assert "through a sum or another joint layer" in why["two_ways"]


def test_dead_filters_found_by_gamma_go_and_emptied_blocks_keep_one():
    """Filters already silent on every image are found as well as loud ones."""
    variables = variables_of(ResNet(), 5)
    norm = variables["params"]["Block_0"]["BatchNorm_1"]
    norm["scale"][:] = [1e-5, 1e-4, -5e-4, 0, 0, 0]
    norm["bias"][:] = -0.3
    found = gamma_sparsity(variables)
    pruned = prune_model(ResNet().apply, variables, found, IMAGES)
    assert pruned.kept_strongest == ("Block_0/BatchNorm_1",)
    assert pruned.removed["Block_0/BatchNorm_1"] == 5
    kept = pruned.variables["params"]["Block_0"]["BatchNorm_1"]["scale"]
    np.testing.assert_array_equal(kept, np.float32([-5e-4]))
    # None of them ever answered, so here the pruned model equals the original itself.
    only = prune_model(ResNet().apply, variables, {"Block_0/BatchNorm_1": np.arange(6) < 5}, IMAGES)
    np.testing.assert_allclose(
        only.apply_fn(only.variables, IMAGES), ResNet().apply(variables, IMAGES), atol=1e-3
    )


def test_a_pruned_model_differentiates_and_nothing_to_do_changes_nothing():
    variables = variables_of(ResNet(), 6)
    same = prune_model(ResNet().apply, variables, {"bn_last": np.zeros(7, bool)}, IMAGES)
    assert same.report() == "nothing to remove"
    jax.tree.map(np.testing.assert_array_equal, same.variables, variables)
    pruned = prune_model(ResNet().apply, variables, {"bn_last": np.arange(7) < 3}, IMAGES)
    again = narrow(ResNet().apply, pruned.widths)

    def loss(params):
        return again({**pruned.variables, "params": params}, IMAGES).sum()

    gradient = jax.jit(jax.grad(loss))(pruned.variables["params"])
    assert gradient["conv_last"]["kernel"].shape == (3, 3, 6, 4)


def test_bad_masks_are_named():
    variables = variables_of(ResNet(), 0)
    apply_fn = ResNet().apply
    with pytest.raises(UserError, match="no norm bn_lost; valid are Block_0/BatchNorm_0, "):
        prune_model(apply_fn, variables, {"bn_lost": np.ones(7, bool)}, IMAGES)
    with pytest.raises(UserError, match=r"bn_last has shape \(3,\) and type bool; valid is"):
        prune_model(apply_fn, variables, {"bn_last": np.ones(3, bool)}, IMAGES)
    with pytest.raises(UserError, match="apply_fn ran no Linen Conv"):
        prune_model(lambda v, x: x, variables, {"bn_last": np.arange(7) < 3}, IMAGES)
