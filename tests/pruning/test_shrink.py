"""Cutting while training: what goes, that nothing else changes, and the way back."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sparsity_jax.errors import UserError
from sparsity_jax.models import Conv, ConvNet, Plan, make_plan
from sparsity_jax.models.convnet import init, train_logits
from sparsity_jax.optimizers import OPTIMIZERS, make_optimizer
from sparsity_jax.pruning import prune, zero
from sparsity_jax.pruning.shrink import (
    dead_filters,
    everything,
    expand_like,
    keep_living,
    pays,
    shrink_state,
    still_kept,
)

PLANS = {
    "global": make_plan("BasicNet", classes=5, input_shape=(16, 16, 3), width=0.0625),
    "flatten": make_plan("VGG-11", classes=5, input_shape=(64, 64, 3), width=0.0625),
}
SEEDS = st.integers(0, 1000)


def variables_of(plan, seed=0):
    """Fresh weights with norms as after some training."""
    rng = np.random.default_rng(seed)
    made = init(plan, jax.random.key(seed))
    return jax.tree.map(
        lambda leaf: jnp.asarray(leaf + rng.uniform(0.05, 0.5, leaf.shape).astype(np.float32)), made
    )


def random_keep(plan, seed):
    rng = np.random.default_rng(seed)
    return {
        name: np.arange(conv.filters) != rng.integers(conv.filters) if conv.filters > 1
        else np.array([True])
        for name, conv in zip(plan.layer_names, plan.convs, strict=True)
    }  # fmt: skip


@pytest.mark.parametrize("plan", PLANS.values(), ids=PLANS)
@given(seed=SEEDS)
@settings(max_examples=3, deadline=None)
def test_expanding_is_the_way_back_of_pruning(plan, seed):
    variables, kept, smaller = variables_of(plan, seed), everything(plan), plan
    cut = variables
    for turn in range(2):
        keep = random_keep(smaller, seed + turn)
        smaller, cut = prune(smaller, cut, keep)
        kept = still_kept(kept, keep)
    whole = expand_like(cut, plan, kept)
    mask = {
        name: np.isin(np.arange(conv.filters), kept[name])
        for name, conv in zip(plan.layer_names, plan.convs, strict=True)
    }
    again = prune(plan, whole, mask)
    assert again[0] == smaller
    jax.tree.map(np.testing.assert_array_equal, again[1], cut)
    images = jax.random.normal(jax.random.key(seed), (2, *plan.input_shape))
    expected = ConvNet(plan).apply(zero(variables, mask), images)
    np.testing.assert_allclose(ConvNet(plan).apply(whole, images), expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_a_state_is_cut_like_its_parameters_and_trains_on(optimizer):
    plan = PLANS["global"]
    variables = variables_of(plan)
    rule = make_optimizer(optimizer, 1e-2, "l2", 1e-3)
    opt_state = rule.init(variables["params"])
    gradients = jax.tree.map(jnp.cos, variables["params"])
    _, opt_state = rule.update(gradients, opt_state, variables["params"])
    keep = random_keep(plan, 0)
    _, cut, cut_state = shrink_state(plan, variables, opt_state, keep)
    fresh = rule.init(cut["params"])
    assert jax.tree.structure(fresh) == jax.tree.structure(cut_state)
    assert [a.shape for a in jax.tree.leaves(fresh)] == [
        a.shape for a in jax.tree.leaves(cut_state)
    ]
    _, by_hand = prune(plan, {**variables, "params": gradients}, keep)
    whole, _ = rule.update(gradients, opt_state, variables["params"])
    part, _ = rule.update(by_hand["params"], cut_state, cut["params"])
    _, expected = prune(plan, {**variables, "params": whole}, keep)
    for ours, theirs in zip(
        jax.tree.leaves(part), jax.tree.leaves(expected["params"]), strict=True
    ):
        np.testing.assert_allclose(ours, theirs, rtol=1e-6, atol=1e-9)


@given(st.integers(1, 4), st.integers(1, 6), SEEDS)
@settings(max_examples=50, deadline=None)
def test_dead_is_vanished_for_long_with_its_beta(patience, times, seed):
    rng = np.random.default_rng(seed)
    gamma, beta = 10.0 ** rng.uniform(-34, -29, (2, times, 7))
    found = dead_filters({"C1": -gamma}, {"C1": -beta}, patience=patience)["C1"]
    for c in range(7):
        low = [max(gamma[t, c], beta[t, c]) < 1e-30 for t in range(times)]
        assert found[c] == (times >= patience and all(low[times - patience :]))


@pytest.mark.parametrize("kernel", [1, 3])
def test_the_loss_finds_a_constant_only_at_the_borders(kernel):
    # Why beta counts too: a filter without gamma answers relu(beta), which the norm behind a
    # convolution of one pixel takes out; zero padding shows it to the loss.
    plan = Plan("two", (Conv(4), Conv(6, kernel=kernel)), (8, 8, 3), "global", (), 5)
    variables = variables_of(plan)
    images = jax.random.normal(jax.random.key(1), (8, 8, 8, 3))
    scales = variables["params"]["C1"]["norm"]

    def loss(beta):
        norm = {"scale": scales["scale"].at[0].set(0.0), "bias": scales["bias"].at[0].set(beta)}
        first = {**variables["params"]["C1"], "norm": norm}
        params = {**variables["params"], "C1": first}
        logits, _, _ = train_logits(plan, {**variables, "params": params}, images)
        return jax.nn.log_softmax(logits)[:, 0].mean()

    slope = float(jax.grad(loss)(1e-3))
    assert abs(slope) < 1e-6 if kernel == 1 else abs(slope) > 1e-4


def test_a_layer_that_would_empty_keeps_its_strongest():
    keep = keep_living({"C1": np.array([-2e-4, 1e-4])}, {"C1": np.array([True, True])})
    assert keep["C1"].tolist() == [True, False]


def test_a_cut_pays_by_multiply_adds():
    plan = PLANS["global"]
    keep = {
        name: np.ones(c.filters, bool) for name, c in zip(plan.layer_names, plan.convs, strict=True)
    }
    assert not pays(plan, keep, least_gain=0.0)
    keep["C2"] = np.arange(len(keep["C2"])) % 2 == 0
    assert pays(plan, keep, least_gain=0.1)
    assert not pays(plan, keep, least_gain=0.9)


def test_wrong_input_is_named():
    with pytest.raises(UserError, match="give 1 evaluation or more"):
        dead_filters({}, {}, patience=0)
    plan = PLANS["global"]
    kept = {**everything(plan), "C1": np.array([0])}
    with pytest.raises(UserError, match="an array at C1/"):
        expand_like(variables_of(plan), plan, kept)
