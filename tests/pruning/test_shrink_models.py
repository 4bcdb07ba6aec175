"""Cutting of Flax models and optax states in mid-training: cut and step, or step and cut."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import linen as nn
from flax import nnx
from optax_rules import OPTIMIZERS

from sparsity_jax.errors import UserError
from sparsity_jax.pruning import shrink_state
from sparsity_jax.sparsity.norm_arrays import array_names

RNG = np.random.default_rng(0)
IMAGES = RNG.normal(size=(6, 6, 6, 3)).astype(np.float32)
LABELS = np.arange(6) % 4
STEPS = 3


class Plain(nn.Module):
    @nn.compact
    def __call__(self, x, train=True):
        for width in (7, 6):
            x = nn.Conv(width, (3, 3), use_bias=False)(x)
            x = nn.relu(nn.BatchNorm(use_running_average=not train, momentum=0.9)(x))
        return nn.Dense(4)(x.mean((1, 2)))


class Residual(nn.Module):
    @nn.compact
    def __call__(self, x, *, train):
        norm = functools.partial(nn.BatchNorm, use_running_average=not train, momentum=0.9)
        x = nn.relu(norm()(nn.Conv(6, (3, 3), use_bias=False)(x)))
        y = nn.relu(norm()(nn.Conv(8, (3, 3), use_bias=False)(x)))
        y = norm()(nn.Conv(6, (3, 3), use_bias=False)(y))
        return nn.Dense(4)(nn.relu(x + y).mean((1, 2)))


class WidthsInCode(nn.Module):
    """Runs on smaller arrays only operation by operation."""

    @nn.compact
    def __call__(self, x, train=False):
        norm = functools.partial(nn.BatchNorm, use_running_average=not train, momentum=0.9)
        x = nn.relu(norm()(nn.Conv(8, (3, 3), use_bias=False)(x)).reshape(-1, 6, 6, 8))
        x = nn.relu(norm()(nn.Conv(6, (3, 3), use_bias=False)(x)).reshape(-1, 6, 6, 6))
        return nn.Dense(4)(nn.Dropout(0.0, deterministic=not train)(x).mean((1, 2)))


class NnxNet(nnx.Module):
    def __init__(self, rngs):
        self.first = nnx.Conv(3, 6, (3, 3), use_bias=False, rngs=rngs)
        self.norm = nnx.BatchNorm(6, momentum=0.9, rngs=rngs)
        self.depthwise = nnx.Conv(6, 6, (3, 3), feature_group_count=6, use_bias=False, rngs=rngs)
        self.last_norm = nnx.BatchNorm(6, momentum=0.9, rngs=rngs)
        self.head = nnx.Linear(6, 4, rngs=rngs)

    def __call__(self, x):
        x = nnx.relu(self.norm(self.first(x)))
        x = nnx.relu(self.last_norm(self.depthwise(x)))
        return self.head(x.mean((1, 2)))


CHAIN = {  # array -> the norm of its outputs, the norm of its inputs
    "Plain": [
        ("Conv_0", "BatchNorm_0", None),
        ("Conv_1", "BatchNorm_1", "BatchNorm_0"),
        ("Dense_0", None, "BatchNorm_1"),
    ],
    "Residual": [
        ("Conv_0", "BatchNorm_0", None),
        ("Conv_1", "BatchNorm_1", "BatchNorm_0"),
        ("Conv_2", "BatchNorm_2", "BatchNorm_1"),
        ("Dense_0", None, "BatchNorm_2"),
    ],
}
CHAIN["WidthsInCode"] = CHAIN["Plain"]
DEAD = {
    "Plain": {"BatchNorm_0": [1, 4], "BatchNorm_1": [0, 5]},
    "Residual": {"BatchNorm_0": [2, 3], "BatchNorm_1": [0, 7], "BatchNorm_2": [2, 3]},
    "WidthsInCode": {"BatchNorm_0": [1, 4], "BatchNorm_1": [0, 5]},
}


def with_dead(variables, dead):
    """Filters that never fire: gamma is 0 and beta below, or at 0 where a sum follows."""
    variables = jax.tree.map(np.array, variables)
    norms = variables["params"]
    for name, values in norms.items():
        if name.startswith("BatchNorm"):
            values["bias"] += RNG.uniform(0.1, 0.3, values["bias"].shape).astype(np.float32)
            values["scale"][dead[name]] = 0
            values["bias"][dead[name]] = 0 if "BatchNorm_2" in dead else -0.2
    return variables


def keep_of(variables, dead):
    sizes = {name: variables["params"][name]["scale"].size for name in dead}
    return {name: ~np.isin(np.arange(sizes[name]), places) for name, places in dead.items()}


def cut_by_hand(tree, model, keep):
    """Parameters or statistics without the filters that go, by the chain of the model's layers."""
    small = {}
    for layer, outputs, inputs in CHAIN[type(model).__name__]:
        arrays = dict(tree.get(layer, {}))
        for name, array in arrays.items():
            if outputs:
                array = np.compress(keep[outputs], array, axis=-1)
            if inputs and name == "kernel":
                array = np.compress(keep[inputs], array, axis=-2)
            arrays[name] = array
        if arrays:
            small[layer] = arrays
        if outputs and outputs in tree:
            small[outputs] = {n: np.compress(keep[outputs], a) for n, a in tree[outputs].items()}
    return small


