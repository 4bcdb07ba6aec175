"""Smaller PyTorch state dicts, loaded into the smaller module where PyTorch is installed."""

import json
from pathlib import Path

import numpy as np
import pytest

from sparsity_jax.errors import UserError
from sparsity_jax.pruning.tensor_files import load_tensors, prune_torch_file, save_tensors
from sparsity_jax.pruning.torch_state import find_wiring, prune_state_dict

RNG = np.random.default_rng(0)


def conv(name, out, inputs, size=3, bias=False):
    tensors = {f"{name}.weight": RNG.normal(size=(out, inputs, size, size)).astype("f4")}
    return tensors | ({f"{name}.bias": RNG.normal(size=out).astype("f4")} if bias else {})


def norm(name, width):
    kinds = ("weight", "bias", "running_mean", "running_var")
    tensors = {f"{name}.{kind}": RNG.uniform(0.5, 1, width).astype("f4") for kind in kinds}
    return tensors | {f"{name}.num_batches_tracked": np.array(7)}


def linear(name, out, inputs):
    return {f"{name}.weight": np.ones((out, inputs), "f4"), f"{name}.bias": np.ones(out, "f4")}


VGG = (
    conv("features.0", 6, 3, bias=True) | norm("features.1", 6) | conv("features.4", 8, 6)
    | norm("features.5", 8) | conv("features.10", 8, 8) | norm("features.11", 8)
    | linear("classifier.1", 7, 8 * 4) | linear("classifier.4", 5, 7)
)  # fmt: skip
BLOCKS = (
    conv("conv1", 4, 3) | norm("bn1", 4)
    | conv("layer1.0.conv1", 6, 4) | norm("layer1.0.bn1", 6) | conv("layer1.0.conv2", 4, 6)
    | norm("layer1.0.bn2", 4) | conv("layer1.0.downsample.0", 4, 4, 1)
    | norm("layer1.0.downsample.1", 4)
    | conv("layer2.0.conv1", 8, 4, 1) | norm("layer2.0.bn1", 8) | conv("layer2.0.conv2", 8, 2)
    | norm("layer2.0.bn2", 8) | conv("layer2.0.conv3", 4, 8, 1) | norm("layer2.0.bn3", 4)
    | linear("fc", 5, 4)
)  # fmt: skip


def test_a_vgg_is_cut_on_both_sides_and_flattened_by_channel():
    keep = {"features.1": np.arange(6) % 2 == 0, "features.11": np.arange(8) < 5}
    pruned = prune_state_dict(VGG, keep)
    assert pruned.left_alone == {}
    assert pruned.widths == {"features.0": 3, "features.10": 5}
    tensors = pruned.tensors
    assert list(tensors) == list(VGG)
    np.testing.assert_array_equal(tensors["features.0.weight"], VGG["features.0.weight"][::2])
    np.testing.assert_array_equal(tensors["features.0.bias"], VGG["features.0.bias"][::2])
    np.testing.assert_array_equal(tensors["features.4.weight"], VGG["features.4.weight"][:, ::2])
    assert tensors["classifier.1.weight"].shape == (7, 20)
    assert tensors["features.1.num_batches_tracked"] == 7


@pytest.mark.parametrize(
    ("name", "producer", "consumer", "reason"),
    [
        ("bn1", "", "", "last of its module"),
        ("layer1.0.bn1", "layer1.0.conv1", "layer1.0.conv2", ""),
        ("layer1.0.bn2", "", "", "last of its module"),
        ("layer1.0.downsample.1", "", "", "last of its module"),
        ("layer2.0.bn1", "", "", "layer2.0.conv2, does not receive its 8 filters"),
        ("layer2.0.bn2", "", "", "layer2.0.conv2 is grouped"),
        ("layer2.0.bn3", "", "", "last of its module"),
    ],
)
def test_inside_blocks_layers_are_paired_and_sums_left_alone(name, producer, consumer, reason):
    found = find_wiring(BLOCKS, name)
    assert (found.producer, found.consumer) == (producer, consumer)
    assert reason in found.reason
    assert bool(found.reason) == bool(reason)


