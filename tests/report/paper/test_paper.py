"""Published numbers are matched and judged as stated; the paper's own tables are the oracle."""

from __future__ import annotations

import csv
import dataclasses
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sparsity_jax import report
from sparsity_jax.report.aggregate import Spread
from sparsity_jax.report.loading import Records
from sparsity_jax.report.page import paper as paper_sections
from sparsity_jax.report.paper.compare import (
    CellComparison,
    compare,
    encode,
    judge,
    rounding,
    tolerance,
)
from sparsity_jax.report.paper.published import match_key, published
from sparsity_jax.storage.config_record import ConfigRecord
from sparsity_jax.storage.results import RunResult, write_results


def _row(**changes: object) -> RunResult:
    base = RunResult(
        "adam_l2_1e-04_b40_seed0", "CIFAR100", "BasicNet", "adam", "l2", 1e-4, 40,
        test_error=36.9, sparsity_gamma=48.0, layers=(41.0, 20.0, 9.0, 33.0, 34.0, 67.0, 55.0),
    )  # fmt: skip
    return dataclasses.replace(base, **changes)  # pyright: ignore[reportArgumentType]


def test_all_158_rows_are_there_with_the_numbers_of_the_prose() -> None:
    rows = published()
    assert len(rows) == 158
    adam = {match_key(r.row): r.row for r in rows if r.table == "1"}[match_key(_row())]
    assert (adam.test_error, adam.sparsity_gamma) == (36.6, 47)
    assert {r.row.optimizer for r in rows} >= {"sgd", "adam", "amsgrad", "adamax", "rmsprop"}


@pytest.mark.parametrize(
    ("ours", "tables"),
    [
        ({}, {"1", "2", "3", "6", "S2", "S3"}),
        ({"variant": "width=64-0.5x"}, {"6"}),
        ({"variant": "leaky_relu_0.01"}, {"S2"}),
        ({"batch_size": 160}, {"3"}),
        ({"strength": 0.0, "regularizer": "none"}, {"1"}),
        ({"strength": 3e-4}, set()),
        ({"variant": "width=0.25"}, set()),
        ({"dataset": "renderings"}, set()),
        ({"status": "failed"}, set()),
    ],
)
def test_rows_match_by_what_they_are(ours: dict, tables: set[str]) -> None:
    found = {item.published.table for item in compare([_row(**ours)]) if item.group}
    assert found == tables


@pytest.mark.parametrize(("printed", "half"), [("36.6", 0.05), ("70", 0.5), ("0.06", 0.005)])
def test_rounding_is_half_the_last_digit(printed: str, half: float) -> None:
    assert rounding(printed) == pytest.approx(half)


@given(st.floats(0, 100), st.floats(0, 5), st.floats(0.1, 5), st.floats(0.1, 60))
def test_verdicts_follow_the_stated_rule(
    mean: float, std: float, tolerance: float, at: float
) -> None:
    printed = f"{at:.1f}"
    verdict = judge(printed, Spread(mean, std, 4), tolerance)
    allowed = max(0.05, tolerance)
    apart = abs(mean - float(printed))
    if min(abs(apart - allowed), abs(apart - 2 * allowed), abs(std - allowed)) > 1e-6:
        expected = "agrees" if apart < allowed else "close" if apart < 2 * allowed else "differs"
        assert verdict == ("too noisy" if std > allowed else expected)


@given(st.floats(0, 100), st.floats(0, 40), st.floats(0, 40), st.integers(2, 5))
def test_more_spread_never_gives_a_better_verdict(
    mean: float, std: float, more: float, n: int
) -> None:
    before = judge("70", Spread(mean, std, n), 3.0)
    assert judge("70", Spread(mean, std + more, n), 3.0) in (before, "too noisy")


@pytest.mark.parametrize(
    ("column", "printed", "ours", "verdict"),
    [
        ("train_loss", "0.01", 0.11, "differs"),
        ("train_loss", "1.06", 1.3, "agrees"),
        ("test_loss", "0.43", 0.55, "close"),
        ("sparsity_gamma", "0", 0.9, "agrees"),
        ("sparsity_gamma", "0", 1.0, "close"),
        ("sparsity_gamma", "0", 9.0, "differs"),
        ("c6", "0", 6.0, "differs"),
        ("c6", "67", 72.0, "agrees"),
        ("features_pruned", "140", 71.0, "differs"),
        ("features_pruned", "71", 85.0, "agrees"),
        ("features_pruned", "3016", 2600.0, "agrees"),
    ],
)
def test_losses_and_counts_are_relative_and_zero_is_below_one(
    column: str, printed: str, ours: float, verdict: str
) -> None:
    assert judge(printed, Spread(ours, float("nan"), 1), tolerance(column, printed)) == verdict


