"""The command as a user types it: a whole small experiment, its resumption, and wrong input."""

import csv
import json
import os
import sys
from pathlib import Path
from unittest import mock

import numpy as np
import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from sparsity_jax import main as command
from sparsity_jax import report
from sparsity_jax.config.base import all_fields
from sparsity_jax.models import ConvNet
from sparsity_jax.storage.measurements import read_measurements
from sparsity_jax.storage.models import load_model
from sparsity_jax.storage.pruned import read_pruned
from sparsity_jax.training import observe as observing
from sparsity_jax.training import trainer

CONFIG = """
from sparsity_jax.config import default_config

def get_config(arg=None):
    config = default_config()
    config.name = "small"
    config.renderings.update(classes=3, size=12, train_views=120, test_views=30)
    config.width = "0.0625"
    config.pool_after = (1, 3)
    config.epochs = 4.0
    config.drops = ((3.0, 0.1),)
    config.evaluations = 4
    config.strength = 0.05
    config.latency_seconds = 0.05
    config.sweep = ({"optimizer": "adam"}, {"optimizer": "sgd", "regularizer": "none"})
    return config
"""


def main(arguments: list[str]) -> int:
    with mock.patch.object(sys, "argv", ["main", *arguments]):
        return command.main()


@pytest.fixture
def config(tmp_path, monkeypatch) -> str:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SPARSITY_JAX_DATA", str(tmp_path.parent / "data"))
    Path("small.py").write_text(CONFIG)
    return "--config=small.py"


@pytest.fixture
def no_pictures(monkeypatch):
    """An empty report: its pictures take longer than these runs."""
    monkeypatch.setattr(report, "build", lambda workdir: (workdir / "report.html").touch())


def read_rows(workdir: Path) -> list[dict[str, str]]:
    return list(csv.DictReader((workdir / "results.csv").read_text().splitlines()))


def files(folder: Path) -> dict[str, bytes]:
    """What must not depend on interruptions: everything but times and rendered pages."""
    rows = read_rows(folder)
    named = {f"{row['run']}/row": str({**row, "seconds": ""}).encode() for row in rows}
    named["history"] = (folder / "history.jsonl").read_bytes()
    for path in sorted(folder.glob("runs/*/*.npz")) + sorted(folder.glob("runs/*/pruned/*")):
        named[str(path.relative_to(folder))] = path.read_bytes()
    return named


def test_one_command_trains_measures_prunes_and_reports(config, capsys):
    assert main([config]) == 0
    said = capsys.readouterr().out
    workdir = Path("runs/small")
    for name in ("config.json", "results.csv", "history.jsonl", "report.html"):
        assert (workdir / name).stat().st_size > 0
    assert list((workdir / "figures").glob("*.png"))
    rows = {row["run"]: row for row in read_rows(workdir)}
    assert len(rows) == 2
    adam = next(name for name in rows if name.startswith("adam"))
    assert "test error" in said
    assert adam in said

    for name, row in rows.items():
        folder = workdir / "runs" / name
        measure, pruned = (
            read_measurements(folder / "measure.npz"),
            read_pruned(folder / "pruned.json"),
        )
        assert row["status"] == "finished"
        assert int(row["steps"]) == 12
        assert list(measure.step) == [3, 6, 9, 12]
        by_gamma = np.concatenate([abs(measure.gamma[c][-1]) < 1e-3 for c in measure.layers])
        assert float(row["sparsity_gamma"]) == pytest.approx(100 * by_gamma.mean(), abs=0.01)
        assert pruned.masked_test_error == pytest.approx(float(row["pruned_test_error"]), abs=0.01)
        assert pruned.max_logit_difference < 1e-4
        plan, variables = load_model(folder / "pruned")
        assert plan.filters == pruned.pruned.filters
        logits = ConvNet(plan).apply(variables, np.zeros((2, 12, 12, 1), np.float32))
        assert np.isfinite(np.asarray(logits)).all()

    lines = (workdir / "history.jsonl").read_text().splitlines()
    history = [json.loads(line) for line in lines]
    assert [record["step"] for record in history] == [3, 6, 9, 12] * 2
    assert [round(record["learning_rate"], 9) for record in history[:4]] == [1e-3] * 3 + [1e-4]


@pytest.mark.usefixtures("no_pictures")
def test_the_same_command_again_only_prints_the_table(config, capsys, monkeypatch):
    main([config])
    first = files(Path("runs/small"))
    capsys.readouterr()
    monkeypatch.setattr(trainer, "train_population", None)  # would fail if anything were trained
    assert main([config]) == 0
    assert "steps" not in capsys.readouterr().out.splitlines()[0]
    assert files(Path("runs/small")) == first


@pytest.mark.usefixtures("no_pictures")
@pytest.mark.parametrize("evaluations_before_the_end", [1, 2, 5])
def test_an_interrupted_run_ends_as_if_never_interrupted(
    config, evaluations_before_the_end, monkeypatch, capsys
):
    main([config, "--workdir=whole"])
    parts = [config, "--workdir=parts", "--config.checkpoint_seconds=0"]
    evaluate, left = observing.evaluate, [evaluations_before_the_end]

    def interrupted(*arguments, **keywords):
        left[0] -= 1
        if left[0] < 0:
            raise KeyboardInterrupt
        return evaluate(*arguments, **keywords)

    monkeypatch.setattr(observing, "evaluate", interrupted)
    assert main(parts) == 130
    assert "to go on: python -m sparsity_jax.main" in capsys.readouterr().err
    monkeypatch.setattr(observing, "evaluate", evaluate)
    assert main(parts) == 0
    assert "from" in capsys.readouterr().out
    assert files(Path("parts")) == files(Path("whole"))


