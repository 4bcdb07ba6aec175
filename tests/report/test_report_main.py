"""The commands of `python -m sparsity_jax.report`, their errors, and pipes that close early."""

from __future__ import annotations

import dataclasses
import subprocess
import sys
from pathlib import Path

import fake_workdir
import pytest

from sparsity_jax.report import __main__ as command
from sparsity_jax.report.paper import calibration
from sparsity_jax.storage.results import read_results, write_results

SHORT = 48_750


@pytest.fixture
def screening(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A made-up workdir of configs/calibration.py:literal, shortened, beside an empty record."""
    record = tmp_path / "calibration.csv"
    monkeypatch.setattr(calibration, "record_path", lambda: record)
    fakes = tuple(
        fake_workdir.Fake("adam", "l2", 1e-4, 0.2, variant="width=32-0.25x", dataset=dataset)
        for dataset in ("CIFAR10", "CIFAR100")
    )
    workdir = tmp_path / "screen"
    rows = fake_workdir.write(workdir, fakes, evaluations=4)
    write_results(workdir / "results.csv", [dataclasses.replace(row, steps=SHORT) for row in rows])
    return workdir


def test_reports_are_made_again_and_their_tables_printed(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("sparsity_jax.report.figures.registry.DRAWINGS", ())
    for name in ("a", "b"):
        fake_workdir.write(tmp_path / name, fake_workdir.QUICKSTART[:1], evaluations=4)
    assert command.main([str(tmp_path / "a"), str(tmp_path / "b")]) == 0
    out = capsys.readouterr().out
    for name in ("a", "b"):
        assert str(tmp_path / name / "report.html") in out
        assert (tmp_path / name / "report.html").exists()
        row = read_results(tmp_path / name / "results.csv")[0]
        assert f"{row.test_error:.2f}" in out


def test_candidates_are_compared_and_entered_once(screening: Path, capsys):
    assert command.main(["calibration", str(screening)]) == 0
    assert "shortened to 12 %" in capsys.readouterr().out
    assert calibration.recorded() == ()
    assert command.main(["calibration", str(screening), "--enter"]) == 0
    assert "2 runs entered" in capsys.readouterr().out
    assert [entry.length for entry in calibration.recorded()] == [SHORT, SHORT]
    assert command.main(["calibration", str(screening), "--enter"]) == 0
    assert "0 runs entered" in capsys.readouterr().out
    assert command.main(["calibration"]) == 0
    assert "literal" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "PATH"),
        (["nowhere"], "there is no nowhere"),
        (["--what"], "PATH"),
        (["--json"], "PATH"),
        (["calibration", "--enter"], "--enter needs the workdirs"),
        (["calibration", "nowhere"], "nowhere is not a folder"),
        (["."], "neither config.json nor results.csv"),
        (["nowhere.csv", "--json"], "there is no nowhere.csv"),
    ],
)
def test_wrong_input_is_one_line_and_code_two(arguments, said, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert command.main(arguments) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ")
    assert said in error
    assert error.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_runs_of_another_experiment_are_no_candidates(tmp_path, capsys):
    fake_workdir.write(tmp_path / "a", fake_workdir.QUICKSTART[:1], evaluations=4)
    assert command.main(["calibration", str(tmp_path / "a")]) == 2
    assert "no run of configs/calibration.py" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["", *command.COMMANDS])
def test_every_command_has_help(name, capsys):
    with pytest.raises(SystemExit) as ended:
        command.main([*([name] if name else []), "--help"])
    assert ended.value.code == 0
    out = capsys.readouterr().out
    assert all(each in out for each in command.COMMANDS) or name


def test_a_closed_pipe_ends_quietly(screening: Path):
    asked = [sys.executable, "-m", "sparsity_jax.report", "calibration", str(screening)]
    with subprocess.Popen(asked, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout
        assert process.stderr
        process.stdout.close()
        assert process.stderr.read() == b""
    assert process.returncode == 0
