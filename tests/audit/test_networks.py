"""What is counted in a file and what is left out: small checkpoints with their right answers."""

import dataclasses
import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest

from sparsity_jax.audit.counting import Audit, count
from sparsity_jax.audit.npz_reader import read_npz
from sparsity_jax.audit.tensors import Source
from sparsity_jax.errors import UserError


def conv(outputs: int, inputs: int, size: int = 3) -> np.ndarray:
    return np.ones((outputs, inputs, size, size), np.float32)


def dense(outputs: int, inputs: int) -> np.ndarray:
    return np.ones((outputs, inputs), np.float32)


def norm(name: str, width: int, dead: int = 0) -> dict[str, np.ndarray]:
    """PyTorch's tensors of a norm."""
    gamma = np.r_[np.zeros(dead), np.ones(width - dead)].astype("f4")
    leaves = {"weight": gamma, "bias": gamma * 0, "running_mean": gamma, "running_var": gamma + 1}
    return {f"{name}.{leaf}" if name else leaf: array for leaf, array in leaves.items()}


def keras(name: str, width: int, dead: int = 0) -> dict[str, np.ndarray]:
    words = {
        "weight": "gamma:0",
        "running_mean": "moving_mean:0",
        "running_var": "moving_variance:0",
    }
    found = {leaf.rpartition(".")[2]: a for leaf, a in norm("x", width, dead).items()}
    return {f"{name}/{words[leaf]}": found[leaf] for leaf in words}


def linen(
    convs: Mapping[str, tuple[int, ...]], norms: Mapping[str, tuple[int, int]], sep: str = ""
) -> dict[str, np.ndarray]:
    """Linen variables under a prefix, sorted as jit returns them."""
    tree = {f"{sep}params/{name}/kernel": np.ones(shape, "f4") for name, shape in convs.items()}
    for name, (width, dead) in norms.items():
        leaves = norm("x", width, dead)
        tree[f"{sep}params/{name}/scale"] = leaves["x.weight"]
        tree[f"{sep}batch_stats/{name}/mean"] = leaves["x.running_mean"]
        tree[f"{sep}batch_stats/{name}/var"] = leaves["x.running_var"]
    return dict(sorted(tree.items()))


def audit(tmp_path, tensors: Mapping[str, Any]) -> Audit:
    np.savez(tmp_path / "x.npz", **tensors)
    return count(read_npz(tmp_path / "x.npz"), 1e-3)


ONE = {"conv.weight": conv(16, 3), **norm("bn", 16, 4)}
RESNET = {
    "layer2.0.conv1.weight": conv(64, 32),
    "layer2.0.conv2.weight": conv(64, 64),
    "layer2.0.downsample.0.weight": conv(64, 32, 1),
    **norm("layer2.0.bn1", 64),
    **norm("layer2.0.bn2", 64, 10),
    **norm("layer2.0.downsample.1", 64),
}
PREACT = {  # bn1, conv1, bn2, conv2 in a file that keeps its order: bn2 follows conv1
    "conv1.weight": conv(8, 3),
    **norm("block.bn1", 8),
    "block.conv1.weight": conv(8, 8),
    **norm("block.bn2", 8, 2),
    "block.conv2.weight": conv(8, 8, 1),
}
FLAX = {"Conv_0": (3, 3, 3, 8), "Conv_1": (1, 1, 8, 8)}

