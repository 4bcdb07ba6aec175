"""The doctor finds a sound machine healthy, and names what is not."""

import jax.numpy as jnp
import numpy as np
import pytest

from sparsity_jax import doctor
from sparsity_jax.data import Dataset
from sparsity_jax.data.files.cache import write_cache
from sparsity_jax.storage.checkpoints import Checkpoints
from sparsity_jax.storage.config_record import ConfigRecord, write_record


@pytest.fixture
def data(tmp_path):
    images, labels = np.zeros((4, 8, 8, 1), np.uint8), np.arange(4, dtype=np.int32) % 2
    folder = tmp_path / "renderings"
    folder.mkdir()
    write_cache(folder / "set.npz", Dataset("noise", images, labels, images, labels, ("a", "b")))
    return tmp_path


def test_a_healthy_machine(data, capsys):
    assert doctor.main([f"--data_dir={data}"]) == 0
    said = capsys.readouterr().out
    for word in ("jax", "device info", "flax ", "data noise", "4 + 4 images", "repeatable: True"):
        assert word.split(":")[0] in said
    assert "compiler options of a training step: none (they are for GPUs)" in said
    assert "BAD" not in said


def test_a_cut_off_cache_and_a_broken_workdir_are_named(data, capsys, monkeypatch):
    monkeypatch.setattr(doctor, "self_test", lambda: (True, "self-test"))
    path = data / "renderings" / "set.npz"
    path.write_bytes(path.read_bytes()[:-50])
    (data / "config.json").write_text("{")
    assert doctor.main([f"--data_dir={data}", f"--workdir={data}"]) == 1
    bad = [line for line in capsys.readouterr().out.splitlines() if line.startswith("BAD")]
    assert any("set.npz" in line for line in bad)
    assert any("config.json is damaged" in line for line in bad)


def test_a_damaged_checkpoint_of_an_unfinished_run_is_named(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(doctor, "self_test", lambda: (True, "self-test"))
    monkeypatch.setattr(doctor, "_data", lambda folder: ())
    folder = tmp_path / "runs" / "adam" / "checkpoints"
    state = {"w": jnp.arange(600.0)}
    with Checkpoints(folder) as checkpoints:
        for step in (20, 9):
            checkpoints.save(step, state, arrays={}, notes={"seconds": 1.5})
    write_record(tmp_path, ConfigRecord({"name": "a"}))
    assert doctor.main([f"--workdir={tmp_path}"]) == 0
    said = capsys.readouterr().out
    assert "run adam: not finished, sound checkpoint at step 20" in said
    assert "results.csv is not there yet" in said
    (leaves,) = (
        path for path in (folder / "20" / "state").rglob("*")
        if path.is_file() and np.float32([7, 8]).tobytes() in path.read_bytes()
    )  # fmt: skip
    content = bytearray(leaves.read_bytes())
    content[content.index(np.float32(7).tobytes())] ^= 1
    leaves.write_bytes(content)
    assert doctor.main([f"--workdir={tmp_path}"]) == 1
    assert "BAD  checkpoint" in capsys.readouterr().out


def test_sets_that_tfds_prepared_are_listed(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(doctor, "self_test", lambda: (True, "self-test"))
    monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path / "nowhere"))
    for folder in ("tfds/cifar10/3.0.2", "objectnet3d/clean/1.0.0"):
        (tmp_path / folder).mkdir(parents=True)
        (tmp_path / folder / "dataset_info.json").write_text("{}")
    assert doctor.main([f"--data_dir={tmp_path}"]) == 0
    said = capsys.readouterr().out
    assert said.count("prepared by TFDS") == 2
    assert "tfds/cifar10/3.0.2 (0.0 MB)" in said


def test_help_says_what_the_exit_codes_mean(capsys):
    with pytest.raises(SystemExit):
        doctor.main(["--help"])
    assert "Exit code 0: healthy" in capsys.readouterr().out
