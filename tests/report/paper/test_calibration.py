"""Calibration candidates: identities, distances, ranking, and the record that grows by entering."""

from __future__ import annotations

import dataclasses
import json
import math
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sparsity_jax.config.calibration import CANDIDATES
from sparsity_jax.errors import UserError
from sparsity_jax.report.paper import calibration, candidates
from sparsity_jax.storage.config_record import ConfigRecord
from sparsity_jax.storage.results import RunResult

FULL = calibration.FULL_STEPS
RECORD = ConfigRecord({}, versions={"jax": "0.12"}, devices=("cpu", "cpu"), commit="abc")
positive = st.floats(0.01, 100)


def _row(dataset: str = "CIFAR10", variant: str = "", **changes: object) -> RunResult:
    parts = "+".join(part for part in ("width=32-0.25x", variant) if part)
    row = RunResult(
        "r", dataset, "BasicNet", "adam", "l2", 1e-4, 40, parts, steps=FULL, train_loss=0.22,
        test_loss=0.44, test_error=13.4, sparsity_act=23.0, sparsity_gamma=23.0,
        layers=(0.0, 0.0, 1.0, 2.0, 3.0, 4.0, 5.5), seconds=10.0,
    )  # fmt: skip
    return dataclasses.replace(row, **changes)  # pyright: ignore[reportArgumentType]


def _hundred(**changes: object) -> RunResult:
    """A run on CIFAR-100 that has exactly the published numbers, but for the changes."""
    published = {"train_loss": 0.51, "test_loss": 2.05, "test_error": 43.4, "sparsity_gamma": 0.0}
    return _row("CIFAR100", **(published | changes))


def _entries(*rows: RunResult) -> tuple[calibration.Entry, ...]:
    return calibration.entries(RECORD, rows, date="2026-01-31")


def test_every_candidate_has_runs_of_its_own_on_both_data_sets():
    identities = calibration._candidates()
    assert len(identities) == 2 * len(CANDIDATES)
    assert {candidate.name for candidate in identities.values()} == {c.name for c in CANDIDATES}


def test_rows_find_their_candidates_and_others_are_left_out():
    found = _entries(
        _row(),
        _row(variant="augment=pad_crop2"),
        _row("CIFAR100", "augment=pad_crop4+pool=1-3-4-5"),
        _row(strength=2e-4),
        _row(variant="augment=pad_crop3"),
        _row(batch_size=80),
        _row("renderings"),
    )
    names = [entry.candidate for entry in found]
    assert names == ["literal", "crop2", "pools1345_crop4", "l2_2e-4"]
    assert json.loads(found[1].settings) == {"augment": "pad_crop", "pad": 2}
    assert (found[2].dataset, found[0].device, found[0].versions) == (
        "CIFAR100", "2 x cpu", "jax 0.12",
    )  # fmt: skip


def test_the_targets_are_the_published_rows():
    rows = [target.row for target in calibration.targets().values()]
    assert [(r.dataset, r.train_loss, r.test_loss, r.test_error, r.sparsity_gamma) for r in rows] \
        == [("CIFAR10", 0.22, 0.44, 13.4, 23.0), ("CIFAR100", 0.51, 2.05, 43.4, 0.0)]  # fmt: skip


def test_the_published_numbers_are_at_distance_zero_and_units_count_one():
    exact = candidates.scores(_entries(_row(), _hundred()))[0]
    assert exact.distance == pytest.approx(0)
    off = _row(
        train_loss=0.22 * math.sqrt(2), test_loss=0.44 * 1.1, test_error=13.4 * 1.05,
        sparsity_gamma=26.0,
    )  # fmt: skip
    assert candidates.scores(_entries(off))[0].fits["CIFAR10"].distance == pytest.approx(1)


@given(positive, positive, st.floats(0.1, 100), st.floats(0, 100))
def test_a_distance_is_never_negative_and_a_ratio_counts_alike_both_ways(
    train: float, test: float, error: float, sparsity: float
):
    target = calibration.targets()["CIFAR10"].row
    ours = {"train_loss": train, "test_loss": test, "test_error": error, "sparsity_gamma": sparsity}
    there = calibration.parts(target, ours)
    assert min(there) >= 0
    back = calibration.parts(target, {**ours, "train_loss": target.train_loss**2 / train})
    assert back[0] == pytest.approx(there[0], abs=1e-6)


