"""Formats told by their content: the same network from each, and the way out of those refused."""

import json
import pickle
import subprocess
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import optax
import orbax.checkpoint as ocp
import pytest
from flax import nnx, serialization
from flax.training.train_state import TrainState
from flax.traverse_util import unflatten_dict

from sparsity_jax.audit.__main__ import full_audit
from sparsity_jax.audit.pickles import Inert, read_pickle
from sparsity_jax.errors import UserError
from sparsity_jax.storage.checkpoints import Checkpoints

HERE = Path(__file__).parent
NORMS = {"BatchNorm_0": [0.0, 1.0, 0.0, 1.0], "BatchNorm_1": [1.0, 1.0, 0.0]}
ANSWER = (7, 3, 2 * 27 + 36, 4 * 27 + 3 * 36)


def variables(factor: float = 1.0):
    flat = {
        "params/Conv_0/kernel": np.ones((3, 3, 3, 4)),
        "params/Conv_1/kernel": np.ones((3, 3, 4, 3)),
    }
    for name, gamma in NORMS.items():
        scale = np.asarray(gamma, np.float32)
        flat |= {f"params/{name}/scale": scale * factor, f"params/{name}/bias": scale}
        flat |= {f"batch_stats/{name}/mean": scale, f"batch_stats/{name}/var": scale + 1}
    return jax.tree.map(jnp.asarray, unflatten_dict(flat, sep="/"))


class State(TrainState):
    batch_stats: dict


def train_state() -> State:
    both = variables()
    return State.create(
        apply_fn=None, params=both["params"], tx=optax.adam(1e-3), batch_stats=both["batch_stats"]
    )


def answer(path: Path) -> tuple[object, ...]:
    found = full_audit(path)
    return found.filters, found.dead, found.dead_weights, found.weights


def names(path: Path) -> list[str]:
    return [layer.name for layer in full_audit(path).layers]


def save(path: Path, tree: object) -> Path:
    with ocp.StandardCheckpointer() as checkpointer:
        checkpointer.save(path, tree)
    return path


def managed(path: Path, steps: dict[int, object], **options: object) -> Path:
    with ocp.CheckpointManager(path, options=ocp.CheckpointManagerOptions(**options)) as manager:
        for step, tree in steps.items():
            manager.save(step, args=tree)
        manager.wait_until_finished()
    return path


def test_orbax_at_every_level_gives_one_answer(tmp_path):
    steps = {5: ocp.args.StandardSave(variables(0.0)), 12: ocp.args.StandardSave(variables())}
    run = managed(tmp_path / "2024" / "run", steps, step_prefix="step")
    levels = (run / "step_12" / "default", run / "step_12", run, run.parent)
    assert {answer(level) for level in levels} == {ANSWER}
    assert {tuple(names(level)) for level in levels} == {tuple(NORMS)}
    assert answer(run / "step_5") == (7, 7, 216, 216)


def test_orbax_items_are_one_network_or_several(tmp_path):
    both = variables()
    apart = {name: ocp.args.StandardSave(tree) for name, tree in both.items()}
    run = managed(tmp_path / "apart", {1: ocp.args.Composite(**apart, m=ocp.args.JsonSave({}))})
    assert {answer(level) for level in (run, run / "1", run / "1" / "params")} == {ANSWER}
    two = {"state": ocp.args.StandardSave(train_state()), "ema": ocp.args.StandardSave(both)}
    run = managed(tmp_path / "two", {1: ocp.args.Composite(**two)})
    assert answer(run) == tuple(2 * number for number in ANSWER)
    assert names(run) == [f"{net}/{name}" for net in ("ema", "state") for name in NORMS]
    assert answer(run / "1" / "ema") == ANSWER


def test_a_folder_of_different_checkpoints_is_ambiguous(tmp_path):
    save(tmp_path / "2024", variables())
    save(tmp_path / "best", variables())
    with pytest.raises(UserError, match="holds 2 checkpoints; give one of them, such as 2024"):
        full_audit(tmp_path)
    assert answer(tmp_path / "2024") == ANSWER


def test_nnx_states(tmp_path):
    class Net(nnx.Module):
        def __init__(self) -> None:
            rngs = nnx.Rngs(0)
            self.conv = nnx.Conv(3, 8, (3, 3), rngs=rngs)
            self.bn = nnx.BatchNorm(8, rngs=rngs)
            self.head = nnx.Linear(8, 8, rngs=rngs)

    state = nnx.split(Net())[1]
    paths = (save(tmp_path / "state", state), save(tmp_path / "pure", nnx.to_pure_dict(state)))
    assert {answer(path) for path in paths} == {(8, 0, 0, 216)}


