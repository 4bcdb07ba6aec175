"""Do config.json, measure.npz and pruned.json come back as they were written?"""

from __future__ import annotations

import json
import math
import tracemalloc

import jax.numpy as jnp
import numpy as np
import pytest

from sparsity_jax.errors import UserError
from sparsity_jax.storage.config_record import ConfigRecord, read_config, write_record
from sparsity_jax.storage.io import array_digest, bytes_digest, write_atomically
from sparsity_jax.storage.measurements import Measurements, read_measurements, write_measurements
from sparsity_jax.storage.pruned import Cost, PrunedRecord, read_pruned, write_pruned


def _measure(**changes: object) -> Measurements:
    gamma = np.linspace(0, 1, 12, dtype=np.float32).reshape(3, 4)
    base: dict = {
        "step": np.array([0, 5, 10]),
        "epoch": np.array([0.0, 0.5, 1.0]),
        "gamma": {"C1": gamma, "C10": gamma[:, :2]},
        "beta": {"C1": -gamma, "C10": -gamma[:, :2]},
        "inactive_gamma": {"C1": gamma[-1] < 0.5},
    }
    return Measurements(**(base | changes))


def test_a_measure_survives_the_file_with_its_types(tmp_path) -> None:
    path = tmp_path / "runs" / "a" / "measure.npz"
    write_measurements(path, _measure())
    read = read_measurements(path)
    assert read.layers == ("C1", "C10")
    assert read.gamma["C1"].dtype == np.float32
    assert read.inactive_gamma["C1"].dtype == bool
    np.testing.assert_array_equal(read.beta["C10"], _measure().beta["C10"])
    assert read.universality == {}


def test_layer_paths_with_slashes_survive(tmp_path) -> None:
    gamma = {"block/conv": np.ones((3, 2))}
    write_measurements(tmp_path / "m.npz", _measure(gamma=gamma, beta=gamma))
    assert read_measurements(tmp_path / "m.npz").layers == ("block/conv",)


def test_a_damaged_measure_is_named(tmp_path) -> None:
    write_measurements(tmp_path / "m.npz", _measure())
    half = (tmp_path / "m.npz").read_bytes()[:200]
    (tmp_path / "m.npz").write_bytes(half)
    with pytest.raises(UserError, match=r"m\.npz is damaged"):
        read_measurements(tmp_path / "m.npz")


def test_a_pruned_record_survives_the_file(tmp_path) -> None:
    record = PrunedRecord(
        threshold=1e-3, test_error=1.5, masked_test_error=1.5, pruned_test_error=1.6,
        max_logit_difference=2e-6, dense=Cost(10, 100, 120, 4000), pruned=Cost(7, 50, 60, 2000),
        layers={"C1": {"filters": 10, "kept": 7}}, kept_emptied=("C1",),
    )  # fmt: skip
    write_pruned(tmp_path / "pruned.json", record)
    assert read_pruned(tmp_path / "pruned.json") == record


def test_a_pruned_error_that_is_nan_is_null_in_the_file(tmp_path) -> None:
    counts = Cost(1, 1, 1, 1)
    record = PrunedRecord(1e-3, math.nan, math.nan, math.nan, 0.0, counts, counts, {})
    write_pruned(tmp_path / "pruned.json", record)
    assert json.loads((tmp_path / "pruned.json").read_text())["test_error"] is None
    assert math.isnan(read_pruned(tmp_path / "pruned.json").test_error)


@pytest.mark.parametrize("text", ["{", "[]", "{}", '{"dense": 3, "pruned": 4}'])
def test_a_foreign_pruned_file_is_named(tmp_path, text: str) -> None:
    (tmp_path / "pruned.json").write_text(text)
    with pytest.raises(UserError, match=r"pruned\.json"):
        read_pruned(tmp_path / "pruned.json")


def test_a_config_survives_with_tuples_as_lists(tmp_path) -> None:
    record = ConfigRecord({"drops": ((250, 0.1),), "x": np.float32(0.5)}, ("a", "b"), {"jax": "1"})
    write_record(tmp_path, record)
    read = read_config(tmp_path / "config.json")
    assert read.config == {"drops": [[250, 0.1]], "x": 0.5}
    assert (read.runs, read.versions, read.commit) == (("a", "b"), {"jax": "1"}, None)


def test_a_failed_write_leaves_the_old_file_and_no_rest(tmp_path, monkeypatch) -> None:
    write_atomically(tmp_path / "file", b"old")
    monkeypatch.setattr("os.replace", _refuse)
    with pytest.raises(OSError, match="disk"):
        write_atomically(tmp_path / "file", b"new")
    assert (tmp_path / "file").read_bytes() == b"old"
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def _refuse(*_: object) -> None:
    raise OSError("disk full")


@pytest.mark.parametrize(
    "array",
    [
        np.arange(24, dtype=np.float32).reshape(2, 3, 4)[:, ::2].T,
        np.float64(1.5),
        np.zeros((0, 3), np.uint8),
        np.ones(5, jnp.bfloat16),
    ],
    ids=["strided", "scalar", "empty", "bfloat16"],
)
def test_a_digest_is_of_type_shape_and_bytes_in_order(array) -> None:
    about = f"{array.dtype}{array.shape}".encode()
    assert array_digest(array) == bytes_digest(about + array.tobytes())


def test_a_digest_copies_nothing() -> None:
    array = np.zeros(10_000_000, np.uint8)
    tracemalloc.start()
    try:
        array_digest(array)
        assert tracemalloc.get_traced_memory()[1] < array.nbytes / 10
    finally:
        tracemalloc.stop()
