"""Exact mode: constants of dropped filters survive, but for the borders that zero padding makes."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sparsity_jax.errors import UserError
from sparsity_jax.models import Conv
from sparsity_jax.pruning import fold_constants, fold_error, prune


def constant(variables, keep):
    """Variables whose dropped filters have gamma 0, so that they answer act(beta) everywhere.

    Every other one has a positive beta: its constant is not zero.
    """
    variables = jax.tree.map(np.array, variables)
    for name, mask in keep.items():
        norm = variables["params"][name]["norm"]
        norm["scale"] *= mask
        loud = ~mask & (np.arange(mask.size) % 2 == 0)
        norm["bias"] = np.where(loud, 0.5 + np.abs(norm["bias"]), norm["bias"])
    return variables


def folded(plan, variables, keep):
    return prune(plan, fold_constants(plan, variables, keep), keep)


def pointwise(plan):
    """The same plan with 1x1 kernels, which have no borders."""
    return dataclasses.replace(plan, convs=tuple(Conv(c.filters, 1, c.pool) for c in plan.convs))


@settings(max_examples=25, deadline=None)
@given(
    name=st.sampled_from(["global", "flatten", "window", "no hidden"]), seed=st.integers(0, 9999)
)
def test_exact_where_there_are_no_borders(networks, name, seed):
    plan = pointwise(networks.plans[name])
    keep = networks.keep(plan, seed)
    variables = constant(networks.variables(plan, seed), keep)
    images = networks.images(plan, seed)
    before = networks.logits(plan, variables, images)
    after = networks.logits(*folded(plan, variables, keep), images)
    np.testing.assert_allclose(after, before, rtol=1e-4, atol=1e-4)


def test_folding_the_last_layer_is_exact_with_any_kernel(networks):
    """Dense layers have no borders, whatever the head."""
    for name in ("global", "flatten", "window", "no hidden"):
        plan = networks.plans[name]
        keep = {layer: mask | True for layer, mask in networks.keep(plan, 1).items()}
        keep[plan.layer_names[-1]][:2] = False
        variables = constant(networks.variables(plan, 1), keep)
        images = networks.images(plan, 1)
        before = networks.logits(plan, variables, images)
        after = networks.logits(*folded(plan, variables, keep), images)
        np.testing.assert_allclose(after, before, rtol=1e-4, atol=1e-5)
        author = networks.logits(*prune(plan, variables, keep), images)
        assert np.abs(author - before).max() > 1e-3  # what the author's mode loses


def test_borders_are_inexact_and_measured(networks):
    plan = networks.plans["global"]
    keep = networks.keep(plan, 4)
    variables = constant(networks.variables(plan, 4), keep)
    images = networks.images(plan, 4, count=11)
    report = fold_error(plan, variables, keep, images, batch_size=4)
    before = networks.logits(plan, variables, images)
    after = networks.logits(*folded(plan, variables, keep), images)
    assert report.max_logit_difference == pytest.approx(np.abs(after - before).max(), rel=1e-3)
    assert report.border == pytest.approx(report.max_logit_difference)  # gamma is 0: only borders
    assert report.border > 1e-3
    author = networks.logits(*prune(plan, variables, keep), images)
    assert np.abs(after - before).mean() < np.abs(author - before).mean()
    changed = 100 * np.mean(before.argmax(-1) != after.argmax(-1))
    assert report.changed_pct == pytest.approx(changed)


def test_small_gammas_are_told_from_borders(networks):
    plan = pointwise(networks.plans["global"])
    keep = networks.keep(plan, 4)
    variables = networks.variables(
        plan, 4
    )  # dropped filters have large gammas: not constant at all
    report = fold_error(plan, variables, keep, networks.images(plan, 4))
    assert report.border < 1e-4 < report.max_logit_difference


def test_keep_all_folds_nothing(networks):
    plan = networks.plans["flatten"]
    variables = networks.variables(plan, 0)
    keep = {layer: mask | True for layer, mask in networks.keep(plan, 0).items()}
    result = fold_constants(plan, variables, keep)
    jax.tree.map(np.testing.assert_array_equal, result, variables)
    assert fold_error(plan, variables, keep, networks.images(plan, 0)).max_logit_difference < 1e-5


def test_no_images(networks):
    plan = networks.plans["flatten"]
    with pytest.raises(UserError, match="there are no images"):
        fold_error(
            plan, networks.variables(plan, 0), networks.keep(plan, 0), jnp.ones((0, 9, 6, 1))
        )
