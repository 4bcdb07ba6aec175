"""Runs that are cut while they train: the same when nothing dies, whole in what they report."""

import csv
import json
import os
import signal
from pathlib import Path

import numpy as np
import pytest
from small_grid import get_config

from sparsity_jax import report
from sparsity_jax.config.sweep import expand
from sparsity_jax.distributed.preemption import Interrupted
from sparsity_jax.errors import UserError
from sparsity_jax.experiment import run as experiment
from sparsity_jax.storage.io import signed, verified
from sparsity_jax.storage.measurements import encode_measurements, read_measurements
from sparsity_jax.training import trainer


@pytest.fixture
def run(tmp_path, monkeypatch):
    """run(name, ...): train the small grid's first run in a workdir of that name."""
    monkeypatch.setattr(report, "build", lambda workdir: Path(workdir, "report.html").touch())
    monkeypatch.setattr(report, "table", lambda workdir: "")

    def train(name: str, **fields) -> Path:
        config = get_config()
        config.seeds, config.evaluations, config.checkpoint_seconds = 1, 8, 0.0
        config.update_from_flattened_dict(fields)
        experiment.run(config, tmp_path / name)
        return tmp_path / name

    train.folder = tmp_path
    return train


CUT = {
    "prune_during_training": True,
    "prune_patience": 1,
    "prune_least_gain": 0.01,
    # Decay alone moves the weights until gammas vanish; what is left of Adam says how soon.
    "regularizer": "wd",
    "strength": 0.875,
    "learning_rate": 1e-28,
}


def row_of(workdir: Path) -> dict[str, str]:
    (row,) = csv.DictReader((workdir / "results.csv").read_text().splitlines())
    return row


def measured(workdir: Path):
    (folder,) = (workdir / "runs").iterdir()
    return read_measurements(folder / "measure.npz")


def test_with_nothing_to_cut_the_bits_are_those_of_the_plain_run(run):
    quiet = {"strength": 1e-6}
    plain, cutting = run("plain", **quiet), run("cutting", prune_during_training=True, **quiet)
    ours, theirs = row_of(cutting), row_of(plain)
    assert ours.pop("train_macs_pct") == theirs.pop("train_macs_pct") == "100.00"
    assert {**ours, "seconds": ""} == {**theirs, "seconds": ""}
    for name, values in measured(plain).gamma.items():
        np.testing.assert_array_equal(measured(cutting).gamma[name], values)


def test_cutting_needs_no_record_of_activity(run):
    watched, unwatched = run("watched", **CUT), run("unwatched", record_activity=False, **CUT)
    assert {**row_of(watched), "seconds": ""} == {**row_of(unwatched), "seconds": ""}
    for name, steps in measured(watched).cut_step.items():
        np.testing.assert_array_equal(measured(unwatched).cut_step[name], steps)
    assert not measured(unwatched).fired


def test_what_died_is_cut_and_counted_in_the_original_network(run, capsys):
    workdir = run("cut", **CUT)
    said = capsys.readouterr().out
    assert (
        "note: prune_during_training: adam with wd takes gamma and beta of dead filters to 0"
        in said
    )
    row, found = row_of(workdir), measured(workdir)
    spent = float(row["train_macs_pct"])
    assert 0 < spent < 70  # 40 steps of 80 in full, then twice fewer filters
    filters = sum(gamma.shape[1] for gamma in found.gamma.values())
    assert filters == 4 + 8 + 8 + 16 + 16 + 32 + 32
    small = sum(int(mask.sum()) for mask in found.inactive_gamma.values())
    assert float(row["sparsity_gamma"]) == pytest.approx(100 * small / filters, abs=0.01)
    for name, gamma in found.gamma.items():
        # A filter that was cut keeps the gamma it had, which was small.
        still = (gamma[-1] == gamma[-2]) & (np.abs(gamma[-1]) < 1e-3)
        assert not (still & ~found.inactive_gamma[name]).any()
        gone = found.cut_step[name] >= 0
        fired = found.fired[name]
        assert (gone[:, None] == np.isnan(fired).any(0)[:, None]).all()
        after = found.step[:, None] > np.where(gone, found.cut_step[name], found.step[-1])
        np.testing.assert_array_equal(np.isnan(fired), after)
        for group in (found.train_peak, found.decay, found.pull):
            np.testing.assert_array_equal(np.isnan(group[name]), after)
    (folder,) = (workdir / "runs").iterdir()
    pruned = json.loads((folder / "pruned.json").read_text())
    assert pruned["dense"]["filters"] == filters


@pytest.fixture
def interrupted(run, monkeypatch):
    """interrupted(name, step): the run that is cut, asked to stop at that step by SIGTERM."""
    original, due = trainer._GroupTrainer._maybe_checkpoint, [-1]

    def asked_to_stop(self, seconds):
        if self._step == due[0]:
            os.kill(os.getpid(), signal.SIGTERM)
        original(self, seconds)

    monkeypatch.setattr(trainer._GroupTrainer, "_maybe_checkpoint", asked_to_stop)

    def train(name: str, step: int) -> Path:
        due[0] = step
        with pytest.raises(Interrupted) as stopped:
            run(name, **CUT)
        assert stopped.value.signum == signal.SIGTERM
        due[0] = -1
        return next((run.folder / name / "runs").iterdir()) / "checkpoints" / str(step)

    return train


def assert_same(workdir: Path, other: Path) -> None:
    assert {**row_of(workdir), "seconds": ""} == {**row_of(other), "seconds": ""}
    ours, theirs = (encode_measurements(measured(each)) for each in (workdir, other))
    assert set(ours) == set(theirs)
    for name, values in theirs.items():
        np.testing.assert_array_equal(ours[name], values)


def test_a_cut_run_resumes_bit_for_bit_from_any_checkpoint(run, interrupted):
    whole = run("whole", **CUT)
    cut = {int(step) for steps in measured(whole).cut_step.values() for step in steps}
    assert cut >= {-1, 40}, "before, at and after a cut"
    for step in (10, 20, 30, 40, 50, 70):
        interrupted("parts", step)
    assert_same(run("parts", **CUT), whole)


def without_a_layer(cuts: list) -> None:
    del cuts[-1][1]["C3"]


def with_another_filter(cuts: list) -> None:
    cuts[-1][1]["C3"].append(7)


def with_no_filter(cuts: list) -> None:
    cuts[-1][1]["C3"] = []


@pytest.mark.parametrize(
    "forge", [without_a_layer, with_another_filter, with_no_filter, list.clear]
)
def test_a_checkpoint_whose_plan_is_not_its_arrays_is_refused(run, interrupted, capsys, forge):
    whole = run("whole", **CUT)
    checkpoint = interrupted("parts", 70)
    path = checkpoint / "metadata" / "metadata"
    content = verified(json.loads(path.read_text()))
    forge(content["notes"]["cuts"])
    path.write_text(json.dumps(signed(content)))
    assert_same(run("parts", **CUT), whole)
    said = capsys.readouterr()
    assert f"checkpoint {checkpoint} is damaged" in said.err
    assert " steps from 60" in said.out or "60/80" in said.out


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"prune_patience": 0}, "at least 1"),
        ({"prune_least_gain": 1.0}, "below 1"),
        ({"prune_least_gain": -0.1}, "0 or more"),
        ({"prune_during_training": True, "criterion": "l1"}, "one of the two"),
        ({"prune_during_training": True, "split": "batch"}, "split='members'"),
    ],
)
def test_wrong_settings_are_refused(fields, message):
    config = get_config()
    config.update_from_flattened_dict(fields)
    with pytest.raises(UserError, match=message):
        expand(config)