def test_own_checkpoints_at_every_level(tmp_path):
    with Checkpoints(tmp_path / "runs" / "a" / "checkpoints") as checkpoints:
        for step, factor in ((1, 0.0), (12, 1.0)):
            tree = {**variables(factor), "opt_state": {"mu": variables(0.0)["params"]}}
            checkpoints.save(step, tree, arrays={"gamma/C1": np.ones((3, 4))}, notes={})
        checkpoints.wait()
    run = tmp_path / "runs" / "a"
    levels = ("", "checkpoints", "checkpoints/12", "checkpoints/12/state")
    assert {
        answer(path) for path in (tmp_path, run.parent, *(run / level for level in levels))
    } == {ANSWER}


@pytest.mark.parametrize("name", ["x.msgpack", "x.bin", "x"])
def test_flax_msgpack(tmp_path, name):
    (tmp_path / name).write_bytes(serialization.to_bytes(train_state()))
    assert answer(tmp_path / name) == ANSWER


@pytest.mark.parametrize("name", ["x.pth.tar", "pytorch_model.bin", "x.ckpt", "x"])
@pytest.mark.parametrize("file", ["state_dict.pt", "legacy.pt"])
def test_pytorch_under_any_name(tmp_path, name, file):
    (tmp_path / name).write_bytes((HERE / file).read_bytes())
    assert answer(tmp_path / name) == (10, 5, 162, 324)


def test_unknown_classes_beside_the_weights_are_inert_and_shared_weights_count_once():
    found = full_audit(HERE / "beside.ckpt")
    assert (found.filters, found.dead) == (10, 5)
    assert found.read == "PyTorch file, 'state_dict'"
    assert found.left_out[0].name == "model_ema"
    assert found.left_out[0].why == "the same tensors as state_dict"


def shards(folder: Path) -> Path:
    with np.load(npz(folder)) as arrays:
        parts = [dict(list(arrays.items())[at::2]) for at in (0, 1)]
    places = {}
    for at, part in enumerate(parts):
        np.savez(folder / f"part{at}.npz", **part)
        places |= dict.fromkeys(part, f"part{at}.npz")
    index = folder / "model.safetensors.index.json"
    index.write_text(json.dumps({"metadata": {}, "weight_map": places}))
    return index


def npz(folder: Path) -> Path:
    flat = jax.tree_util.tree_leaves_with_path(variables())
    named = {jax.tree_util.keystr(path, simple=True, separator="/"): a for path, a in flat}
    np.savez(folder / "x.npz", **named)
    return folder / "x.npz"


def test_shards_by_their_index_and_by_their_folder(tmp_path):
    index = shards(tmp_path)
    assert answer(index) == answer(tmp_path) == ANSWER
    index.write_text(json.dumps({"weight_map": {"a": "../x.npz"}}))
    with pytest.raises(UserError, match="names files in other folders"):
        full_audit(index)


def module_in_a_pickle(path: Path) -> None:
    path.write_bytes(pickle.dumps({"a": np.ones(3)}))


REFUSED = {
    "HDF5": (lambda p: p.write_bytes(b"\x89HDF\r\n\x1a\n" + bytes(64)), "numpy.savez"),
    "a pickle": (module_in_a_pickle, "is a pickle that is not PyTorch's, and is not run"),
    "TorchScript": (
        lambda p: p.write_bytes((HERE / "script.pt").read_bytes()),
        r"save its weights: torch.save\(torch.jit.load",
    ),
    "a whole module": (
        lambda p: p.write_bytes((HERE / "whole_module.pt").read_bytes()),
        r"whole module, and needs its program; valid is what torch.save\(model.state_dict",
    ),
    "gzip": (lambda p: p.write_bytes(b"\x1f\x8b" + bytes(20)), "unpack it"),
    "other JSON": (lambda p: p.write_text('{"a": 1}'), "not the index of a checkpoint"),
    "nothing": (lambda p: p.write_bytes(b""), "not a checkpoint known here"),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_the_way_out_is_said(tmp_path, kind):
    make, message = REFUSED[kind]
    make(tmp_path / "x")
    with pytest.raises(UserError, match=message):
        full_audit(tmp_path / "x")


def test_a_pickle_is_read_as_data():
    import collections
    import io

    content = {"a": [1, (2.5, None)], "b": {True}, "c": collections.Counter("aa")}
    for protocol in range(6):
        found = read_pickle(
            io.BytesIO(pickle.dumps(content, protocol)), lambda *_: NotImplemented, lambda key: key
        )
        assert found["a"] == [1, (2.5, None)]
        assert isinstance(found["c"], Inert)
        assert str(found["c"].callee) == "collections.Counter"


def test_a_closed_pipe_ends_quietly(tmp_path):
    command = (
        f"{sys.executable} -m sparsity_jax.audit {npz(tmp_path)} | true; echo ${{PIPESTATUS[0]}}"
    )
    ran = subprocess.run(["bash", "-c", command], capture_output=True, text=True, timeout=120)
    assert (ran.stdout, ran.stderr) == ("0\n", "")
