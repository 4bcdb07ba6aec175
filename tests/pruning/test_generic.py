"""Pruning of models that are not plans."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn
from flax import nnx
from flax.traverse_util import flatten_dict
from foreign_networks import SMALL, NnxResNet, Norm, ResNet, random_variables

from sparsity_jax.errors import UserError
from sparsity_jax.pruning import cut_program, generic, narrow, prune_model
from sparsity_jax.sparsity import gamma_sparsity

IMAGES = np.random.default_rng(0).normal(size=(2, 8, 8, 3)).astype(np.float32)


def masked(variables, inactive):
    """Gamma and beta of some filters at zero: what a pruned network must equal."""
    variables = jax.tree.map(np.array, variables)
    for path, mask in inactive.items():
        norm = functools.reduce(lambda tree, name: tree[name], path.split("/"), variables["params"])
        for leaf in ("scale", "bias"):
            norm[leaf][mask] = 0
    return variables


def thirds(variables):
    found = gamma_sparsity(variables).layers
    return {path: np.arange(mask.size) < mask.size // 3 for path, mask in found.items()}


def close(ours, theirs, tolerance=2e-5):
    scale = np.abs(theirs).max()
    np.testing.assert_allclose(ours, theirs, rtol=0, atol=tolerance * scale)


STAY = {
    "grouped": {"before": "grouped convolution Conv_1", "grouped_norm": "grouped convolution"},
    "means over channels": {"first": "what they send Conv_1 is not zero"},
}


@pytest.mark.parametrize("name", sorted(set(SMALL) - {"padded shortcut"}))
def test_what_can_go_goes_and_the_network_equals_the_masked_one(name):
    """The first third of every norm: tied filters are then inactive in all members alike."""
    model = SMALL[name]()
    variables = random_variables(model, IMAGES, 0)
    inactive = thirds(variables)
    pruned = prune_model(model.apply, variables, inactive, IMAGES)
    stay = STAY.get(name, {})
    partial = {path for path, why in pruned.left_alone.items() if "active filters of" in why}
    assert set(pruned.left_alone) - partial == set(stay)
    assert all(text in pruned.left_alone[path] for path, text in stay.items())
    assert set(pruned.removed) == set(inactive) - set(stay)
    whole = set(inactive) - set(stay) - partial
    assert all(pruned.removed[path] == inactive[path].sum() for path in whole)
    assert (partial != set()) == (name == "densenet")
    gone = {path: ~pruned.cuts[f"params/{path}/scale"][0] for path in pruned.removed}
    assert not any((gone[path] & ~inactive[path]).any() for path in gone)
    more = np.random.default_rng(7).normal(size=(3, 8, 8, 3)).astype(np.float32)
    ours = jax.jit(pruned.apply_fn)(pruned.variables, more)
    close(ours, jax.jit(model.apply)(masked(variables, gone), more))
    assert pruned.change_from_masked.relative < 1e-5 < pruned.change.relative


def test_a_padded_shortcut_ties_channels_to_zeros():
    model = SMALL["padded shortcut"]()
    variables = random_variables(model, IMAGES, 0)
    inactive = {path: np.zeros(m.size, bool) for path, m in thirds(variables).items()}
    inactive["outer_1"][[0, 5, 11]] = True  # 3 to 8 are the shortcut's, the others padding
    inactive["outer_0"][[2, 3]] = True
    inactive["stem_norm"][2] = True
    pruned = prune_model(model.apply, variables, inactive, IMAGES)
    assert dict(pruned.removed) == {"outer_0": 1, "outer_1": 3, "stem_norm": 1}
    assert "active filters of stem_norm" in pruned.left_alone["outer_0"]
    assert pruned.left_alone["outer_0"].startswith("1 of 2 stay: ")


def test_a_residual_channel_goes_when_it_is_inactive_in_every_member():
    model = ResNet((2, 1), 6)
    variables = random_variables(model, IMAGES, 1)
    group = ["bn_init", "ResNetBlock_0/BatchNorm_1", "ResNetBlock_1/BatchNorm_1"]
    inactive = {path: np.isin(np.arange(6), [1, 2, i + 3]) for i, path in enumerate(group)}
    pruned = prune_model(model.apply, variables, inactive, IMAGES)
    assert dict(pruned.removed) == dict.fromkeys(group, 2)
    assert set(pruned.left_alone) == set(group)
    shapes = {k: v.shape for k, v in flatten_dict(pruned.variables["params"], sep="/").items()}
    assert shapes["conv_init/kernel"] == (7, 7, 3, 4)
    assert shapes["ResNetBlock_0/Conv_0/kernel"] == (3, 3, 4, 6)
    assert shapes["ResNetBlock_0/Conv_1/kernel"] == (3, 3, 6, 4)
    assert shapes["ResNetBlock_2/conv_proj/kernel"] == (1, 1, 4, 12)
    one = {group[0]: inactive[group[0]]}
    alone = prune_model(model.apply, variables, one, IMAGES)
    assert alone.removed == {}
    assert "meet active filters of" in alone.left_alone["bn_init"]


def test_an_inverted_residual_loses_both_sides_of_its_depthwise_convolution():
    """After the depthwise norm at zero, what comes before it is not needed, dead or not."""
    model = SMALL["mobilenet"]()
    variables = random_variables(model, IMAGES, 0)
    inactive = {"InvertedResidual_1/depthwise_norm": np.arange(18) < 5}
    pruned = prune_model(model.apply, variables, inactive, IMAGES)
    assert pruned.removed == {
        "InvertedResidual_1/depthwise_norm": 5,
        "InvertedResidual_1/expand_norm": 5,
    }
    close(
        jax.jit(pruned.apply_fn)(pruned.variables, IMAGES),
        model.apply(masked(variables, inactive), IMAGES),
    )
    before = {"InvertedResidual_1/expand_norm": np.arange(18) < 5}
    variables["params"]["InvertedResidual_1"]["depthwise_norm"]["bias"][:] = 3
    stays = prune_model(model.apply, variables, before, IMAGES)
    assert stays.removed == {}
    assert "constant" in stays.left_alone["InvertedResidual_1/expand_norm"]


def test_nnx_models_are_pruned_as_modules_and_as_functions():
    model = NnxResNet(nnx.Rngs(0))
    state, graph = nnx.state(model), nnx.graphdef(model)
    inactive = thirds(state)

    def call(state, images):
        return nnx.merge(graph, state)(images)

    module = prune_model(model, state, inactive, IMAGES)
    assert module.left_alone == {}
    assert module.removed == {path: int(mask.sum()) for path, mask in inactive.items()}
    model.eval()
    graph = nnx.graphdef(model)
    function = prune_model(call, state, inactive, IMAGES)
    assert function.removed == module.removed
    answers = [jax.jit(p.apply_fn)(p.variables, IMAGES) for p in (module, function)]
    close(*answers)


class Remat(nn.Module):
    wrap: object = staticmethod(lambda layer: layer)

    @nn.compact
    def __call__(self, x):
        block = self.wrap(Block)
        return nn.Dense(5)(block()(block()(x)).mean((1, 2)))


class Block(nn.Module):
    @nn.compact
    def __call__(self, x):
        return nn.relu(Norm()(nn.Conv(8, (3, 3))(nn.relu(Norm()(nn.Conv(8, (3, 3))(x))))))


def test_remat_is_seen_through():
    model = Remat(nn.remat)
    variables = random_variables(model, IMAGES, 0)
    pruned = prune_model(model.apply, variables, thirds(variables), IMAGES)
    assert pruned.left_alone == {}
    assert sum(pruned.removed.values()) == 8


class Scanned(nn.Module):
    @nn.compact
    def __call__(self, x):
        scan = nn.scan(
            Step,
            variable_axes={"params": 0, "batch_stats": 0},
            split_rngs={"params": True},
            length=3,
        )
        x, _ = scan()(nn.Conv(8, (3, 3))(x), None)
        return nn.Dense(5)(x.mean((1, 2)))


class Step(nn.Module):
    @nn.compact
    def __call__(self, x, _):
        return nn.relu(Norm()(nn.Conv(8, (3, 3))(x))), None


def test_scan_is_refused_in_one_line_for_its_layers():
    model = Scanned()
    variables = random_variables(model, IMAGES, 0)
    [path] = gamma_sparsity(variables).layers
    pruned = prune_model(model.apply, variables, {path: np.ones((3, 8), bool)}, IMAGES)
    assert pruned.removed == {}
    assert "several layers share its arrays" in pruned.left_alone[path]


class Norms(nn.Module):
    options: dict = None
    conv: dict = None
    wrap: object = staticmethod(lambda layer: layer)
    between: object = staticmethod(lambda x: x)

    @nn.compact
    def __call__(self, x):
        for width in (8, 12):
            x = self.between(self.wrap(nn.Conv(width, (3, 3), **(self.conv or {})))(x))
            x = nn.relu(Norm(**(self.options or {}))(x))
        return nn.Dense(5)(x.mean((1, 2)))


BORDER = ((0, 0), (1, 1), (1, 1), (0, 0))
BOXED = nn.with_partitioning(nn.initializers.lecun_normal(), (None, None, None, "model"))


@pytest.mark.parametrize(
    "model",
    [
        Norms({"use_bias": False}),
        Norms({"use_scale": False}),
        Norms(wrap=nn.WeightNorm),
        Norms(conv={"kernel_init": BOXED}),
        Norms(conv={"dtype": jnp.bfloat16}, between=lambda x: x.astype(jnp.float32)),
        Norms(conv={"padding": "VALID"}, between=lambda x: jnp.pad(x, BORDER)),
        Norms(between=jax.jit(lambda x: x * 1.0)),
    ],
    ids=["no bias", "no scale", "weight norm", "boxed", "cast", "padded", "jitted"],
)  # fmt: skip
def test_legal_networks_lose_what_they_can(model):
    variables = model.init(jax.random.key(0), IMAGES)
    widths = {"BatchNorm_0": 8, "BatchNorm_1": 12}
    inactive = {path: np.arange(n) % 3 == 1 for path, n in widths.items()}
    pruned = prune_model(model.apply, variables, inactive, IMAGES)
    assert pruned.left_alone == {}
    assert dict(pruned.removed) == {"BatchNorm_0": 3, "BatchNorm_1": 4}
    assert jax.tree.structure(pruned.variables) == jax.tree.structure(variables)
    assert pruned.change_from_masked.relative < 0.02


def test_a_layer_that_the_function_does_not_run_stays():
    model = Norms()
    variables = model.init(jax.random.key(0), IMAGES)
    for kind in variables:
        variables[kind] = {**variables[kind], "Aux": variables[kind]["BatchNorm_0"]}
    variables["params"]["AuxConv"] = variables["params"]["Conv_0"]
    pruned = prune_model(model.apply, variables, {"Aux": np.arange(8) < 2}, IMAGES)
    assert pruned.removed == {}
    assert pruned.left_alone == {"Aux": "the function does not run this norm"}


def test_dead_filters_found_by_gamma_go_and_emptied_layers_keep_one():
    model = ResNet((1,), 6)
    variables = random_variables(model, IMAGES, 5)
    norm = variables["params"]["ResNetBlock_0"]["BatchNorm_0"]
    norm["scale"][:] = [1e-5, 1e-4, -5e-4, 0, 0, 0]
    norm["bias"][:] = -0.3
    pruned = prune_model(model.apply, variables, gamma_sparsity(variables), IMAGES)
    assert pruned.kept_strongest == ("ResNetBlock_0/BatchNorm_0",)
    assert pruned.removed == {"ResNetBlock_0/BatchNorm_0": 5}
    kept = pruned.variables["params"]["ResNetBlock_0"]["BatchNorm_0"]["scale"]
    np.testing.assert_array_equal(kept, np.float32([-5e-4]))
    assert pruned.change.relative < 1e-5  # none of them ever answered


def test_the_pruned_model_differentiates_and_can_be_made_again():
    model = SMALL["squeeze-excite"]()
    variables = random_variables(model, IMAGES, 6)
    pruned = prune_model(model.apply, variables, thirds(variables), IMAGES)
    for again in (narrow(model.apply, pruned.widths), cut_program(model.apply, pruned.cuts)):

        def loss(params, again=again):
            return again({**pruned.variables, "params": params}, IMAGES[:1]).sum()

        gradient = jax.jit(jax.grad(loss))(pruned.variables["params"])
        assert gradient["stem"]["kernel"].shape == (3, 3, 3, 6)
        assert np.abs(gradient["stem"]["kernel"]).max() > 0


def test_nothing_to_do_changes_nothing():
    model = Norms()
    variables = random_variables(model, IMAGES, 6)
    same = prune_model(model.apply, variables, {"BatchNorm_0": np.zeros(8, bool)}, IMAGES)
    assert same.report() == "nothing to remove"
    jax.tree.map(np.testing.assert_array_equal, same.variables, variables)


def test_a_layer_that_fails_the_comparison_is_the_only_one_to_stay(monkeypatch):
    """A wrong surgery of one layer, forced: the comparison finds it, the others go."""
    model = Norms()
    variables = random_variables(model, IMAGES, 6)
    right = generic.cut

    def wrong(variables, cuts):
        smaller = right(variables, cuts)
        if "params/BatchNorm_0/scale" in cuts:
            smaller["params"]["Conv_0"]["kernel"] = smaller["params"]["Conv_0"]["kernel"] * 1.001
        return smaller

    monkeypatch.setattr(generic, "cut", wrong)
    pruned = prune_model(model.apply, variables, thirds(variables), IMAGES)
    assert dict(pruned.removed) == {"BatchNorm_1": 4}
    assert set(pruned.left_alone) == {"BatchNorm_0"}
    assert "did not agree" in pruned.left_alone["BatchNorm_0"]


def test_the_comparison_is_relative_to_the_outputs():
    model = Norms()
    variables = random_variables(model, IMAGES, 6)
    for factor in (1e-6, 1e6):
        scaled = jax.tree.map(np.array, variables)
        for leaf in ("kernel", "bias"):
            scaled["params"]["Dense_0"][leaf] *= np.float32(factor)
        pruned = prune_model(model.apply, scaled, thirds(scaled), IMAGES)
        assert sum(pruned.removed.values()) == 6
        assert 1e-3 < pruned.change.relative < 10
        assert pruned.change.largest / factor < 100


def test_bad_masks_are_named():
    model = Norms()
    variables = random_variables(model, IMAGES, 0)
    with pytest.raises(UserError, match="no norm bn_lost; valid are BatchNorm_0, BatchNorm_1"):
        prune_model(model.apply, variables, {"bn_lost": np.ones(7, bool)}, IMAGES)
    with pytest.raises(UserError, match=r"BatchNorm_0 has shape \(3,\) and type bool; valid is"):
        prune_model(model.apply, variables, {"BatchNorm_0": np.ones(3, bool)}, IMAGES)
