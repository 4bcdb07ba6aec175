"""Operations that the paper leaves open, against PyTorch's own (`make_oracle.py`)."""

import functools
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sparsity_jax.data.augment import pad_crop
from sparsity_jax.errors import UserError
from sparsity_jax.models import make_plan
from sparsity_jax.models.convnet import ConvNet, Norm, init
from sparsity_jax.models.convolution import METHODS, conv
from sparsity_jax.models.plans import POOLS, Plan
from sparsity_jax.models.pooling import pool
from sparsity_jax.pruning import prune
from sparsity_jax.pruning.fold import fold_constants

ORACLE = dict(np.load(Path(__file__).with_name("oracle.npz")))
EXACT = {"rtol": 1e-12, "atol": 1e-12}


def of(prefix: str) -> dict[str, np.ndarray]:
    return {k.removeprefix(f"{prefix}/"): v for k, v in ORACLE.items() if k.startswith(prefix)}


@pytest.mark.parametrize("size", [8, 9])
@pytest.mark.parametrize("kind", POOLS)
def test_pools_as_pytorch_ties_included(kind, size):
    x, expected = ORACLE[f"pool{size}/x"], of(f"pool{size}/{kind}")
    with jax.enable_x64(True):
        y, pull = jax.vjp(lambda x: pool(x, kind), jnp.asarray(x))
        (dx,) = pull(jnp.asarray(expected["weights"]))
    np.testing.assert_array_equal(y, expected["y"])
    np.testing.assert_allclose(dx, expected["dx"], **EXACT)


@pytest.mark.parametrize("method", ["native", "patches", None])
@pytest.mark.parametrize("size", [8, 9])
@pytest.mark.parametrize("kernel", [3, 5])
def test_strides_as_pytorch(kernel, size, method):
    expected = of(f"conv{size}/{kernel}")
    with jax.enable_x64(True):
        x, k = jnp.asarray(expected["x"]), jnp.asarray(expected["kernel"])
        y, pull = jax.vjp(lambda x, k: conv(x, k, stride=2, method=method), x, k)
        dx, dkernel = pull(jnp.asarray(expected["weights"]))
    np.testing.assert_allclose(y, expected["y"], **EXACT)
    np.testing.assert_allclose(dx, expected["dx"], **EXACT)
    np.testing.assert_allclose(dkernel, expected["dkernel"], **EXACT)


@pytest.mark.parametrize("method", [m for m in METHODS if m.startswith("winograd")])
def test_a_winograd_method_refuses_a_stride(method):
    with pytest.raises(ValueError, match="stride 2"):
        conv(jnp.ones((1, 4, 4, 3)), jnp.ones((3, 3, 3, 8)), stride=2, method=method)


def test_strided_products_are_counted_and_computed_strided():
    x, kernel = jnp.ones((1, 16, 16, 8)), jnp.ones((3, 3, 8, 8))
    flops = [
        jax.jit(lambda x, k, s=s: conv(x, k, stride=s, method="patches"))
        .lower(x, kernel).compile().cost_analysis()["flops"] for s in (1, 2)
    ]  # fmt: skip
    assert flops[1] < 0.3 * flops[0]


def test_batch_norm_over_parts_as_pytorch_over_devices():
    expected = of("norm")
    with jax.enable_x64(True):
        leaves = {"scale": jnp.asarray(expected["gamma"]), "bias": jnp.asarray(expected["beta"])}
        stats = {"mean": jnp.zeros(5), "var": jnp.ones(5)}
        norm = Norm(use_running_average=False, parts=4)

        def apply(x, params):
            variables = {"params": params, "batch_stats": stats}
            return norm.apply(variables, x, mutable=["batch_stats"])

        y, pull, changed = jax.vjp(apply, jnp.asarray(expected["x"]), leaves, has_aux=True)
        dx, dparams = pull(jnp.asarray(expected["weights"]))
    for ours, theirs in (
        (y, "y"), (dx, "dx"), (dparams["scale"], "dgamma"), (dparams["bias"], "dbeta"),
        (changed["batch_stats"]["mean"], "mean"), (changed["batch_stats"]["var"], "var"),
    ):  # fmt: skip
        np.testing.assert_allclose(ours, expected[theirs], rtol=1e-9, atol=1e-9)