def by_hand(variables, model, keep):
    return {kind: cut_by_hand(tree, model, keep) for kind, tree in variables.items()}


def gradients_of(model):
    """(variables) -> gradients and the statistics after a training step."""

    @jax.jit
    def found(variables):
        def loss_of(params):
            inputs = {**variables, "params": params}
            logits, changed = model.apply(
                inputs, IMAGES, train=True, mutable=["batch_stats"], rngs=jax.random.key(0)
            )
            losses = optax.softmax_cross_entropy_with_integer_labels(logits, LABELS)
            return losses.mean(), changed

        return jax.grad(loss_of, has_aux=True)(variables["params"])

    return found


def stepped(gradients, rules, runs, steps=STEPS):
    """Optimizer -> (variables, state) after some steps of each; one program updates them all."""

    @jax.jit
    def update(found, runs):
        after = {}
        for name, (variables, state) in runs.items():
            gradient, changed = found[name]
            updates, state = rules[name].update(gradient, state, variables["params"])
            after[name] = (
                {"params": optax.apply_updates(variables["params"], updates), **changed},
                state,
            )
        return after

    for _ in range(steps):
        runs = update({name: gradients(variables) for name, (variables, _) in runs.items()}, runs)
    return runs


def near(ours, theirs):
    assert jax.tree.structure(ours) == jax.tree.structure(theirs)
    for a, b in zip(jax.tree.leaves(ours), jax.tree.leaves(theirs), strict=True):
        np.testing.assert_allclose(a, b, rtol=2e-4, atol=2e-6)


def made(model):
    name = type(model).__name__
    variables = model.init(jax.random.key(1), IMAGES, train=False)
    variables = with_dead(variables, DEAD[name])
    return variables, keep_of(variables, DEAD[name])


@pytest.mark.parametrize(
    ("model", "names"),
    [
        (Plain(), ("momentum", "adam + L2", "clipped", "partition", "MultiSteps")),
        (Residual(), ("adam + L2", "masked")),
    ],
    ids=("plain", "residual"),
)
def test_cutting_and_stepping_is_stepping_and_cutting(model, names):
    """Several optimizers at once, for one cut; each has taken a step before it."""
    rules = {name: OPTIMIZERS[name] for name in names}
    dense, (variables, keep) = gradients_of(model), made(model)
    runs = {name: (variables, rule.init(variables["params"])) for name, rule in rules.items()}
    begun = stepped(dense, rules, runs, steps=1)
    states = {name: state for name, (_, state) in begun.items()}
    smaller, small, cut = shrink_state(model, variables, states, keep, IMAGES[:2])
    near(small, by_hand(variables, model, keep))
    for name, rule in rules.items():
        assert jax.tree.structure(cut[name]) == jax.tree.structure(rule.init(small["params"]))
    now = {name: (by_hand(v, model, keep), cut[name]) for name, (v, _) in begun.items()}
    ours = stepped(gradients_of(smaller), rules, now)
    theirs = stepped(dense, rules, begun)
    for name in rules:
        near(ours[name][0], by_hand(theirs[name][0], model, keep))


def test_code_that_names_widths_trains_on_operation_by_operation():
    model, rules = WidthsInCode(), {"adam": OPTIMIZERS["adam + L2"]}
    variables, keep = made(model)
    opt_state = rules["adam"].init(variables["params"])
    smaller, small, cut = shrink_state(model, variables, opt_state, keep, IMAGES[:2])
    ours = stepped(gradients_of(smaller), rules, {"adam": (small, cut)})["adam"][0]
    after = stepped(gradients_of(model), rules, {"adam": (variables, opt_state)})["adam"][0]
    near(ours, by_hand(after, model, keep))


