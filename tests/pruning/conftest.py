"""Random networks of every head, and random keep-sets for them."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from sparsity_jax.models import Conv, ConvNet, Plan

PLANS = {
    "global": Plan(
        "global", (Conv(5, 5, True), Conv(6), Conv(4)), (8, 8, 3), "global", (7,), 3, 0.0
    ),
    "flatten": Plan(
        "flatten", (Conv(5, 3, True), Conv(6, 3, True)), (9, 6, 1), "flatten", (7, 5), 3, 0.0
    ),
    "window": Plan("window", (Conv(4), Conv(5, 3, True)), (11, 11, 2), (3, 2), (6,), 4, 0.1),
    "no hidden": Plan("no hidden", (Conv(4), Conv(5)), (4, 4, 3), "flatten", (), 4, 0.1),
    "deep": Plan(
        "deep", tuple(Conv(3, 3, i == 5) for i in range(11)), (4, 4, 1), "global", (4,), 2, 0.0
    ),
}


def random_variables(plan: Plan, seed: int) -> dict:
    """Variables of ConvNet(plan) with every number random, variances positive."""
    images = jax.ShapeDtypeStruct((1, *plan.input_shape), jnp.float32)
    shapes = jax.eval_shape(ConvNet(plan).init, jax.random.key(0), images)
    rng = np.random.default_rng(seed)

    def random(path, leaf):
        name = path[-1].key
        if name == "var":
            values = rng.uniform(0.5, 2, leaf.shape)
        elif name == "kernel":
            values = rng.normal(0, np.sqrt(2 / np.prod(leaf.shape[:-1])), leaf.shape)
        elif name == "scale":
            values = rng.uniform(0.8, 2, leaf.shape) * rng.choice([-1, 1], leaf.shape)
        else:
            values = rng.normal(0.2, 0.5, leaf.shape)  # shifted, or deep networks fall silent
        return values.astype(np.float32)

    return jax.tree_util.tree_map_with_path(random, shapes)


def random_keep(plan: Plan, seed: int, share: float = 0.6) -> dict:
    """A keep-set in which every layer keeps at least one filter."""
    rng = np.random.default_rng(seed + 1000)
    keep = {}
    for name, conv in zip(plan.layer_names, plan.convs, strict=True):
        keep[name] = rng.random(conv.filters) < share
        keep[name][rng.integers(conv.filters)] = True
    return keep


def random_images(plan: Plan, seed: int, count: int = 6) -> jax.Array:
    rng = np.random.default_rng(seed + 2000)
    return jnp.asarray(rng.normal(size=(count, *plan.input_shape)).astype(np.float32))


def logits(plan: Plan, variables: dict, images: jax.Array) -> np.ndarray:
    """What ConvNet(plan) answers, written a second time in numpy and float64.

    Random keep-sets make random shapes, and every shape would be a compilation.
    """
    x, last = np.asarray(images, np.float64), plan.dense_names[-1]
    for name, conv in zip(plan.layer_names, plan.convs, strict=True):
        x = normalised(convolved(x, variables["params"][name]["conv"]["kernel"]), variables, name)
        x = np.where(x > 0, x, plan.negative_slope * x)
        if conv.pool:
            x = windows(x, 2, 2).max((4, 5))
    if plan.head_pool == "global":
        x = x.mean((1, 2))
    elif plan.head_pool != "flatten":
        x = windows(x, *plan.head_pool).mean((4, 5))
    x = x.reshape(len(x), -1)
    for name in plan.dense_names:
        dense = variables["params"][name]["dense"]
        x = x @ np.asarray(dense["kernel"], np.float64) + np.asarray(dense.get("bias", 0.0))
        if name != last:
            x = normalised(x, variables, name)
            x = np.where(x > 0, x, plan.negative_slope * x)
    return x


def windows(x: np.ndarray, size: int, stride: int) -> np.ndarray:
    """(N, H, W, C, size, size): the windows of a pooling without padding."""
    found = np.lib.stride_tricks.sliding_window_view(x, (size, size), axis=(1, 2))
    return found[:, ::stride, ::stride]


def convolved(x: np.ndarray, kernel: np.ndarray) -> np.ndarray:
    edge = kernel.shape[0] // 2
    padded = np.pad(x, ((0, 0), (edge, edge), (edge, edge), (0, 0)))
    return np.einsum("nhwcij,ijco->nhwo", windows(padded, kernel.shape[0], 1), kernel)


def normalised(x: np.ndarray, variables: dict, name: str) -> np.ndarray:
    affine, stats = variables["params"][name]["norm"], variables["batch_stats"][name]["norm"]
    scale = affine["scale"] / np.sqrt(np.asarray(stats["var"], np.float64) + 1e-5)
    return (x - np.asarray(stats["mean"])) * scale + np.asarray(affine["bias"])


class Networks:
    """What the tests of this room draw from."""

    plans = PLANS
    variables = staticmethod(random_variables)
    keep = staticmethod(random_keep)
    images = staticmethod(random_images)
    logits = staticmethod(logits)


@pytest.fixture(scope="session")
def networks():
    return Networks