@pytest.mark.usefixtures("no_pictures")
def test_a_tracked_run_shows_its_history_in_tensorboard(config):
    assert main([config, "--workdir=plain"]) == 0
    assert main([config, "--workdir=tracked", "--config.tracker=tensorboard"]) == 0
    assert files(Path("plain")) == {
        name: content
        for name, content in files(Path("tracked")).items()
        if "/tensorboard/" not in name
    }
    for row in read_rows(Path("tracked")):
        folder = Path("tracked", "runs", row["run"], "tensorboard")
        found = EventAccumulator(str(folder), size_guidance={"histograms": 0}).Reload()
        history = map(json.loads, Path("tracked", "history.jsonl").read_text().splitlines())
        lines = [line for line in history if line["run"] == row["run"]]
        for name, field in (("loss/test", "test_loss"), ("inactive/total", "sparsity_gamma")):
            told = [(event.step, event.value) for event in found.Scalars(name)]
            assert told == [(line["step"], pytest.approx(line[field])) for line in lines]
        assert len(found.Histograms("gamma/C1")) == len(lines)


def test_a_diverging_run_is_reported_and_the_next_one_trained(config, capsys):
    rates = "--config.learning_rate=1e30"
    assert main([config, rates]) == 0
    rows = read_rows(Path("runs/small"))
    assert [row["status"] for row in rows] == ["diverged", "diverged"]
    assert Path("runs/small/report.html").exists()
    assert "diverged" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--config.optimzer=sgd"], "nearest first: optimizer"),
        (["--config.lr=1"], "nearest first: learning_rate"),
        (["--config.lr", "1"], "nearest first: learning_rate"),
        (["--config.renderings.sise=8"], "nearest first: renderings.size"),
        (["--config.sweep=({'lr': 1},)"], "nearest first: learning_rate"),
        (["--config.sweep=({'renderings.sise': 8},)"], "nearest first: renderings.size"),
        (["--config.sweep=({'seeds': 0},)"], "at least 1"),
        (["--config.sweep=({'store': 'x'},)"], "set config.store"),
        (["--config.flip=perhaps"], "True or False"),
        (["--config.pool_after=C1"], "a tuple of integers"),
        (["--config.optimizer=lion"], "adam"),
        (["--config.data=mnist"], "renderings"),
        (["--config.data=folder:nowhere"], "nowhere"),
        (["--config.strength=-1"], "at least 0"),
        (["--config.batch_size=121"], "120 training images"),
        (["--config.batch_size=0"], "at least 1"),
        (["--config.epochs=nan"], "above 0"),
        (["--config.epochs=many"], "many"),
        (["--config.width=big"], "0.25"),
        (["--config.renderings.background=blue"], "cluttered"),
        (["--config.renderings.classes=1"], "30"),
        (["--config.network=VGG-16"], "larger images"),
        (["--config.seeds=0"], "at least 1"),
        (["--workdir=small.py"], "is a file"),
        (["stray"], "not a flag"),
        (["--wrokdir=x"], "valid are --workdir"),
    ],
)
def test_wrong_input_is_one_line_that_says_what_is_valid(config, arguments, said, capsys):
    assert main([config, *arguments]) == 2
    captured = capsys.readouterr()
    assert captured.err.startswith("error: ")
    assert captured.err.count("\n") == 1
    assert said in captured.err
    assert captured.out == ""
    assert not Path("runs").exists()


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        ([], "--config is missing"),
        (["--config=absent.py"], "'absent.py' is not a file"),
        (["--config=broken.py"], "NameError: name 'undefined' is not defined"),
        (["--config=broken.py:arg"], "NameError"),
        (["--config=empty.py"], "get_config"),
        (["--config=other.py"], "dict, not a ConfigDict"),
    ],
)
def test_a_missing_or_broken_config_is_one_line(config, flags, said, capsys):
    Path("broken.py").write_text("def get_config(arg=None):\n    return undefined\n")
    Path("empty.py").write_text("")
    Path("other.py").write_text("def get_config():\n    return {}\n")
    assert main(flags) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert said in error


@pytest.mark.usefixtures("no_pictures")
def test_a_workdir_of_another_config_is_refused_by_field_and_can_be_overwritten(config, capsys):
    main([config])
    before = files(Path("runs/small"))
    Path("runs/small/mine.txt").write_text("keep me")
    assert main([config, "--config.strength=0.01"]) == 2
    said = capsys.readouterr().err
    assert "strength: 0.05 there, 0.01 now" in said
    assert said.endswith("--config.strength=0.05 to go on with it, or --overwrite to start anew\n")
    assert main([config, "--config.strength=0.05"]) == 0
    assert files(Path("runs/small")) == before
    assert main([config, "--config.strength=0.01", "--overwrite"]) == 0
    assert files(Path("runs/small")) != before
    assert Path("runs/small/mine.txt").read_text() == "keep me"


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="needs a file system that refuses")
def test_an_unwritable_workdir_is_named(config, capsys):
    assert main([config, "--workdir=/proc/self/nothing"]) == 2
    assert "cannot be written to" in capsys.readouterr().err


def test_help_shows_how_to_use_it(capsys):
    assert main(["--help"]) == 0
    said = capsys.readouterr().out
    for word in ("--config", "--workdir", "--overwrite", "--config.strength", *all_fields()):
        assert word in said
    assert max(map(len, said.splitlines())) <= 100


@pytest.mark.usefixtures("no_pictures")
def test_fields_reach_the_run_names(config):
    assert main([config, "--config.scale=0.26", "--config.seeds=2"]) == 0
    names = sorted(os.listdir("runs/small/runs"))
    assert len(names) == 4
    assert sum(name.endswith("seed1") for name in names) == 2