@pytest.mark.parametrize("model", [Plain(), WidthsInCode()], ids=lambda model: type(model).__name__)
def test_two_cuts_are_one(model):
    variables, keep = made(model)
    momentum = optax.trace(0.9).init(variables["params"])
    at_once = shrink_state(model, variables, momentum, keep, IMAGES[:2])
    first = {"BatchNorm_0": keep["BatchNorm_0"]}
    once = shrink_state(model, variables, momentum, first, IMAGES[:2])
    assert once[1]["params"]["Conv_1"]["kernel"].shape[-2] == keep["BatchNorm_0"].sum()
    twice = shrink_state(*once, {"BatchNorm_1": keep["BatchNorm_1"]}, IMAGES[:2])
    near(twice[1:], at_once[1:])
    ours, theirs = (m.apply(v, IMAGES, train=False) for m, v, _ in (twice, at_once))
    np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-6)
    again = shrink_state(*twice, {"BatchNorm_1": np.ones(4, bool)}, IMAGES[:2])
    assert all(a is b for a, b in zip(again, twice, strict=True))
    assert "BatchNorm_1: 2 filters removed" in twice[0].report


def test_a_constant_is_kept_by_a_filter_that_stays():
    """A filter with gamma 0 and beta above 0 answers a constant, borders included."""
    model = Plain()
    variables, keep = made(model)
    variables["params"]["BatchNorm_0"]["bias"][[1, 4]] = 0.7
    smaller, small, _ = shrink_state(model, variables, (), keep, IMAGES[:2])
    ours, theirs = (
        m.apply(v, IMAGES, train=False) for m, v in ((smaller, small), (model, variables))
    )
    np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-5)
    assert small["params"]["Conv_0"]["kernel"].shape[-1] == 6  # one of two carries both


def test_an_nnx_module_stays_one_and_trains_on():
    model = NnxNet(nnx.Rngs(0))
    dead = np.isin(np.arange(6), [1, 4])
    for norm in (model.norm, model.last_norm):
        norm.scale[...] = jnp.where(dead, 0, norm.scale[...])
        norm.bias[...] = jnp.where(dead, -0.2, 0.1)
    optimizer = nnx.Optimizer(model, optax.adam(1e-3), wrt=nnx.Param)
    rule = optax.adam(1e-3)
    state = nnx.state(model)
    slots = rule.init(nnx.state(model, nnx.Param))
    smaller, small, (cut, wrapped) = shrink_state(
        model, state, (slots, optimizer.opt_state), {"norm": ~dead, "last_norm": ~dead}, IMAGES[:2]
    )
    assert smaller.depthwise.kernel.shape == (3, 3, 1, 4)
    assert wrapped[0].mu["head"]["kernel"].shape == (4, 4)
    small_too = nnx.state(smaller)
    jax.tree.map(np.testing.assert_array_equal, small_too, small)
    after = [nnx_stepped(m, rule, s) for m, s in ((model, slots), (smaller, cut))]
    kept = np.flatnonzero(~dead)
    whole, part = (dict(zip(array_names(one), jax.tree.leaves(one), strict=True)) for one in after)
    for name, found in part.items():
        expected = np.asarray(whole[name])
        for axis, size in enumerate(expected.shape):
            if size == 6:
                expected = expected.take(kept, axis)
        np.testing.assert_allclose(found, expected, rtol=2e-4, atol=2e-6)


def nnx_stepped(model, rule, slots):
    def loss_of(model):
        logits = model(IMAGES)
        return optax.softmax_cross_entropy_with_integer_labels(logits, LABELS).mean()

    gradient = nnx.jit(nnx.grad(loss_of))
    for _ in range(STEPS):
        params = nnx.state(model, nnx.Param)
        updates, slots = rule.update(gradient(model), slots, params)
        nnx.update(model, optax.apply_updates(params, updates))
    return nnx.state(model)


class NnxWidths(NnxNet):
    def __call__(self, x):
        x = nnx.relu(self.norm(self.first(x)).reshape(-1, 6, 6, 6))
        return self.head(x.mean((1, 2)))


def test_wrong_input_is_named():
    model = Plain()
    variables, keep = made(model)
    with pytest.raises(UserError, match="give a few images"):
        shrink_state(model, variables, (), keep)
    with pytest.raises(UserError, match="valid are a Plan, a Linen module and an NNX"):
        shrink_state(len, variables, (), keep, IMAGES)
    with pytest.raises(UserError, match="has no norm Elsewhere; valid are BatchNorm_0"):
        shrink_state(model, variables, (), {"Elsewhere": keep["BatchNorm_0"]}, IMAGES)
    other = NnxWidths(nnx.Rngs(0))
    dead = {"norm": np.arange(6) > 1}
    with pytest.raises(UserError, match="asks for the widths that it was built with"):
        shrink_state(other, nnx.state(other), (), dead, IMAGES[:2])
