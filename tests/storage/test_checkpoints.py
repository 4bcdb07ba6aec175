"""A checkpoint comes back exactly, and only if it is exactly what was saved; Orbax opens it."""

import gc
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any, NamedTuple
from unittest.mock import Mock

import jax.numpy as jnp
import numpy as np
import optax
import orbax.checkpoint as ocp
import pytest

from sparsity_jax.errors import UserError
from sparsity_jax.storage.checkpoint_items import as_saved, leaves
from sparsity_jax.storage.checkpoints import Checkpoints, checkpoint_problem

# Orbax leaves the errors of reads that it gave up on to be found by the garbage collector.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")


@pytest.fixture(autouse=True)
def _find_them_here():
    """Collect what a test leaves while its mark still holds, not in a later test."""
    yield
    gc.collect()


def state(value: float) -> dict:
    return {"w": jnp.full((3, 2), value), "step": jnp.int32(7)}


def save(folder, *steps: int, of: str = "a") -> None:
    with Checkpoints(folder, of=of) as checkpoints:
        for step in steps:
            checkpoints.save(
                step, state(step), arrays={"x/y": np.arange(step)}, notes={"n": [step]}
            )


def flip_bit(tree: Path, *, of: np.ndarray) -> None:
    """Flip one bit of an array where a saved tree's files hold it."""
    for path in (path for path in tree.rglob("*") if path.is_file()):
        content = bytearray(path.read_bytes())
        if (at := content.find(of.tobytes())) >= 0:
            content[at] ^= 1
            path.write_bytes(content)
            return
    raise AssertionError(f"the array is in no file of {tree}")


def test_everything_comes_back_with_its_dtype(tmp_path):
    save(tmp_path / "c", 1, 2)
    with Checkpoints(tmp_path / "c", of="a") as checkpoints:
        step, found, arrays, notes = checkpoints.restore(state(0)) or pytest.fail("none")
    assert (step, notes) == (2, {"n": [2]})
    assert np.array_equal(found["w"], np.full((3, 2), 2, np.float32))
    assert found["step"].dtype == np.int32
    assert np.array_equal(arrays["x/y"], np.arange(2))


def test_nothing_saved_is_nothing_restored(tmp_path):
    with Checkpoints(tmp_path / "c") as checkpoints:
        assert checkpoints.restore(state(0)) is None


@pytest.mark.parametrize("name", ["metadata/metadata", "state/manifest.ocdbt", "arrays/_METADATA"])
def test_a_damaged_one_is_named_set_aside_and_the_one_before_used(tmp_path, name, capsys):
    save(tmp_path / "c", 1, 2)
    (tmp_path / "c" / "2" / name).write_bytes(b"{}")
    with Checkpoints(tmp_path / "c", of="a") as checkpoints:
        restored = checkpoints.restore(state(0))
        assert restored is not None
        assert restored.step == 1
        checkpoints.save(2, state(2), arrays={}, notes={})  # its step can be saved again
    assert str(tmp_path / "c" / "2") in capsys.readouterr().err
    assert (tmp_path / "damaged" / "2").is_dir()


def test_another_dtype_is_not_taken_for_the_same(tmp_path):
    save(tmp_path / "c", 1)
    with Checkpoints(tmp_path / "c", of="a") as checkpoints:
        assert checkpoints.restore({**state(0), "w": jnp.zeros((3, 2), jnp.bfloat16)}) is None


def test_that_of_another_step_or_another_run_is_not_taken(tmp_path):
    save(tmp_path / "c", 1, 2)
    shutil.rmtree(tmp_path / "c" / "2")
    shutil.copytree(tmp_path / "c" / "1", tmp_path / "c" / "2")
    with Checkpoints(tmp_path / "c", of="a") as checkpoints:
        restored = checkpoints.restore(state(0))
    assert restored is not None
    assert restored.step == 1
    with (
        Checkpoints(tmp_path / "c", of="b") as checkpoints,
        pytest.raises(UserError, match="other"),
    ):
        checkpoints.restore(state(0))


