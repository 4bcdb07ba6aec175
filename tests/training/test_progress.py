"""Lines of work without steps: how long it takes, once it is long and at its end."""

from __future__ import annotations

import re
import threading

import pytest

from sparsity_jax.data import progress as beats
from sparsity_jax.training import progress
from sparsity_jax.training.progress import Progress, Stage, stage


def test_a_stage_ends_in_a_line_with_its_time(capsys):
    with stage("measuring"):
        pass
    assert re.fullmatch(r"measuring: \d+\.\d s\n", capsys.readouterr().out)
    with stage("loading", quiet=True):
        pass
    assert capsys.readouterr().out == ""


def test_what_fails_has_no_line(capsys):
    with pytest.raises(ValueError, match="broken"), stage("measuring"):
        raise ValueError("broken")
    assert capsys.readouterr().out == ""


def test_a_long_stage_tells_how_far_it_is(capsys, monkeypatch):
    monkeypatch.setattr(beats, "LINE_EVERY", 0.01)
    told = threading.Event()
    beat = Stage.beat

    def heard(shown: Stage) -> None:
        beat(shown)
        told.set()

    monkeypatch.setattr(Stage, "beat", heard)
    with stage("measuring") as shown:
        shown.note = "2,000/50,000 images"
        told.clear()
        assert told.wait(30)
    assert "measuring, 2,000/50,000 images, 0 s so far" in capsys.readouterr().out.splitlines()


def test_a_part_with_its_own_progress_silences_its_stage(capsys):
    with stage("pruning") as shown:
        with shown.silent():
            shown.beat()
        assert capsys.readouterr().out == ""
        shown.beat()
    assert capsys.readouterr().out.startswith("pruning, 0 s so far\npruning: ")


def test_compiling_and_evaluating_are_not_silent(capsys, monkeypatch):
    monkeypatch.setattr(beats, "LINE_EVERY", 0.01)
    monkeypatch.setattr(progress, "LINE_EVERY", 0.0)
    told = threading.Event()
    repeat = Progress._repeat

    def heard(shown: Progress) -> None:
        repeat(shown)
        told.set()

    monkeypatch.setattr(Progress, "_repeat", heard)
    with Progress("a", total=10) as shown:
        assert told.wait(30)
        shown.at(4, loss=0.5)
        told.clear()
        assert told.wait(30)
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "a: 10 steps"
    assert lines[1].startswith("a: 0/10, compiling, ")
    assert lines[-1].startswith("a: 4/10, loss 0.500, ")
