"""Exports load back and answer as the network does, pruned ones too, for any batch size."""

import subprocess
import sys
import warnings

import numpy as np
import pytest
from flax import nnx
from foreign_networks import SMALL, NnxResNet, random_variables

from sparsity_jax.errors import UserError
from sparsity_jax.pruning import prune, prune_model
from sparsity_jax.pruning.export import (
    agreement,
    export_onnx,
    export_stablehlo,
    load_onnx,
    load_stablehlo,
)
from sparsity_jax.sparsity import gamma_sparsity

PLANS = ("global", "flatten", "window")


def pruned(networks, name):
    plan = networks.plans[name]
    return prune(plan, networks.variables(plan, 1), networks.keep(plan, 1))


@pytest.mark.parametrize("name", PLANS)
def test_stablehlo_loads_back(networks, tmp_path, name):
    pytest.importorskip("flatbuffers")
    plan, variables = pruned(networks, name)
    file = tmp_path / "new folder" / "model.stablehlo"
    export_stablehlo(plan, variables, file)
    exported = load_stablehlo(file)
    for count in (1, 7):  # the batch size is free
        images = networks.images(plan, 1, count)
        report = agreement(plan, variables, exported, images, batch_size=4)
        assert report.max_logit_difference < 1e-5
        assert report.changed_pct == 0
        np.testing.assert_allclose(
            exported(images), networks.logits(plan, variables, images), atol=1e-4
        )
    assert [entry.name for entry in file.parent.iterdir()] == ["model.stablehlo"]


def test_stablehlo_needs_only_jax(networks, tmp_path):
    """A fresh process that never imports this project gives the same logits."""
    pytest.importorskip("flatbuffers")
    plan, variables = pruned(networks, "flatten")
    images = networks.images(plan, 1, 3)
    export_stablehlo(plan, variables, tmp_path / "model")
    np.save(tmp_path / "images.npy", images)
    program = (
        "import sys, numpy as np; from jax import export; f = sys.argv[1]; "
        "exported = export.deserialize(bytearray(open(f + '/model', 'rb').read())); "
        "np.save(f + '/logits.npy', exported.call(np.load(f + '/images.npy'))); "
        "assert 'sparsity_jax' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", program, str(tmp_path)], check=True, cwd=tmp_path)
    ours = networks.logits(plan, variables, images)
    np.testing.assert_allclose(np.load(tmp_path / "logits.npy"), ours, atol=1e-4)


@pytest.mark.parametrize("name", PLANS)
def test_onnx_loads_back(networks, tmp_path, name):
    with warnings.catch_warnings():  # an optional package's own import warnings are not ours
        warnings.simplefilter("ignore")
        pytest.importorskip("jax2onnx")
        pytest.importorskip("onnxruntime")
        plan, variables = pruned(networks, name)
        export_onnx(plan, variables, tmp_path / "model.onnx")
        exported = load_onnx(tmp_path / "model.onnx")
        for count in (1, 7):
            report = agreement(plan, variables, exported, networks.images(plan, 1, count))
            assert report.max_logit_difference < 1e-5
            assert report.changed_pct == 0


def pruned_model(name):
    """A pruned network of somebody else's: one that runs its own code, one that runs operations."""
    images = np.random.default_rng(0).normal(size=(2, 8, 8, 3)).astype(np.float32)
    if name == "nnx":
        model = NnxResNet(nnx.Rngs(0))
        apply_fn, variables = model, nnx.state(model)
    else:
        apply_fn = SMALL[name]().apply
        variables = random_variables(SMALL[name](), images, 0)
    found = gamma_sparsity(variables).layers
    inactive = {path: np.arange(mask.size) < 2 for path, mask in found.items()}
    return prune_model(apply_fn, variables, inactive, images)


@pytest.mark.parametrize("name", ["resnet", "split", "nnx"])
def test_pruned_models_of_any_kind_load_back(tmp_path, name):
    pytest.importorskip("flatbuffers")
    model = pruned_model(name)
    assert model.removed
    export_stablehlo(model, model.variables, tmp_path / "model.stablehlo")
    images = np.random.default_rng(1).normal(size=(5, 8, 8, 3)).astype(np.float32)
    exported = load_stablehlo(tmp_path / "model.stablehlo")
    for count in (1, 5):
        found = agreement(model, model.variables, exported, images[:count])
        assert found.max_logit_difference < 1e-5
        assert found.changed_pct == 0


@pytest.mark.parametrize("name", ["resnet", "split", "concatenated", "nnx"])
def test_pruned_models_of_any_kind_go_to_onnx(tmp_path, name):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        pytest.importorskip("jax2onnx", reason="jax2onnx writes ONNX: pip install jax2onnx")
        pytest.importorskip("onnxruntime", reason="onnxruntime runs ONNX")
        model = pruned_model(name)
        export_onnx(model, model.variables, tmp_path / "model.onnx")
        images = np.random.default_rng(1).normal(size=(5, 8, 8, 3)).astype(np.float32)
        exported = load_onnx(tmp_path / "model.onnx")
        for count in (1, 5):
            found = agreement(model, model.variables, exported, images[:count])
            assert found.max_logit_difference < 1e-4
            assert found.changed_pct == 0


def test_agreement_tells_networks_apart(networks):
    plan = networks.plans["global"]
    one, other = networks.variables(plan, 1), networks.variables(plan, 2)
    images = networks.images(plan, 1, 40)

    def exported(batch):
        return networks.logits(plan, other, batch)

    report = agreement(plan, one, exported, images, batch_size=9)
    ours = networks.logits(plan, one, images)
    theirs = networks.logits(plan, other, images)
    assert report.max_logit_difference == pytest.approx(np.abs(ours - theirs).max(), rel=1e-3)
    assert report.changed_pct == 100 * np.mean(ours.argmax(-1) != theirs.argmax(-1)) > 0
    with pytest.raises(UserError, match="there are no images"):
        agreement(plan, one, exported, images[:0])


def test_bad_files_and_missing_packages_are_named(networks, tmp_path, monkeypatch):
    plan, variables = pruned(networks, "global")
    monkeypatch.setitem(sys.modules, "jax2onnx", None)
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(UserError, match="this needs jax2onnx; install it with: pip install"):
        export_onnx(plan, variables, tmp_path / "x.onnx")
    with pytest.raises(UserError, match="this needs onnxruntime"):
        load_onnx(tmp_path / "x.onnx")
    assert not list(tmp_path.iterdir())
    pytest.importorskip("flatbuffers")
    (tmp_path / "x").write_bytes(b"not an export at all, by any means" * 9)
    with pytest.raises(UserError, match="x is not a StableHLO export, or damaged"):
        load_stablehlo(tmp_path / "x")
    with pytest.raises(UserError, match="cannot read"):
        load_stablehlo(tmp_path / "missing")
    other = networks.plans["flatten"]
    with pytest.raises(UserError, match="kernel of C1"):
        export_stablehlo(other, variables, tmp_path / "y")
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match="cannot write"):
        export_stablehlo(plan, variables, tmp_path / "file" / "y")
