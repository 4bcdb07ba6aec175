"""A run that two grids share is trained once, when they are given one store."""

import csv
import sys
from pathlib import Path
from unittest import mock

import pytest

from sparsity_jax import fitting, report
from sparsity_jax import main as command

CONFIG = """
from sparsity_jax.settings import default_config


def get_config(arg=None):
    config = default_config()
    config.name = "shared"
    config.renderings.update(classes=3, size=8, train_views=96, test_views=24)
    config.width = "0.0625"
    config.pool_after = (1, 3)
    config.epochs = 4.0
    config.drops = ()
    config.evaluations = 2
    config.latency_seconds = 0.0
    config.store = "store"
    if arg == "wide":
        config.sweep = ({}, {"optimizer": "sgd"})
    return config
"""


@pytest.fixture(autouse=True)
def _here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(report, "build", lambda workdir: Path(workdir, "report.html").touch())
    monkeypatch.setattr(report, "table", lambda workdir: "")
    Path("shared.py").write_text(CONFIG)


def main(*flags: str) -> int:
    with mock.patch.object(sys, "argv", ["main", *flags]):
        return command.main()


def rows(workdir: str) -> list:
    with (Path(workdir) / "results.csv").open() as file:
        return list(csv.DictReader(file))


def test_a_run_of_another_grid_is_taken_from_the_store(monkeypatch, capsys):
    assert main("--config=shared.py:wide", "--workdir=first") == 0
    assert "taken from" not in capsys.readouterr().out
    assert len(list(Path("store").iterdir())) == 2
    with monkeypatch.context() as patch:
        patch.setattr(fitting, "advance_members", None)  # would fail if anything were trained
        assert main("--config=shared.py", "--workdir=second") == 0
    assert "trained before, taken from store" in capsys.readouterr().out
    assert rows("second") == rows("first")[:1]
    assert (Path("second") / "history.jsonl").read_text().count("\n") == 2
    assert main("--config=shared.py", "--workdir=second") == 0  # finished: only the table again


def test_without_a_store_everything_is_trained_anew(capsys):
    assert main("--config=shared.py", "--workdir=first") == 0
    assert main("--config=shared.py", "--workdir=second", "--config.store=elsewhere") == 0
    assert "taken from" not in capsys.readouterr().out