def test_what_cannot_be_paired_stays_as_it_was():
    keep = {"bn1": np.arange(4) < 2, "layer1.0.bn1": np.arange(6) < 2}
    pruned = prune_state_dict(BLOCKS, keep)
    assert set(pruned.left_alone) == {"bn1"}
    assert pruned.widths == {"layer1.0.conv1": 2}
    changed = {k for k in BLOCKS if pruned.tensors[k].shape != BLOCKS[k].shape}
    kinds = ("weight", "bias", "running_mean", "running_var")
    assert changed == {
        "layer1.0.conv1.weight", "layer1.0.conv2.weight", *(f"layer1.0.bn1.{k}" for k in kinds)
    }  # fmt: skip


@pytest.mark.parametrize("state", [VGG, BLOCKS], ids=["vgg", "blocks"])
def test_files_sorted_by_the_alphabet_give_the_same_pairs(state):
    for name in [name[:-12] for name in state if name.endswith(".running_var")]:
        assert find_wiring(dict(sorted(state.items())), name) == find_wiring(state, name)
    dense = {"conv1.weight": np.ones((4, 3, 3, 3), "f4")} | {
        f"layer1.0.{k}": v
        for k, v in (
            norm("bn1", 4) | conv("conv1", 4, 4) | norm("bn2", 4) | conv("conv2", 4, 4)
        ).items()
    }
    reason = find_wiring(dict(sorted(dense.items())), "layer1.0.bn1").reason
    assert "names do not tell the order" in reason
    assert find_wiring(dense, "layer1.0.bn2").consumer == "layer1.0.conv2"


def test_pre_activation_pairs_a_norm_with_the_convolution_before_it():
    layer = norm("norm1", 6) | conv("conv1", 8, 6, 1) | norm("norm2", 8) | conv("conv2", 4, 8)
    dense = {f"block.denselayer1.{name}": tensor for name, tensor in layer.items()}
    assert find_wiring(dense, "block.denselayer1.norm1").reason.startswith("no convolution")
    assert find_wiring(dense, "block.denselayer1.norm2").consumer == "block.denselayer1.conv2"


def test_safetensors_are_written_without_pytorch_and_read_back(tmp_path):
    import ml_dtypes

    tensors = VGG | {"half": np.ones((2, 3), ml_dtypes.bfloat16), "none": np.zeros((0, 3), "f4")}
    save_tensors(tmp_path / "new" / "x.safetensors", tensors)
    found = load_tensors(tmp_path / "new" / "x.safetensors")
    assert list(found) == list(tensors)
    for name, tensor in tensors.items():
        assert found[name].dtype == tensor.dtype
        np.testing.assert_array_equal(found[name], tensor)
    content = (tmp_path / "new" / "x.safetensors").read_bytes()
    size = int.from_bytes(content[:8], "little")
    assert size % 8 == 0  # as the format asks for
    entry = json.loads(content[8 : 8 + size])["features.0.weight"]
    assert entry == {"dtype": "F32", "shape": [6, 3, 3, 3], "data_offsets": [0, 4 * 162]}


@pytest.mark.parametrize("content", [b"", b"x" * 7, b"\xff" * 40, b"\x02" + b"\0" * 7 + b"[]"])
def test_damaged_files_are_named(tmp_path, content):
    (tmp_path / "x.safetensors").write_bytes(content)
    with pytest.raises(UserError, match="not a safetensors file, or damaged"):
        load_tensors(tmp_path / "x.safetensors")


