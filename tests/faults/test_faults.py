"""The short versions of the trials in `matrix.py`, and stopping on request."""

import gc
import os
import signal
import subprocess
import sys
from pathlib import Path
from unittest import mock

import audit_trials
import commands
import corruption_trials
import fuzz_trials
import numpy as np
import pytest
import tiny

from sparsity_jax import main as command
from sparsity_jax import report
from sparsity_jax.storage import lock
from sparsity_jax.storage.measurements import read_measurements
from sparsity_jax.storage.results import read_results
from sparsity_jax.training import trainer

# Orbax leaves the errors of reads that it gave up on to be found by the garbage collector.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")


@pytest.fixture(autouse=True)
def quick(tmp_path, monkeypatch):
    monkeypatch.setenv("SPARSITY_JAX_DATA", str(tmp_path.parent / "data"))
    monkeypatch.setattr(report, "build", lambda workdir: (workdir / "report.html").write_text(""))
    yield
    gc.collect()  # while the mark above still holds


def main(workdir: Path, *more: str) -> int:
    config = Path(tiny.__file__)
    with mock.patch.object(
        sys, "argv", ["main", f"--config={config}", f"--workdir={workdir}", *more]
    ):
        return command.main()


@pytest.mark.parametrize(
    ("signum", "code", "step"), [(signal.SIGTERM, 143, 50), (signal.SIGINT, 130, 100)]
)
def test_a_signal_commits_a_checkpoint_between_evaluations_and_the_run_goes_on_from_it(
    tmp_path, monkeypatch, capfd, signum, code, step
):
    assert main(tmp_path / "whole") == 0
    train_steps = trainer.train_population

    def asked_to_stop(*arguments, until, mapping, **others):
        if until == step:
            os.kill(os.getpid(), signum)
        return train_steps(*arguments, until=until, mapping=mapping, **others)

    with monkeypatch.context() as patch:
        patch.setattr(trainer, "train_population", asked_to_stop)
        assert main(tmp_path / "parts") == code
    said = capfd.readouterr().err
    assert "to go on: python -m sparsity_jax.main" in said
    checkpoints = next((tmp_path / "parts" / "runs").iterdir()) / "checkpoints"
    assert [path.name for path in checkpoints.iterdir()] == [str(step)]
    assert main(tmp_path / "parts") == 0
    assert f"120 steps from {step}" in capfd.readouterr().out
    assert tiny.differing(tmp_path / "parts", tiny.results(tmp_path / "whole")) == []


def test_a_second_sigint_is_not_deferred():
    """In a process of its own, which it ends while that still waits for its compiled call."""
    waiting = """
import os, signal, time
from sparsity_jax.distributed.preemption import deferring
with deferring() as asked:
    os.kill(os.getpid(), signal.SIGINT)
    print(asked(), flush=True)
    os.kill(os.getpid(), signal.SIGINT)
    time.sleep(60)
"""
    done = subprocess.run([sys.executable, "-c", waiting], capture_output=True, text=True)
    assert done.stdout == f"{int(signal.SIGINT)}\n"
    assert "Ctrl-C stops at once" in done.stderr
    assert done.returncode == -signal.SIGINT


def test_a_run_that_goes_on_with_other_devices_ends_alike(tmp_path, monkeypatch):
    """Stopped where four devices split its batches, it goes on with one: equal up to rounding."""
    split = ("--config.split=batch", "--config.sweep=()")  # Adam; SGD's rate makes much of rounding
    assert main(tmp_path / "whole", *split) == 0
    train_steps = trainer.train_population

    def asked_to_stop(*arguments, until, mapping, **others):
        assert mapping.devices == 4
        if until == 100:
            os.kill(os.getpid(), signal.SIGTERM)
        return train_steps(*arguments, until=until, mapping=mapping, **others)

    with monkeypatch.context() as patch:
        patch.setattr(trainer, "train_population", asked_to_stop)
        assert main(tmp_path / "parts", *split) == 143
    done = commands.run(tmp_path / "parts", *split, JAX_NUM_CPU_DEVICES="1")
    assert done.returncode == 0, done.stderr
    assert "120 steps from 100" in done.stdout
    names = ("whole", "parts")
    (there,), (here,) = (read_results(tmp_path / name / "results.csv") for name in names)
    assert (here.layers, here.sparsity_act) == (there.layers, there.sparsity_act)
    assert here.test_loss == pytest.approx(there.test_loss, rel=1e-2)
    before, after = (
        read_measurements(tmp_path / name / "runs" / here.run / "measure.npz").gamma
        for name in names
    )
    for layer, gamma in before.items():
        np.testing.assert_allclose(after[layer], gamma, rtol=1e-3)
        assert gamma[-1].std() > 1e-3  # they have moved


def test_killed_runs_killed_pairs_and_jumping_clocks_change_nothing():
    script = Path(__file__).with_name("matrix.py")
    kinds = ("single", "pair", "clocks")
    done = subprocess.run(
        [sys.executable, str(script), "--short", "--jobs=1", "--only", *kinds],
        env={**os.environ, "PYTHONWARNINGS": "error,ignore:the load_module:DeprecationWarning"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    rows = [line.split() for line in done.stdout.splitlines()[1:4]]
    tried = [next(int(word) for word in row if word.isdigit()) for row in rows]
    assert tried == [1, 1, 1]


def test_damaged_files_are_never_believed(tmp_path):
    counts = corruption_trials.run_trials(24, seed=5, folder=tmp_path)
    assert counts["trials"] == 24
    assert counts.get("silently wrong", 0) == 0
    assert counts["repaired"] > 0


def test_odd_input_is_read_or_refused(tmp_path, capsys):
    counts = fuzz_trials.run_trials(2000, seed=0, folder=tmp_path)
    assert counts["crashed"] == 0, capsys.readouterr().out
    assert min(counts["refused"], counts["accepted"]) > 100


def test_odd_checkpoints_are_audited_or_refused(tmp_path, capsys):
    counts = audit_trials.run_trials(400, seed=3, folder=tmp_path)
    assert counts["crashed"] == 0, capsys.readouterr().out
    assert min(counts["refused"], counts["answered"]) > 50


def test_a_vanished_workdir_and_a_held_one_are_named(tmp_path, monkeypatch, capsys):
    import shutil

    train_steps = trainer.train_population

    def vanishing(*arguments, until, mapping, **others):
        state = train_steps(*arguments, until=until, mapping=mapping, **others)
        shutil.rmtree(tmp_path / "gone")
        return state

    with monkeypatch.context() as patch:
        patch.setattr(trainer, "train_population", vanishing)
        assert main(tmp_path / "gone") == 2
    assert "vanished" in capsys.readouterr().err
    with lock.hold(tmp_path / "held"):
        assert main(tmp_path / "held") == 2
    assert f"process {os.getpid()}" in capsys.readouterr().err


def test_a_run_that_diverges_names_the_steps_and_ends_there_resumed_or_not(tmp_path, capsys):
    assert main(tmp_path / "run", "--config.learning_rate=1e30") == 0
    assert "diverged between steps 0 and 30" in capsys.readouterr().out
