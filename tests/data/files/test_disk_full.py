"""A disk that fills while a set is prepared: one line, and nothing half-prepared is used later."""

import os
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from sparsity_jax import data

LIMITED = """
import resource, signal, sys
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)  # writing beyond the limit fails like a full disk
resource.setrlimit(resource.RLIMIT_FSIZE, ({limit}, {limit}))
from sparsity_jax.data.__main__ import main
sys.exit(main(sys.argv[1:]))
"""


@pytest.fixture
def pictures(tmp_path):
    """12 images of noise, 64 x 64: 147 kB decoded."""
    rng = np.random.default_rng(0)
    for split in ("train", "test"):
        for name in ("cat", "dog"):
            folder = tmp_path / "pets" / split / name
            folder.mkdir(parents=True)
            for index in range(3):
                pixels = rng.integers(0, 256, (64, 64, 3), dtype=np.uint8)
                Image.fromarray(pixels).save(folder / f"{index}.png")
    return tmp_path / "pets"


def prepare(source, folder, limit, *words):
    pytest.importorskip("resource")
    return subprocess.run(
        [
            *(sys.executable, "-c", LIMITED.format(limit=limit)),
            *("prepare", source, "--data_dir", str(folder), *words),
        ],
        capture_output=True,
        text=True,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
    )


def test_a_folder_is_not_half_cached(pictures, tmp_path):
    found = prepare(f"folder:{pictures}", tmp_path / "data", 50_000)
    assert found.returncode == 2, found.stderr
    assert "cannot write cache" in found.stderr.splitlines()[-1]
    assert not [path for path in (tmp_path / "data").rglob("*") if path.is_file()]
    dataset = data.load(f"folder:{pictures}", data_dir=tmp_path / "data", progress=False)
    assert dataset.train_size == 6


def test_an_official_set_is_not_half_prepared(cifar10_archive, tmp_path):
    manual = ["--manual_dir", str(cifar10_archive.parent), "--allow_unverified"]
    found = prepare("cifar10", tmp_path / "data", 20_000, *manual)
    assert found.returncode == 2, found.stderr
    last = found.stderr.splitlines()[-1]
    assert last.startswith("error: cannot prepare cifar10")
    assert not list((tmp_path / "data" / "tfds").rglob("*array_record*"))
    again = prepare("cifar10", tmp_path / "data", 10_000_000, *manual)
    assert again.returncode == 0, again.stderr
    assert "50 train and 10 test images" in again.stdout
