"""The commands of `python -m sparsity_jax.report`, their errors, and pipes that close early."""

from __future__ import annotations

import dataclasses
import os
import subprocess
import sys
from pathlib import Path

import fake_workdir
import pytest

from sparsity_jax.report import __main__ as command
from sparsity_jax.report.paper import calibration, reproduced
from sparsity_jax.storage.config_record import ConfigRecord, write_record
from sparsity_jax.storage.results import read_results, write_results

SHORT, FULL = 48_750, 406_250


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


@pytest.fixture
def full_length(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A made-up workdir of Table 6's narrowest network, of full length, beside an empty record."""
    path = tmp_path / "reproduced.csv"
    path.write_text(reproduced.encode(()))
    monkeypatch.setattr(reproduced, "record_path", lambda: path)
    fake = fake_workdir.Fake("adam", "l2", 1e-4, 0.2, variant="width=32-0.25x", dataset="CIFAR10")
    workdir = tmp_path / "full"
    rows = fake_workdir.write(workdir, (fake,), evaluations=4)
    write_results(workdir / "results.csv", [dataclasses.replace(row, steps=FULL) for row in rows])
    config = {"data": "cifar10", "network": "BasicNet", "epochs": 325.0, "scale": 1.0, "sweep": []}
    command = "python -m sparsity_jax.main --config=configs/table6.py:cifar10 --workdir=full"
    write_record(workdir, ConfigRecord(config, devices=("cpu",), commit="abc", command=command))
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


def test_full_length_runs_stand_beside_the_published_rows_and_are_entered_once(full_length, capsys):
    assert command.main(["reproduced"]) == 0
    assert "No full-length run of the paper is on record." in capsys.readouterr().out
    assert command.main(["reproduced", str(full_length)]) == 0
    out = capsys.readouterr().out
    assert "13.4" in out
    assert "table6.py:cifar10): " in out
    assert "h on 1 x cpu" in out
    assert reproduced.reproduced() == ()
    for entered in (1, 0):
        assert command.main(["reproduced", str(full_length), "--enter"]) == 0
        assert f"{entered} runs entered" in capsys.readouterr().out
    (entry,) = reproduced.reproduced()
    assert (entry.config, entry.commit, entry.row.steps) == ("table6.py:cifar10", "abc", FULL)
    assert entry.row == read_results(full_length / "results.csv")[0]
    assert command.main(["reproduced"]) == 0
    assert "13.4" in capsys.readouterr().out


def test_a_closed_pipe_loses_no_picture_row_or_report(screening, full_length, monkeypatch):
    monkeypatch.setattr("sparsity_jax.report.figures.registry.DRAWINGS", ())
    picture = screening.with_name("made.png")
    for asked in (
        ["calibration", str(screening), "--enter", f"--out={picture}"],
        ["reproduced", str(full_length), "--enter"],
        [str(screening), str(full_length)],
    ):
        reading, writing = os.pipe()
        os.close(reading)
        with os.fdopen(writing, "w", buffering=1) as closed:
            monkeypatch.setattr(sys, "stdout", closed)
            assert command.main(asked) == 0
    assert len(calibration.recorded()) == 2
    assert len(reproduced.reproduced()) == 1
    assert picture.exists()
    assert all((workdir / "report.html").exists() for workdir in (screening, full_length))


def test_shortened_runs_are_not_entered(screening, capsys, tmp_path, monkeypatch):
    path = tmp_path / "reproduced.csv"
    monkeypatch.setattr(reproduced, "record_path", lambda: path)
    assert command.main(["reproduced", str(screening), "--enter"]) == 2
    assert "only " in capsys.readouterr().err
    assert not path.exists()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "PATH"),
        (["nowhere"], "there is no nowhere"),
        (["--what"], "PATH"),
        (["--json"], "PATH"),
        (["calibration", "--enter"], "--enter needs the workdirs"),
        (["calibration", "nowhere"], "nowhere is not a folder"),
        (["reproduced", "--enter"], "--enter needs the workdirs"),
        (["reproduced", "nowhere"], "nowhere is not a folder"),
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
