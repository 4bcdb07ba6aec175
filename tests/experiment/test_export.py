"""A run's network leaves the project: reloaded elsewhere, exported both ways, audited anywhere."""

import json
import struct
import subprocess
import sys

import jax
import numpy as np
import pytest
from flax.traverse_util import flatten_dict

from sparsity_jax.audit.__main__ import audit
from sparsity_jax.data.augment import normalise
from sparsity_jax.experiment.prune import prune_network
from sparsity_jax.models.convnet import logits
from sparsity_jax.storage.checkpoints import Checkpoints
from sparsity_jax.storage.models import load_model

DEAD = {"C2": 2, "C6": 3}
ELSEWHERE = """
import importlib.util, json, sys, warnings
from pathlib import Path
import numpy as np
from sparsity_jax.pruning.export import agreement, export_onnx, export_stablehlo
from sparsity_jax.pruning.export import load_onnx, load_stablehlo
from sparsity_jax.storage.models import load_model

folder = Path(sys.argv[1])
plan, variables = load_model(folder / "pruned")
images = np.load(folder / "images.npy")
ways = {"stablehlo": (export_stablehlo, load_stablehlo)}
if all(importlib.util.find_spec(name) for name in ("jax2onnx", "onnxruntime")):
    ways["onnx"] = (export_onnx, load_onnx)
said = {}
for way, (write, read) in ways.items():
    path = folder / f"model.{way}"
    write(plan, variables, path)
    found = agreement(plan, variables, read(path), images)
    said[way] = [found.changed_pct, found.max_logit_difference]
    np.save(folder / f"{way}.npy", read(path)(images))
print(json.dumps(said))
"""


def test_a_fresh_process_reloads_exports_and_predicts_the_same(small_run, dead_state):
    pytest.importorskip("flatbuffers")
    made = small_run()
    prune_network(made, dead_state(made))
    data = made.data
    images = np.asarray(normalise(data.test_images, data.mean, data.std))
    np.save(made.folder / "images.npy", images)
    command = [sys.executable, "-c", ELSEWHERE, str(made.folder)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    said = json.loads(done.stdout.splitlines()[-1])
    ours = np.asarray(logits(*load_model(made.folder / "pruned"), images))
    for way, (changed_pct, difference) in said.items():
        theirs = np.load(made.folder / f"{way}.npy")
        assert changed_pct == 0
        assert difference < 1e-4
        np.testing.assert_array_equal(theirs.argmax(-1), ours.argmax(-1))
    assert "stablehlo" in said


def test_every_format_tells_the_same_dead_filters(small_run, dead_state):
    made = small_run()
    state = dead_state(made)
    with Checkpoints(made.folder / "checkpoints") as checkpoints:
        checkpoints.save(0, state, arrays={}, notes={})
    tensors = {
        ".".join(path[1:]): np.asarray(leaf)
        for path, leaf in flatten_dict(jax.device_get(state.variables)).items()
    }
    found = {
        "orbax": audit(made.folder / "checkpoints"),
        "safetensors": audit(safetensors(made.folder / "model.safetensors", tensors)),
        "npz": audit(npz(made.folder / "model.npz", tensors)),
    }
    for name, layers in found.items():
        dead = {x.name.split("/")[0]: x.dead for x in layers if x.dead}
        assert dead == DEAD, name
        assert [(x.filters, x.weights) for x in layers] == [
            (x.filters, x.weights) for x in found["orbax"]
        ]


def test_a_torch_file_of_the_same_network_tells_them_too(small_run, dead_state):
    torch = pytest.importorskip("torch")
    made = small_run()
    state = dead_state(made)
    words = {"kernel": "weight", "scale": "weight", "mean": "running_mean", "var": "running_var"}
    tensors = {}
    for path, leaf in flatten_dict(jax.device_get(state.variables)).items():
        array = np.array(leaf)
        order = {4: (3, 2, 0, 1), 2: (1, 0)}.get(array.ndim, (0,))
        name = ".".join([*path[1:-1], words.get(path[-1], path[-1])])
        tensors[name] = torch.from_numpy(np.ascontiguousarray(array.transpose(order)))
    torch.save(tensors, made.folder / "model.pt")
    layers = audit(made.folder / "model.pt")
    assert {x.name.split("/")[0]: x.dead for x in layers if x.dead} == DEAD
    assert sum(x.weights for x in layers) == made.program.plan.conv_params


def safetensors(path, tensors):
    header, blobs, place = {}, [], 0
    for name, array in tensors.items():
        blobs.append(np.ascontiguousarray(array, np.float32).tobytes())
        header[name] = {
            "dtype": "F32",
            "shape": list(array.shape),
            "data_offsets": [place, place + len(blobs[-1])],
        }
        place += len(blobs[-1])
    text = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + b"".join(blobs))
    return path


def npz(path, tensors):
    np.savez(path, **tensors)
    return path
