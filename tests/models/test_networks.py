"""The paper's networks have the paper's sizes (Sec. 2.1, Tables 6 to 8)."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn
from hypothesis import given, settings
from hypothesis import strategies as st

from sparsity_jax.errors import UserError
from sparsity_jax.models import NETWORKS, Conv, ConvNet, Plan, basicnet, make_plan

CIFAR = (32, 32, 3)


def sizes(variables) -> int:
    return sum(leaf.size for leaf in jax.tree.leaves(variables))


@pytest.mark.parametrize(
    ("width", "filters", "conv_params"),
    [
        ("64-1x", 1856, 4_649_664),  # published total
        ("64-0.5x", 960, 1_184_448),
        ("32-0.25x", 480, 297_312),
        ("1", 1856, 4_649_664),
        ("0.25", 464, 4_800 // 4 + 4_644_864 // 16),
    ],
)
def test_basicnet_counts(width, filters, conv_params):
    plan = basicnet(classes=10, input_shape=CIFAR, width=width)
    assert (plan.filters, plan.conv_params) == (filters, conv_params)


@pytest.mark.parametrize(
    ("network", "filters"),
    [("VGG-11", 2752), ("VGG-13", 2944), ("VGG-16", 4224), ("VGG-19", 5504)],
)
def test_vgg_counts(network, filters):
    assert make_plan(network, classes=10, input_shape=CIFAR).filters == filters


@pytest.mark.parametrize(
    ("network", "classes", "side", "widths"),
    [
        ("BasicNet", 10, 32, (512, 256, 10)),
        ("BasicNet", 100, 32, (512, 256, 100)),
        ("BasicNet", 30, 64, (512, 256, 30)),
        ("BasicNet", 200, 64, (512, 512, 256, 200)),
        ("BasicNet", 1000, 224, (18432, 4096, 2048, 1000)),
        ("VGG-16", 10, 32, (512, 512, 10)),
        ("VGG-16", 200, 64, (2048, 512, 256, 200)),
        ("VGG-16", 1000, 224, (25088, 4096, 4096, 1000)),
        ("VGG-19", 100, 32, (512, 100)),
    ],
)
def test_heads_follow_the_protocol(network, classes, side, widths):
    plan = make_plan(network, classes=classes, input_shape=(side, side, 3))
    assert plan.dense_widths == widths


@pytest.mark.parametrize("network", NETWORKS)
def test_the_module_is_what_the_plan_says(network):
    """The plan's counts are those of the variables that Flax makes, by shape alone."""
    plan = make_plan(network, classes=10, input_shape=CIFAR, width="0.125")
    variables = jax.eval_shape(ConvNet(plan).init, jax.random.key(0), jnp.zeros((1, *CIFAR)))
    params = variables["params"]
    assert list(params) == sorted([*plan.layer_names, *plan.dense_names])
    assert sum(params[name]["conv"]["kernel"].size for name in plan.layer_names) == plan.conv_params
    assert sum(params[name]["norm"]["scale"].size for name in plan.layer_names) == plan.filters
    for name, inputs, outputs in zip(
        plan.dense_names, plan.dense_widths[:-1], plan.dense_widths[1:], strict=True
    ):
        assert params[name]["dense"]["kernel"].shape == (inputs, outputs)


def test_it_computes_what_flax_modules_compute():
    """Our module against the same network written with nn.Conv, nn.max_pool, nn.BatchNorm."""
    plan = Plan("tiny", (Conv(5, kernel=5, pool=True), Conv(6)), (9, 8, 3), "flatten", (7,), 4, 0.1)

    class Plain(nn.Module):
        @nn.compact
        def __call__(self, x):
            for i, conv in enumerate(plan.convs):
                x = nn.Conv(conv.filters, (conv.kernel,) * 2, use_bias=False, name=f"conv{i}")(x)
                x = nn.BatchNorm(use_running_average=True, epsilon=1e-5, name=f"norm{i}")(x)
                x = nn.leaky_relu(x, 0.1)
                x = nn.max_pool(x, (2, 2), (2, 2)) if conv.pool else x
            x = nn.Dense(7, use_bias=False, name="dense")(x.reshape(len(x), -1))
            x = nn.leaky_relu(nn.BatchNorm(use_running_average=True, name="norm")(x), 0.1)
            return nn.Dense(4, name="logits")(x)

    x = jax.random.normal(jax.random.key(1), (3, 9, 8, 3))
    ours = ConvNet(plan).init(jax.random.key(0), x)
    ours["batch_stats"] = jax.tree.map(lambda leaf: leaf + 0.3, ours["batch_stats"])
    params, stats = ours["params"], ours["batch_stats"]
    theirs = {
        "params": {
            "conv0": params["C1"]["conv"], "norm0": params["C1"]["norm"],
            "conv1": params["C2"]["conv"], "norm1": params["C2"]["norm"],
            "dense": params["F1"]["dense"], "norm": params["F1"]["norm"],
            "logits": params["F2"]["dense"],
        },
        "batch_stats": {
            "norm0": stats["C1"]["norm"], "norm1": stats["C2"]["norm"], "norm": stats["F1"]["norm"],
        },
    }  # fmt: skip
    np.testing.assert_allclose(
        ConvNet(plan).apply(ours, x), Plain().apply(theirs, x), rtol=1e-4, atol=1e-5
    )


def test_initial_weights_are_xavier_with_the_gain_of_relu():
    """Variance 2 * 2 / (fan_in + fan_out) for every kernel, gamma 1, beta 0."""
    plan = basicnet(classes=10, input_shape=CIFAR, width="0.5")
    params = ConvNet(plan).init(jax.random.key(0), jnp.zeros((1, *CIFAR)))["params"]
    for name in ("C1", "C2", "C4", "C7"):
        kernel = np.asarray(params[name]["conv"]["kernel"])
        receptive = kernel.shape[0] * kernel.shape[1]
        expected = 4 / (receptive * (kernel.shape[2] + kernel.shape[3]))
        assert kernel.var() == pytest.approx(expected, rel=0.06)
        assert (np.asarray(params[name]["norm"]["scale"]) == 1).all()
        assert (np.asarray(params[name]["norm"]["bias"]) == 0).all()


@given(
    filters=st.lists(st.integers(1, 99), min_size=1, max_size=6),
    pools=st.lists(st.booleans(), min_size=6, max_size=6),
    head=st.sampled_from(["global", "flatten", (2, 2)]),
)
@settings(max_examples=50, deadline=None)
def test_a_plan_survives_json(filters, pools, head):
    import json

    convs = tuple(Conv(f, pool=p) for f, p in zip(filters, pools, strict=False))
    plan = Plan("any", convs, (128, 128, 1), head, (3,), 2)
    assert Plan.from_dict(json.loads(json.dumps(plan.to_dict()))) == plan
    assert plan.with_filters(filters) == plan


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"network": "ResNet"}, "VGG-16"),
        ({"width": "wide"}, "0.25"),
        ({"width": "-1"}, "0.25"),
        ({"pool_after": (0, 3)}, "1 to 7"),
        ({"network": "VGG-16", "input_shape": (16, 16, 1)}, "larger images"),
        ({"classes": 1000}, "larger images"),
    ],
)
def test_wrong_networks_are_refused_with_what_is_valid(wrong, said):
    arguments = {"network": "BasicNet", "classes": 10, "input_shape": CIFAR} | wrong
    with pytest.raises(UserError, match=said):
        make_plan(arguments.pop("network"), **arguments)
