"""Progress off a terminal: a line at the start, then one every few seconds."""

import threading

import pytest

from sparsity_jax.data import progress
from sparsity_jax.data.progress import Bar, Heartbeat, still


@pytest.mark.parametrize(
    ("unit", "line"), [("B", "copying: 2/4 MB"), ("image", "copying: 2,000,000/4,000,000 images")]
)
def test_lines_tell_how_much_is_done(capsys, monkeypatch, unit, line):
    monkeypatch.setattr(progress, "LINE_EVERY", 0.0)
    with Bar("copying", total=4_000_000, unit=unit) as bar:
        bar.update(2_000_000)
    assert bar.done == 2_000_000
    assert capsys.readouterr().err.splitlines() == ["copying", line]


def test_what_is_short_is_one_line_and_what_is_hidden_none(capsys):
    with Bar("copying", total=None, unit="image") as bar:
        bar.update(1)
    assert capsys.readouterr().err == "copying\n"
    with Bar("copying", total=None, unit="image", shown=False) as bar:
        bar.update(1)
    assert capsys.readouterr().err == ""


def test_a_heart_beats_until_the_work_ends():
    before, beaten = threading.active_count(), threading.Event()
    with Heartbeat(beaten.set, every=0.01):
        assert beaten.wait(30)
    assert threading.active_count() == before


def test_a_heart_stops_when_nobody_reads():
    beats = []

    def beat() -> None:
        beats.append(1)
        raise BrokenPipeError

    with Heartbeat(beat, every=0.01) as heart:
        heart._thread.join(30)
        assert not heart._thread.is_alive()
    assert beats == [1]


def test_long_work_says_what_it_does(capsys, monkeypatch):
    monkeypatch.setattr(progress, "LINE_EVERY", 0.01)
    said = threading.Event()

    def doing() -> str:
        said.set()
        return "shuffling"

    with still(doing):
        assert said.wait(30)
    assert capsys.readouterr().err.startswith("shuffling, 0 s so far\n")
