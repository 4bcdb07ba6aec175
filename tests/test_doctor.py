"""Does the doctor find the machine well, and name what is not?"""

import numpy as np
import pytest

from sparsity_jax import doctor
from sparsity_jax.data import Dataset
from sparsity_jax.data.cache import write_cache


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
    for word in ("jax ", "device", "data noise", "4 + 4 images", "repeatable: True"):
        assert word.split(":")[0] in said
    assert "BAD" not in said


def test_a_cut_off_cache_and_a_broken_workdir_are_named(data, capsys, monkeypatch):
    monkeypatch.setattr(doctor, "_self_test", lambda: (True, "self-test"))
    path = data / "renderings" / "set.npz"
    path.write_bytes(path.read_bytes()[:-50])
    (data / "config.json").write_text("{")
    assert doctor.main([f"--data_dir={data}", f"--workdir={data}"]) == 1
    bad = [line for line in capsys.readouterr().out.splitlines() if line.startswith("BAD")]
    assert any("set.npz" in line for line in bad)
    assert any("config.json is damaged" in line for line in bad)


def test_help_says_what_the_exit_codes_mean(capsys):
    with pytest.raises(SystemExit):
        doctor.main(["--help"])
    assert "Exit code 0: healthy" in capsys.readouterr().out