@settings(max_examples=10, deadline=None)
@given(st.integers(0, 2**16))
def test_a_padded_crop_is_a_window_of_pytorchs_padding(seed):
    images, padded = ORACLE["pad/images"], ORACLE["pad/padded"]
    cropped = np.asarray(pad_crop(jax.random.key(seed), jnp.asarray(images), 3))
    for image, whole in zip(cropped, padded, strict=True):
        windows = [whole[i : i + 8, j : j + 8] for i in range(7) for j in range(7)]
        assert any(np.array_equal(image, window) for window in windows)


def test_every_shift_of_a_padded_crop_is_about_equally_likely():
    images = jnp.tile(jnp.arange(1, 65, dtype=jnp.uint8).reshape(1, 8, 8, 1), (5000, 1, 1, 1))
    corners = np.asarray(pad_crop(jax.random.key(0), images, 1))[:, 3, 3, 0]
    _, counts = np.unique(corners, return_counts=True)
    assert len(counts) == 9
    assert counts.min() > 450


@pytest.mark.parametrize(
    ("kind", "sides"),
    [("max2", (16, 8, 4)), ("max3", (15, 7, 3)), ("max3_padded", (16, 8, 4)), ("avg2", (16, 8, 4))],
)
def test_a_plan_knows_its_maps(kind, sides):
    plan = make_plan("BasicNet", classes=10, input_shape=(32, 32, 3), pool=kind, width=0.125)
    assert tuple(plan.map_shapes[i][0] for i in (0, 2, 4)) == sides
    assert Plan.from_dict(plan.to_dict()) == plan
    x = jnp.zeros((2, 32, 32, 3))
    variables = jax.eval_shape(lambda: init(plan, jax.random.key(0)))
    see = functools.partial(
        ConvNet(plan).apply, capture_intermediates=True, mutable="intermediates"
    )
    _, seen = jax.eval_shape(see, variables, x)
    for name, shape in zip(plan.layer_names, plan.map_shapes, strict=True):
        assert seen["intermediates"][name]["__call__"][0].shape[1:] == shape


@pytest.mark.parametrize("kind", POOLS)
def test_a_strided_pooled_network_prunes_and_folds(kind):
    plan = make_plan(
        "BasicNet", classes=5, input_shape=(32, 32, 3), pool=kind, stride_2=(1,), width=0.125
    )
    shapes = jax.eval_shape(lambda: init(plan, jax.random.key(1)))
    rng = np.random.default_rng(1)
    variables = jax.tree.map(lambda leaf: rng.uniform(0.1, 1, leaf.shape).astype("f4"), shapes)
    keep = {
        n: np.arange(c.filters) % 3 > 0 for n, c in zip(plan.layer_names, plan.convs, strict=True)
    }
    x = jax.random.normal(jax.random.key(2), (4, 32, 32, 3))
    smaller, weights = prune(plan, fold_constants(plan, variables, keep), keep)
    assert (smaller.pool_kind, smaller.convs[0].stride) == (kind, 2)
    assert jax.eval_shape(ConvNet(smaller).apply, weights, x).shape == (4, 5)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"stride_2": (8,)}, "valid are 1 to 7"),
        ({"stride_2": (1, 2, 3, 4, 5, 6, 7), "pool_after": (1, 2, 5)}, "down to nothing"),
        ({"pool": "max3", "pool_after": (1, 2, 3, 4, 5)}, "down to nothing"),
    ],
)
def test_what_leaves_no_pixels_is_refused(wrong, message):
    with pytest.raises(UserError, match=message):
        make_plan("BasicNet", classes=10, input_shape=(32, 32, 3), **wrong)


@pytest.mark.parametrize("pad", [4, 5])
def test_a_pad_of_half_the_image_is_refused(pad):
    with pytest.raises(UserError, match="at most 3"):
        pad_crop(jax.random.key(0), jnp.zeros((1, 8, 8, 3), jnp.uint8), pad)
