"""Which filters stay: measured, emptied layers, the baselines' rules."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sparsity_jax.errors import UserError
from sparsity_jax.pruning import keep_active, prune, without_empty_layers
from sparsity_jax.pruning.criteria import keep_largest_l1, keep_slimmest
from sparsity_jax.sparsity import gamma_sparsity


def test_keep_active_is_the_complement_in_plan_order(networks):
    plan = networks.plans["deep"]
    variables = networks.variables(plan, 0)
    variables["params"]["C10"]["norm"]["scale"][1] = 1e-4
    keep = keep_active(gamma_sparsity(variables))
    assert tuple(keep) == plan.layer_names
    assert keep["C10"].tolist() == [True, False, True]
    assert keep_active(gamma_sparsity(variables).layers).keys() == keep.keys()
    with pytest.raises(UserError, match="layer Block_0/BatchNorm_1 is not one of a ConvNet plan"):
        keep_active({"Block_0/BatchNorm_1": np.ones(3, bool)})


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 9999))
def test_emptied_layers_get_their_strongest_filter_back(networks, seed):
    plan = networks.plans["global"]
    variables = networks.variables(plan, seed)
    keep = networks.keep(plan, seed)
    empty = {**keep, "C2": np.zeros(6, bool)}
    full, emptied = without_empty_layers(empty, variables)
    assert emptied == ("C2",)
    gamma = variables["params"]["C2"]["norm"]["scale"]
    assert np.abs(gamma[full["C2"]]).item() == np.abs(gamma).max()
    assert not empty["C2"].any()  # the input is left alone
    assert all((full[name] == keep[name]).all() for name in ("C1", "C3"))
    assert prune(plan, variables, full)[0].convs[1].filters == 1
    again, none = without_empty_layers(full, variables)
    assert none == ()
    assert all((again[name] == full[name]).all() for name in full)


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 9999), fraction=st.floats(0, 0.99))
def test_l1_drops_the_smallest_kernels(networks, seed, fraction):
    plan = networks.plans["global"]
    variables = networks.variables(plan, seed)
    keep = keep_largest_l1(variables, fraction)
    for conv, (name, mask) in zip(plan.convs, keep.items(), strict=True):
        drop = min(round(fraction * conv.filters), conv.filters - 1)
        assert (~mask).sum() == drop
        norms = np.abs(variables["params"][name]["conv"]["kernel"]).sum((0, 1, 2))
        if drop:
            assert norms[~mask].max() <= norms[mask].min()


def test_l1_by_layer_and_ties(networks):
    variables = networks.variables(networks.plans["global"], 0)
    variables["params"]["C3"]["conv"]["kernel"] = np.ones((3, 3, 6, 4), np.float32)
    keep = keep_largest_l1(variables, {"C3": 0.5})
    assert keep["C1"].all()
    assert keep["C3"].tolist() == [True, True, False, False]


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 9999), fraction=st.floats(0, 0.95))
def test_slimming_drops_a_share_of_all_filters(networks, seed, fraction):
    plan = networks.plans["global"]
    variables = networks.variables(plan, seed)
    keep = keep_slimmest(variables, fraction)
    gammas = [np.abs(variables["params"][name]["norm"]["scale"]) for name in keep]
    dropped = np.concatenate([g[~m] for g, m in zip(gammas, keep.values(), strict=True)])
    kept = np.concatenate([g[m] for g, m in zip(gammas, keep.values(), strict=True)])
    assert dropped.size == round(fraction * plan.filters)
    assert dropped.size == 0 or dropped.max() < kept.min()


def test_slimming_drops_all_ties(networks):
    variables = networks.variables(networks.plans["global"], 0)
    for name in ("C1", "C2", "C3"):
        variables["params"][name]["norm"]["scale"][:] = 0.5
    assert not any(mask.any() for mask in keep_slimmest(variables, 0.1).values())
    full, emptied = without_empty_layers(keep_slimmest(variables, 0.1), variables)
    assert emptied == ("C1", "C2", "C3")
    assert [mask.sum() for mask in full.values()] == [1, 1, 1]
    assert all(mask.all() for mask in keep_slimmest(variables, 0.0).values())


@pytest.mark.parametrize("fraction", [-0.1, 1.0, float("nan")])
def test_fractions_outside_the_range_are_named(networks, fraction):
    variables = networks.variables(networks.plans["global"], 0)
    with pytest.raises(UserError, match=r"fraction=.* is not valid"):
        keep_largest_l1(variables, fraction)
    with pytest.raises(UserError, match=r"fraction=.* is not valid"):
        keep_slimmest(variables, fraction)
    with pytest.raises(UserError, match="layer C8 does not exist; valid are C1, C2, C3"):
        keep_largest_l1(variables, {"C8": 0.5})