def test_seeds_that_disagree_agree_with_nothing() -> None:
    rows = [_row(sparsity_gamma=20.0, strength=1e-4), _row(seed=1, sparsity_gamma=74.0)]
    (cell,) = [c for c in _compared(rows, "1") if c.column == "sparsity_gamma"]
    assert (cell.ours.mean, cell.verdict) == (47.0, "too noisy")


def test_a_row_of_which_most_runs_diverged_agrees_with_nothing() -> None:
    gone = [_row(seed=i, status="diverged") for i in (1, 2)]
    assert {c.verdict for c in _compared([_row(), *gone], "1") if c.ours.n} == {"diverged"}
    (item,) = [i for i in compare([_row(), *gone]) if i.group and i.published.table == "1"]
    assert item.survivors == "1 of 3 finished"
    assert "agrees" in {c.verdict for c in _compared([_row(), _row(seed=2), gone[0]], "1")}


def test_counts_of_filters_are_compared() -> None:
    row = _row(
        dataset="ImageNet", network="VGG-11", batch_size=60, variant="lr=0.0001", features_pruned=90
    )
    (cell,) = _compared([row], "9")
    assert (cell.column, cell.verdict) == ("features_pruned", "close")


def _compared(rows: list[RunResult], table: str) -> list[CellComparison]:
    items = [item for item in compare(rows) if item.group and item.published.table == table]
    return [cell for item in items for cell in item.cells]


def test_nothing_run_is_not_judged() -> None:
    assert judge("1.0", Spread(float("nan"), float("nan"), 0), 1.0) == "not run"


@pytest.mark.parametrize(
    ("steps", "verdict"), [(1, "shortened"), (400_000, "shortened"), (812_500, "lengthened")]
)
def test_runs_of_another_length_are_never_judged(steps: int, verdict: str) -> None:
    judged = [item for item in compare([_row(steps=steps)]) if item.group]
    assert {cell.verdict for item in judged for cell in item.cells} <= {verdict, "not run"}
    assert all(item.length.startswith(verdict) for item in judged)


def test_beside_full_length_runs_shortened_ones_do_not_count() -> None:
    rows = [_row(steps=406_250), _row(run="s", seed=1, steps=10, test_error=99.0)]
    assert {cell.verdict for cell in _compared(rows, "1") if cell.ours.n} == {"agrees"}


def test_another_schedule_is_not_the_papers_experiment() -> None:
    for variant in ("drops=none", "reference_batch=4000"):
        assert not any(item.group for item in compare([_row(variant=variant)]))


def test_the_paper_agrees_with_itself(paper: list[RunResult]) -> None:
    """Rows printed in several tables average to themselves: no cell differs."""
    judged = [cell for item in compare(paper) if item.group for cell in item.cells]
    assert len(judged) > 400
    assert {cell.verdict for cell in judged} == {"agrees"}


def test_compare_csv_tells_published_ours_and_the_difference() -> None:
    rows = [_row(), _row(run="b", seed=1, test_error=37.1)]
    lines = list(csv.DictReader(io.StringIO(encode(compare(rows)))))
    line = next(x for x in lines if x["table"] == "1" and x["column"] == "test_error")
    assert (line["published"], line["ours"], line["n"]) == ("36.6", "37.00", "2")
    assert (line["difference"], line["verdict"]) == ("0.40", "agrees")


def test_the_page_warns_of_shortened_runs_and_colours_full_ones() -> None:
    full = paper_sections.comparison(Records("x", (_row(),)))
    assert "shortened" not in full
    assert "near" in full
    config = ConfigRecord({"scale": 0.1})
    short = paper_sections.comparison(Records("x", (_row(),), config=config))
    assert "shortened to 10 % of the paper's length" in short
    assert "near" not in short


def test_a_copy_of_the_data_is_compared_and_named() -> None:
    text = paper_sections.comparison(Records("x", (_row(dataset="cifar10_jpeg"),)))
    assert "cifar10_jpeg, a copy of CIFAR10" in text
    assert "a copy of" not in paper_sections.comparison(Records("x", (_row(),)))


def test_compare_csv_has_a_header_alone_where_nothing_is_published(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr("sparsity_jax.report.figures.registry.DRAWINGS", ())
    write_results(tmp_path / "results.csv", [_row()])
    assert "Beside the paper" in report.build(tmp_path).read_text()
    assert len((tmp_path / "compare.csv").read_text().splitlines()) > 10
    write_results(tmp_path / "results.csv", [_row(dataset="mine")])
    report.build(tmp_path)
    assert len((tmp_path / "compare.csv").read_text().splitlines()) == 1
