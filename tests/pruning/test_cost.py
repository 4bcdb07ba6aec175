"""Counts: the paper's network sizes, its pruned percentages, and the arrays themselves."""

import csv
from pathlib import Path

import jax
import numpy as np
import pytest

from sparsity_jax.errors import UserError
from sparsity_jax.models import basicnet, make_plan, vgg
from sparsity_jax.pruning import cost, params_pruned_pct, prune

CIFAR = {"classes": 10, "input_shape": (32, 32, 3)}
BASICNET = basicnet(**CIFAR)


@pytest.mark.parametrize(
    ("plan", "filters", "conv_params"),
    [
        (BASICNET, 1856, 4_649_664),
        (basicnet(width="64-0.5x", **CIFAR), 960, 1_184_448),
        (basicnet(width="32-0.25x", **CIFAR), 480, 297_312),
        (vgg("VGG-16", **CIFAR), 4224, 14_710_464),
        (vgg("VGG-11", **CIFAR), 2752, 9_217_728),
    ],
)
def test_published_sizes(plan, filters, conv_params):
    assert cost(plan).filters == filters
    assert cost(plan).conv_params == conv_params


def test_multiply_accumulates():
    assert cost(BASICNET).macs / 1e9 == pytest.approx(0.175, abs=5e-4)
    # VGG-16 at 32x32 is 313.2 M in its convolutions (the usual figure), plus the dense head.
    plan = vgg("VGG-16", **CIFAR)
    assert cost(plan).macs - (512 * 512 + 512 * 10) == 313_196_544


@pytest.mark.parametrize("network", ["BasicNet", "VGG-11", "VGG-19"])
def test_parameters_and_bytes_are_those_of_the_arrays(networks, network):
    for classes, size in ((10, 32), (200, 64)):
        plan = make_plan(network, classes=classes, input_shape=(size, size, 3), width="8-0.05x")
        variables = networks.variables(plan, 0)
        count = {name: sum(a.size for a in jax.tree.leaves(t)) for name, t in variables.items()}
        assert cost(plan).params == count["params"]
        assert cost(plan).bytes == 4 * (count["params"] + count["batch_stats"])
        smaller, weights = prune(plan, variables, networks.keep(plan, 0))
        assert cost(smaller).params == sum(a.size for a in jax.tree.leaves(weights["params"]))


def published():
    lines = Path(__file__).with_name("layer_percentages.csv").read_text().splitlines()
    return list(csv.DictReader(lines[1:]))


@pytest.mark.parametrize("row", published(), ids=lambda row: f"{row['table']}-{row['optimizer']}")
def test_published_percentages_of_parameters(row):
    """Within what the rounding of the layer percentages allows, for 16 of 16 rows."""
    percent = np.array([float(row[f"c{i}"]) for i in range(1, 8)])
    low, high = (percent + shift for shift in (-0.5, 0.5))
    bounds = [pruned_pct(np.clip(p, 0, 100)) for p in (low, high)]
    assert bounds[0] - 0.5 <= float(row["params_pruned_pct"]) <= bounds[1] + 0.5


def pruned_pct(layer_percent):
    """Of a BasicNet a hundred times as wide, so that a percentage is a whole number of filters."""
    wide = BASICNET.with_filters([100 * conv.filters for conv in BASICNET.convs])
    kept = [
        round(conv.filters * (1 - p / 100))
        for conv, p in zip(wide.convs, layer_percent, strict=True)
    ]
    # The image has 3 channels, not 300: C1 weighs a hundred times less than it should.
    return exact_first_layer(wide, wide.with_filters(kept))


def exact_first_layer(wide, smaller):
    def weights(plan):
        first = plan.convs[0]
        return plan.conv_params + 99 * first.kernel**2 * 3 * first.filters

    return 100 * (1 - weights(smaller) / weights(wide))


def test_there_are_sixteen_published_rows():
    assert len(published()) == 16


def test_params_pruned_pct():
    assert params_pruned_pct(BASICNET, BASICNET) == 0
    half = BASICNET.with_filters([conv.filters // 2 for conv in BASICNET.convs])
    kept = 4800 / 2 + (4_649_664 - 4800) / 4
    assert params_pruned_pct(BASICNET, half) == pytest.approx(100 * (1 - kept / 4_649_664))
    for other in (vgg("VGG-11", **CIFAR), BASICNET.with_filters([600] * 7)):
        with pytest.raises(UserError, match="not a pruned version of the BasicNet plan"):
            params_pruned_pct(BASICNET, other)