# (filters, dead, dead weights, weights, names left out); None: not known
CASES: dict[str, tuple[dict[str, Any], tuple[Any, ...]]] = {
    "downsampling block, kernels first": (RESNET, (192, 10, 5760, 57344, [])),
    "downsampling block, sorted": (dict(sorted(RESNET.items())), (192, 10, 5760, 57344, [])),
    "pre-activation in its order": (PREACT, (16, 2, None, None, [])),
    "masked": (
        {"conv.weight_orig": conv(16, 3), "conv.weight_mask": conv(16, 3), **norm("bn", 16, 4),
         "fc.weight": dense(16, 16)},
        (16, 4, 4 * 27, 16 * 27, []),
    ),
    "masked gamma": (
        {"conv.weight": conv(4, 3), "bn.weight_orig": np.ones(4, "f4"),
         "bn.weight_mask": np.array([0, 1, 0, 1], "f4"),
         "bn.running_mean": np.zeros(4, "f4"), "bn.running_var": np.ones(4, "f4")},
        (4, 2, 2 * 27, 4 * 27, []),
    ),
    "spectral norm": (
        {"conv.weight_orig": conv(16, 3), "conv.weight_u": np.ones(16, "f4"),
         "conv.weight_v": np.ones(27, "f4"), **norm("bn", 16, 4)},
        (16, 4, 4 * 27, 16 * 27, []),
    ),
    "weight norm": (
        {"conv.weight_g": np.ones((16, 1, 1, 1), "f4"), "conv.weight_v": conv(16, 3),
         **norm("bn", 16, 4)},
        (16, 4, 4 * 27, 16 * 27, []),
    ),
    "parametrizations": (
        {"conv.parametrizations.weight.original0": np.ones((16, 1, 1, 1), "f4"),
         "conv.parametrizations.weight.original1": conv(16, 3),
         "conv2.parametrizations.weight.original": conv(8, 16),
         "conv2.parametrizations.weight.0._u": np.ones(8, "f4"),
         **norm("bn", 16, 4), **norm("bn2", 8, 1)},
        (24, 5, 4 * 27 + 144, 16 * 27 + 8 * 144, []),
    ),
    "transposed": (
        {"0.weight": conv(100, 64, 4), **norm("1", 64, 16), "3.weight": conv(64, 32, 4),
         **norm("4", 32, 8)},
        (96, 24, 16 * 1600 + 8 * 1024, 100 * 64 * 16 + 64 * 32 * 16, []),
    ),
    "depthwise": (
        {"m.0.weight": conv(8, 3), **norm("m.1", 8), "m.3.weight": conv(8, 1), **norm("m.4", 8, 2)},
        (16, 2, 2 * 9, 8 * 27 + 8 * 9, []),
    ),
    "norm of the input by its number": (
        {"conv1.weight": conv(64, 1), "fc.weight": dense(10, 64), **norm("bn0", 64, 5),
         **norm("bn1", 64, 7)},
        (64, 7, 63, 576, ["bn0"]),
    ),
    "norm of the input by its place": (
        {**norm("0", 3, 1), "1.weight": conv(8, 3), **norm("2", 8, 2)},
        (8, 2, 54, 216, ["0"]),
    ),
    "norm of the input by its name": (
        {"conv0.weight": conv(8, 3), **norm("bn0", 8, 2), **norm("bn_data", 3, 1)},
        (8, 2, 54, 216, ["bn_data"]),
    ),
    "norm after a dense layer": (
        {"conv1.weight": conv(32, 1), "conv2.weight": conv(64, 32), "fc1.weight": dense(64, 1024),
         "fc2.weight": dense(10, 64), **norm("bn1", 32, 3), **norm("bn2", 64, 5),
         **norm("bn3", 64, 60)},
        (96, 8, 27 + 5 * 288, 288 + 64 * 288, ["bn3"]),
    ),
    "norm without gamma": (
        {**ONE, "conv2.weight": conv(8, 16), "bn2.running_mean": np.zeros(8, "f4"),
         "bn2.running_var": np.ones(8, "f4")},
        (16, 4, 108, 432, ["bn2"]),
    ),
    "Keras": (
        {"conv2d/kernel:0": np.ones((3, 3, 3, 16), "f4"), **keras("batch_normalization", 16, 4),
         "conv2d_1/kernel:0": np.ones((1, 1, 16, 8), "f4"), **keras("batch_normalization_1", 8, 1)},
        (24, 5, 4 * 27 + 16, 16 * 27 + 128, []),
    ),
    "Keras by the layers' names": (
        {"block1a_dwconv/depthwise_kernel:0": np.ones((3, 3, 8, 1), "f4"),
         **keras("block1a_bn", 8, 2), "block1a_project_conv/kernel:0": np.ones((1, 1, 8, 4), "f4"),
         **keras("block1a_project_bn", 4, 1)},
        (12, 3, 2 * 9 + 8, 72 + 32, []),
    ),
    "Linen": (linen(FLAX, {"BatchNorm_0": (8, 2), "BatchNorm_1": (8, 1)}),
              (16, 3, 2 * 27 + 8, 216 + 64, [])),
    "Linen, a first convolution without a norm": (
        linen({**FLAX, "Conv_1": (1, 1, 8, 4)}, {"BatchNorm_0": (4, 2)}), (4, 2, None, None, [])),
    "online and target": (
        linen(FLAX, {"BatchNorm_0": (8, 2)}, "online/")
        | linen(FLAX, {"BatchNorm_0": (8, 8)}, "target/"),
        (16, 10, 10 * 27, 2 * 216, []),
    ),
    "moments of an optimizer": (
        linen(FLAX, {"BatchNorm_0": (8, 2)})
        | {"opt_state/0/mu/BatchNorm_0/scale": np.zeros(8, "f4")},
        (8, 2, 54, 216, []),
    ),
    "two networks by their names": (
        {f"{net}.{name}": array for net in ("netG", "netD") for name, array in ONE.items()},
        (32, 8, 216, 864, []),
    ),
    "NNX": (
        {"conv/kernel/value": np.ones((3, 3, 3, 16), "f4"),
         **{f"bn/{leaf}/value": np.r_[np.zeros(4), np.ones(12)] for leaf in ("scale", "mean")},
         "bn/var/value": np.ones(16)},
        (16, 4, 108, 432, []),
    ),
    "layers stacked by scan": (
        {"conv/kernel": np.ones((2, 3, 3, 8, 8), "f4"),
         **dict.fromkeys(("bn/scale", "bn/mean", "bn/var"), np.stack([np.zeros(8), np.ones(8)]))},
        (16, 8, 8 * 72, 2 * 8 * 72, []),
    ),
}  # fmt: skip