def test_a_flipped_bit_is_noticed_that_orbax_restores(tmp_path):
    weights = np.arange(1000, dtype=np.float32)  # small arrays lie in nodes with checksums
    with Checkpoints(tmp_path / "c") as checkpoints:
        checkpoints.save(1, {"w": weights}, arrays={}, notes={})
    folder = tmp_path / "c" / "1"
    assert checkpoint_problem(folder, 1) == ""
    flip_bit(folder / "state", of=weights)
    found = ocp.StandardCheckpointer().restore(folder / "state")["w"]
    assert (found != weights).sum() == 1
    assert "leaf state/w is not what was saved" in checkpoint_problem(folder, 1)
    with Checkpoints(tmp_path / "c") as checkpoints:
        assert checkpoints.restore({"w": weights}) is None


def test_another_leaf_and_another_shape_are_not_taken(tmp_path):
    for changed in ({"v": jnp.zeros(1)}, {"w": jnp.zeros((2, 3))}):
        save(tmp_path / "c", 1)
        with Checkpoints(tmp_path / "c", of="a") as checkpoints:
            assert checkpoints.restore({**state(0), **changed}) is None


def test_names_are_those_of_fields_keys_and_positions():
    params = {"w": np.ones(3, np.float32)}
    opt_state = optax.chain(optax.identity(), optax.scale_by_adam()).init(params)
    trees = as_saved({"params": params, "opt_state": opt_state}, {"gamma/C1": np.ones(2)})
    assert sorted(leaves(trees)) == [
        "arrays/gamma/C1",
        "state/opt_state/1/count",
        "state/opt_state/1/mu/w",
        "state/opt_state/1/nu/w",
        "state/params/w",
    ]


def test_one_of_an_older_version_is_refused_by_name(tmp_path):
    save(tmp_path / "c", 1)
    (tmp_path / "c" / "1" / "default").mkdir()
    (tmp_path / "c" / "1" / "default" / "leaves.npz").write_bytes(b"PK")
    with (
        Checkpoints(tmp_path / "c", of="a") as checkpoints,
        pytest.raises(UserError, match="older version"),
    ):
        checkpoints.restore(state(0))
    assert (tmp_path / "c" / "1").is_dir()


def test_a_long_error_of_the_storage_ends_in_its_reason(tmp_path, monkeypatch):
    said = f'RESOURCE_EXHAUSTED: Error writing "{"w/" * 300}0": No space left on device'
    with Checkpoints(tmp_path / "c") as checkpoints:
        monkeypatch.setattr(ocp.CheckpointManager, "save", Mock(side_effect=ValueError(said)))
        with pytest.raises(UserError, match=r"No space left on device\); free some space") as found:
            checkpoints.save(1, {"w": np.ones(2)}, arrays={}, notes={})
    assert len(str(found.value)) < 500


PLAIN_ORBAX = """
import sys
sys.modules["sparsity_jax"] = None  # whoever imports it now gets an ImportError
import orbax.checkpoint as ocp
state = ocp.StandardCheckpointer().restore(sys.argv[1])
print(sorted(state), state["params"]["C1"]["norm"]["scale"].sum(), *sorted(state["opt_state"][0]))
manager = ocp.CheckpointManager(sys.argv[2])
items = manager.restore(manager.latest_step(), args=ocp.args.Composite(
    state=ocp.args.StandardRestore(), arrays=ocp.args.StandardRestore(),
    metadata=ocp.args.JsonRestore()))
print(items["arrays"]["gamma"]["C1"].shape, items["metadata"]["notes"]["seconds"])
"""


def test_plain_orbax_opens_them_without_this_package(tmp_path):
    class TrainState(NamedTuple):
        step: jnp.ndarray
        params: dict
        batch_stats: dict
        opt_state: Any

    norm = {"scale": np.arange(4, dtype=np.float32)}
    params = {"C1": {"norm": norm}}
    trained = TrainState(jnp.int32(3), params, {"C1": norm}, optax.adam(1e-3).init(params))
    with Checkpoints(tmp_path / "c", of="a") as checkpoints:
        for step in (3, 4):
            arrays = {"gamma/C1": np.ones((step, 4))}
            checkpoints.save(step, trained, arrays=arrays, notes={"seconds": 1.5})
    command = [sys.executable, "-W", "error", "-c", PLAIN_ORBAX]
    where = [str(tmp_path / "c" / "3" / "state"), str(tmp_path / "c")]
    done = subprocess.run([*command, *where], capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [
        "['batch_stats', 'opt_state', 'params', 'step'] 6.0 count mu nu",
        "(4, 4) 1.5",
    ]
