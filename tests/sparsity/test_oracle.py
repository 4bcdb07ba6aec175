"""Sparsity and universality agree with PyTorch's answers (oracle.npz, made by make_oracle.py)."""

import functools
from pathlib import Path

import jax
import numpy as np
import pytest

from sparsity_jax.models import Conv, ConvNet, Plan
from sparsity_jax.sparsity import activation_sparsity, gamma_sparsity, universality
from sparsity_jax.sparsity.activation import corpus_peaks


@pytest.fixture(scope="module")
def oracle():
    with np.load(Path(__file__).with_name("oracle.npz"), allow_pickle=False) as file:
        return dict(file)


@pytest.fixture(scope="module")
def variables(oracle):
    tree = {"params": {}, "batch_stats": {}}
    for key, value in oracle.items():
        match key.split("/"):
            case layer, module, leaf if layer in ("C1", "C2", "F1"):
                collection = "batch_stats" if leaf in ("mean", "var") else "params"
                tree[collection].setdefault(layer, {}).setdefault(module, {})[leaf] = value
    return tree


def arguments(kind):
    slope = 0.1 if kind == "leaky" else 0.0
    plan = Plan("oracle", (Conv(6, 5, True), Conv(8)), (12, 12, 3), "global", (), 4, slope)
    apply_fn = functools.partial(ConvNet(plan).apply, train=False)
    leaky = functools.partial(jax.nn.leaky_relu, negative_slope=0.1)
    return apply_fn, leaky if kind == "leaky" else jax.nn.relu


@pytest.mark.parametrize("kind", ["relu", "leaky"])
def test_agrees_with_pytorch(oracle, variables, kind):
    apply_fn, activation = arguments(kind)
    images = oracle["images"]
    peaks = corpus_peaks(apply_fn, variables, images, activation, None, 20)
    found = activation_sparsity(apply_fn, variables, images, activation=activation, batch_size=20)
    percent = universality(apply_fn, variables, images, activation=activation, batch_size=20)
    for layer in ("C1", "C2"):
        path = f"{layer}/norm"
        np.testing.assert_allclose(
            peaks[path], oracle[f"{kind}/{layer}/peak"], rtol=1e-5, atol=1e-6
        )
        np.testing.assert_array_equal(found.layers[path], oracle[f"{kind}/{layer}/inactive"])
        np.testing.assert_allclose(percent.layers[path], oracle[f"{kind}/{layer}/universality"])


def test_oracle_has_cases_of_every_kind(oracle, variables):
    """The two measures of sparsity differ here, and so do leaky and plain: nothing passes idly."""
    by_gamma = gamma_sparsity(variables).layers["C1/norm"]
    assert (by_gamma != oracle["relu/C1/inactive"]).any()
    assert (oracle["relu/C1/inactive"] != oracle["leaky/C1/inactive"]).any()
    spread = oracle["relu/C2/universality"]
    assert ((spread > 5) & (spread < 95)).any()