@pytest.mark.parametrize("kind", CASES)
def test_the_right_answer(tmp_path, kind):
    tensors, (filters, dead, dead_weights, weights, left_out) = CASES[kind]
    found = audit(tmp_path, tensors)
    assert (found.filters, found.dead) == (filters, dead)
    assert (found.dead_weights, found.weights) == (dead_weights, weights)
    assert [entry.name for entry in found.left_out] == left_out


def test_every_network_is_audited_under_its_name(tmp_path):
    found = audit(tmp_path, CASES["two networks by their names"][0])
    assert [layer.name for layer in found.layers] == ["netG/bn", "netD/bn"]
    assert found.read == "npz file, 2 networks: 'netG', 'netD'"
    linen = audit(tmp_path, CASES["online and target"][0])
    assert [(layer.name, layer.dead) for layer in linen.layers] == [
        ("online/BatchNorm_0", 2),
        ("target/BatchNorm_0", 8),
    ]


def test_the_same_memory_under_two_names_is_counted_once(tmp_path):
    twice = {f"{net}.{name}": array for net in ("model", "ema") for name, array in ONE.items()}
    np.savez(tmp_path / "x.npz", **twice)
    source = read_npz(tmp_path / "x.npz")
    shared = {p: dataclasses.replace(t, storage=p[1:]) for p, t in source.tensors.items()}
    found = count(Source("trial", shared, source.read), 1e-3)
    assert (found.filters, found.dead) == (16, 4)
    assert [(e.name, e.why) for e in found.left_out] == [("ema/bn", "the same tensors as model/bn")]


def test_infinite_gammas_and_variances_are_said(tmp_path):
    odd = {**ONE, "bn.weight": np.r_[np.inf, np.zeros(15)], "bn.running_var": np.full(16, np.nan)}
    found = audit(tmp_path, odd)
    assert found.dead == 15
    assert found.notes == (
        "layer bn has 1 gammas that are infinite: training diverged there",
        "layer bn has 16 running variances that are not numbers (NaN): training diverged there",
    )


def test_the_message_names_what_was_found(tmp_path):
    with pytest.raises(UserError, match=r"no BatchNorm in this npz file: found a/kernel \(3, 2\)"):
        audit(tmp_path, {"a/kernel": np.ones((3, 2))})
    with pytest.raises(UserError, match="bn follows a dense layer"):
        audit(tmp_path, {"fc.weight": dense(8, 4), **norm("bn", 8)})


def test_weights_are_those_of_the_kernels(tmp_path):
    """Counting the kernels directly gives the total, where each feeds one norm."""
    tensors = CASES["parametrizations"][0]
    kernels = [a for name, a in tensors.items() if a.ndim == 4 and "original0" not in name]
    assert audit(tmp_path, tensors).weights == sum(math.prod(a.shape) for a in kernels)