def test_a_candidates_distance_is_that_of_its_worse_data_set():
    bad = _hundred(variant="pooling=avg2", test_error=80.0)
    good_on_one = _entries(_row(variant="pooling=avg2"), bad)
    fair_on_both = _entries(_row(test_error=14.0), _hundred(test_error=45.0))
    ranked = candidates.scores([*good_on_one, *fair_on_both])
    assert [score.candidate for score in ranked] == ["literal", "avg2"]
    worse = ranked[1].fits["CIFAR100"].distance
    assert ranked[1].distance == worse > ranked[1].fits["CIFAR10"].distance


def test_one_data_set_alone_decides_nothing():
    alone = _entries(_row(variant="pooling=avg2"))
    both = _entries(_row(test_error=20.0), _hundred())
    ranked = candidates.scores([*alone, *both])
    assert [score.candidate for score in ranked] == ["literal", "avg2"]
    assert math.isnan(ranked[1].distance)
    assert "0.51 → -" in candidates.as_text(alone)


def test_shortened_runs_stand_apart_with_their_share_and_are_not_averaged_with_full_ones():
    short = _entries(_row(steps=48_750, test_error=30.0), _hundred(steps=48_750))
    full = _entries(_row(), _hundred())
    ranked = candidates.scores([*short, *full])
    assert [score.length for score in ranked] == [FULL, 48_750]
    assert ranked[0].distance == pytest.approx(0)
    above, _, below = candidates.as_text([*short, *full]).partition("do not decide")
    assert "shortened to 12 %" in below
    assert "shortened" not in above
    assert candidates.as_text(short).startswith("Of another length")


def test_a_diagnosis_is_called_one():
    assert "l2_2e-4 (diagnosis)" in candidates.as_text(_entries(_row(strength=2e-4)))
    assert "diagnosis)" not in candidates.as_text(_entries(_row()))


def test_seeds_are_averaged_and_an_experiment_counts_once():
    first, second = _row(test_error=13.0), _row(test_error=14.0, seed=1)
    again = dataclasses.replace(RECORD, commit="def")
    repeated = calibration.entries(again, (first,), date="2026-02-01")
    fit = candidates.scores([*_entries(first, second), *repeated])[0].fits["CIFAR10"]
    assert (fit.n, fit.means["test_error"]) == (2, 13.5)


def test_diverged_runs_and_unknown_numbers_give_no_distance():
    assert candidates.scores(_entries(_row(status="diverged", train_loss=math.nan))) == []
    unknown = candidates.scores(_entries(_row(sparsity_gamma=math.nan), _hundred()))[0]
    assert math.isnan(unknown.distance)
    assert candidates.as_text([]) == "no candidate has finished a run yet"


def test_entering_keeps_every_cell_and_enters_nothing_twice(tmp_path: Path):
    path = tmp_path / "calibration.csv"
    new = _entries(_row(train_loss=0.2019), _hundred(sparsity_act=math.nan), _row(status="failed"))
    assert calibration.enter(new, path) == 2
    written = path.read_bytes()
    assert calibration.encode(calibration.decode(written.decode())).encode() == written
    assert calibration.decode(written.decode())[0] == new[0]
    assert calibration.enter(new, path) == 0
    assert path.read_bytes() == written
    other = [dataclasses.replace(new[0], commit="def"), dataclasses.replace(new[0], seed=1)]
    assert calibration.enter(other, path) == 2
    assert path.read_bytes().startswith(written)


def test_a_record_that_cannot_be_written_is_refused_in_one_line(tmp_path: Path):
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match="checkout of the source"):
        calibration.enter(_entries(_row()), tmp_path / "file" / "calibration.csv")


def test_the_committed_record_reads():
    path = calibration.record_path()
    text = path.read_text() if path.exists() else calibration.encode(())
    assert calibration.encode(calibration.recorded()) == text