def test_bad_input_is_named(tmp_path):
    with pytest.raises(
        UserError, match=r"no norm features.0; valid are features.1, features.5, features.11"
    ):
        prune_state_dict(VGG, {"features.0": np.ones(6, bool)})
    for mask in (np.ones(5, bool), np.ones(6), np.zeros(6, bool)):
        with pytest.raises(UserError, match="valid is a boolean array of 6 that keeps one"):
            prune_state_dict(VGG, {"features.1": mask})
    with pytest.raises(UserError, match="cannot read"):
        load_tensors(tmp_path / "missing.safetensors")
    with pytest.raises(UserError, match=r"valid are \.safetensors, \.pt and \.pth"):
        save_tensors(tmp_path / "x.npz", VGG)
    assert list(tmp_path.iterdir()) == []


def small_vgg(torch, widths=(6, 8)):
    first, second = widths
    nn = torch.nn
    return nn.Sequential(
        nn.Conv2d(3, first, 3, padding=1), nn.BatchNorm2d(first), nn.ReLU(),
        nn.Conv2d(first, second, 3, padding=1), nn.BatchNorm2d(second), nn.ReLU(),
        nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(second * 4, 5),
    )  # fmt: skip


def small_resnet(torch, inner=(6, 6)):
    nn = torch.nn

    class Block(nn.Module):
        def __init__(self, inputs, inside, out):
            super().__init__()
            self.conv1 = nn.Conv2d(inputs, inside, 3, padding=1, bias=False)
            self.bn1 = nn.BatchNorm2d(inside)
            self.conv2 = nn.Conv2d(inside, out, 3, padding=1, bias=False)
            self.bn2 = nn.BatchNorm2d(out)
            self.downsample = nn.Sequential(nn.Conv2d(inputs, out, 1), nn.BatchNorm2d(out))

        def forward(self, x):
            y = self.bn2(self.conv2(torch.relu(self.bn1(self.conv1(x)))))
            return torch.relu(y + self.downsample(x))

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv1, self.bn1 = nn.Conv2d(3, 4, 3, padding=1), nn.BatchNorm2d(4)
            self.layer1 = nn.Sequential(Block(4, inner[0], 8), Block(8, inner[1], 8))
            self.fc = nn.Linear(8, 5)

        def forward(self, x):
            x = self.layer1(torch.relu(self.bn1(self.conv1(x))))
            return self.fc(x.mean((2, 3)))

    return Net()


@pytest.mark.parametrize("suffix", [".safetensors", ".pt"])
@pytest.mark.parametrize("make", [small_vgg, small_resnet])
def test_the_smaller_module_loads_it_and_equals_the_masked_one(tmp_path: Path, make, suffix):
    torch = pytest.importorskip("torch", reason="PyTorch loads what was written: pip install torch")
    torch.manual_seed(0)
    model = make(torch).eval()
    paths = ("1", "4") if make is small_vgg else ("layer1.0.bn1", "layer1.1.bn1")
    modules, keep = dict(model.named_modules()), {}
    for path in paths:
        width = modules[path].num_features
        modules[path].weight.data.uniform_(0.5, 1.5)
        modules[path].bias.data.uniform_(-1, 1)
        modules[path].running_mean.uniform_(-1, 1)
        keep[path] = np.arange(width) % 3 > 0
    torch.save({"epoch": 3, "model": model.state_dict()}, tmp_path / "x.pt")
    target = tmp_path / f"smaller{suffix}"
    pruned = prune_torch_file(tmp_path / "x.pt", target, keep)
    assert pruned.left_alone == {}
    smaller = make(torch, tuple(pruned.widths.values())).eval()
    tensors = load_tensors(target)
    smaller.load_state_dict({name: torch.as_tensor(tensor) for name, tensor in tensors.items()})
    for path in paths:
        gone = torch.as_tensor(~keep[path])
        modules[path].weight.data[gone] = 0
        modules[path].bias.data[gone] = 0
    images = torch.randn(4, 3, 8, 8)
    with torch.no_grad():
        np.testing.assert_allclose(smaller(images), model(images), rtol=0, atol=1e-5)
