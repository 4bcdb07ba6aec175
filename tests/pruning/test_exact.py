"""Exact mode: constants of removed filters are carried by one that stays, borders included."""

import functools

import jax
import numpy as np
import pytest
from foreign_networks import SMALL, random_variables

from sparsity_jax.errors import UserError
from sparsity_jax.pruning import prune_model
from sparsity_jax.sparsity import gamma_sparsity

IMAGES = np.random.default_rng(0).normal(size=(2, 8, 8, 3)).astype(np.float32)


def half_dead(name, gamma=0.0):
    """A network half of whose filters have gamma 0, and a beta of either sign."""
    model = SMALL[name]()
    variables = random_variables(model, IMAGES, 3)
    for path, mask in gamma_sparsity(variables).layers.items():
        norm = functools.reduce(lambda tree, key: tree[key], path.split("/"), variables["params"])
        norm["scale"][: mask.size // 2] = gamma
    return model, variables


@pytest.mark.parametrize("name", ["resnet", "split", "concatenated"])
def test_the_pruned_network_equals_the_original(name):
    """Zero-padded convolutions, strides, sums, concatenations and a flattened map, all exact."""
    model, variables = half_dead(name)
    found = gamma_sparsity(variables)
    pruned = prune_model(model.apply, variables, found, IMAGES, mode="exact")
    more = np.random.default_rng(5).normal(size=(3, 8, 8, 3)).astype(np.float32)
    ours = jax.jit(pruned.apply_fn)(pruned.variables, more)
    theirs = jax.jit(model.apply)(variables, more)
    np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-5 * np.abs(theirs).max())
    assert pruned.carried
    for path, count in pruned.carried.items():
        assert count + pruned.removed.get(path, 0) <= found.layers[path].sum()
        assert f"{path}: {count} kept to carry constants" in pruned.report()
    assert sum(pruned.removed.values()) > found.inactive / 2
    assert pruned.change.relative < 1e-5


def test_authors_mode_says_how_far_it_is_from_the_original():
    model, variables = half_dead("split")
    found = gamma_sparsity(variables)
    author = prune_model(model.apply, variables, found, IMAGES)
    assert author.carried == {}
    assert author.change_from_masked.relative < 1e-5 < 1e-3 < author.change.relative
    report = author.report()
    assert f"differ by {author.change.relative:.1e} of their scale from the original" in report
    assert f"{author.change_from_masked.relative:.1e} of their scale from the masked" in report


def test_small_gammas_are_not_quite_constant_and_the_report_says_so():
    model, variables = half_dead("split", gamma=5e-4)
    found = gamma_sparsity(variables)
    pruned = prune_model(model.apply, variables, found, IMAGES, mode="exact")
    assert pruned.removed
    assert pruned.change_from_masked.relative < 1e-5 < pruned.change.relative < 1e-2


def test_constants_of_zero_need_no_carrier():
    model, variables = half_dead("split")
    for norm in ("stem_norm", "left_norm", "joint_norm"):
        variables["params"][norm]["bias"][:] = -np.abs(variables["params"][norm]["bias"])
    found = gamma_sparsity(variables)
    pruned = prune_model(model.apply, variables, found, IMAGES, mode="exact")
    assert pruned.carried == {}
    assert sum(pruned.removed.values()) == found.inactive
    assert pruned.change.relative < 1e-5


def test_an_unknown_mode_is_refused():
    model, variables = half_dead("split")
    with pytest.raises(UserError, match="mode='fast' is not known; valid are author, exact"):
        prune_model(model.apply, variables, {}, IMAGES, mode="fast")
