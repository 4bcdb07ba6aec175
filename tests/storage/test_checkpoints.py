"""Does a checkpoint come back exactly, and only if it is exactly what was saved?"""

import gc
import shutil

import jax.numpy as jnp
import numpy as np
import pytest

from sparsity_jax.errors import UserError
from sparsity_jax.storage.checkpoints import Checkpoints

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


@pytest.mark.parametrize("name", ["default/notes.json", "default/leaves.npz"])
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
