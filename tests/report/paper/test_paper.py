"""Are published numbers matched and judged as stated, and do the claims tell true from false?

The paper's own tables are the oracle: every claim must pass on them, and fail on their opposite.
"""

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
from sparsity_jax.report.paper.claims import CLAIMS, check
from sparsity_jax.report.paper.compare import compare, encode, judge, rounding
from sparsity_jax.report.paper.published import match_key, published
from sparsity_jax.storage.config_record import ConfigRecord
from sparsity_jax.storage.results import RunResult, write_results


@pytest.fixture(scope="module")
def paper() -> list[RunResult]:
    """The published rows that are runs of this paper's own, as if we had run them."""
    return [
        dataclasses.replace(item.row, run=f"{i}")
        for i, item in enumerate(published())
        if item.row.regularizer and "universality" not in item.row.variant
    ]


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
        ({"status": "diverged"}, set()),
    ],
)
def test_rows_match_by_what_they_are(ours: dict, tables: set[str]) -> None:
    found = {item.published.table for item in compare([_row(**ours)]) if item.group}
    assert found == tables


@pytest.mark.parametrize(("printed", "half"), [("36.6", 0.05), ("70", 0.5), ("0.06", 0.005)])
def test_rounding_is_half_the_last_digit(printed: str, half: float) -> None:
    assert rounding(printed) == pytest.approx(half)


@given(st.floats(0, 100), st.floats(0, 5), st.floats(0.1, 5), st.floats(0, 60))
def test_verdicts_follow_the_stated_rule(
    mean: float, std: float, tolerance: float, at: float
) -> None:
    printed = f"{at:.1f}"
    verdict = judge(printed, Spread(mean, std, 3), tolerance)
    allowed = max(0.05, 2 * std, tolerance)
    apart = abs(mean - float(printed))
    if abs(apart - allowed) > 1e-6 and abs(apart - 3 * allowed) > 1e-6:
        expected = "agrees" if apart < allowed else "close" if apart < 3 * allowed else "differs"
        assert verdict == expected


def test_nothing_run_is_not_judged() -> None:
    assert judge("1.0", Spread(float("nan"), float("nan"), 0), 1.0) == "not run"


def test_shortened_runs_are_never_judged() -> None:
    judged = [item for item in compare([_row()], scale=0.1) if item.group]
    verdicts = {cell.verdict for item in judged for cell in item.cells}
    assert verdicts <= {"shortened", "not run"}
    assert "shortened" in verdicts


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


def test_every_claim_passes_on_the_papers_own_tables(paper: list[RunResult]) -> None:
    outcomes = {claim.claim: claim.outcome for claim in check(paper)}
    assert outcomes == {name: "pass" for name, _, _ in CLAIMS}


def test_every_claim_fails_on_a_world_turned_round(paper: list[RunResult]) -> None:
    """Where sparsity is 100 minus what it is and pruning costs 5 points, no claim holds."""
    turned = [
        dataclasses.replace(
            row, sparsity_gamma=100 - row.sparsity_gamma,
            layers=tuple(100 - pct for pct in row.layers),
            pruned_test_error=row.test_error + 5,
        )
        for row in paper
    ]  # fmt: skip
    passed = {claim.claim for claim in check(turned) if claim.outcome != "fail"}
    assert passed <= {"Leaky ReLU barely lowers sparsity"}  # it may raise it


def test_claims_without_their_runs_are_not_testable() -> None:
    assert {claim.outcome for claim in check([])} == {"not testable"}
    alone = {claim.claim: claim.outcome for claim in check([_row()])}
    assert alone["Adam is sparser than SGD at equal error"] == "not testable"


def test_runs_on_other_data_than_the_papers_are_checked_too() -> None:
    rows = [
        _row(run="a", dataset="renderings", test_error=1.6, sparsity_gamma=31.0),
        _row(run="b", dataset="renderings", optimizer="sgd", test_error=1.7, sparsity_gamma=1.5),
    ]
    outcomes = {claim.claim: claim.outcome for claim in check(rows)}
    assert outcomes["Adam is sparser than SGD at equal error"] == "pass"


@pytest.mark.parametrize(
    ("claim", "sparse", "dense"),
    [
        ("Harder tasks, less sparsity", "width=0.25+bg=clean", "width=0.25+bg=cluttered"),
        ("Narrower networks, less sparsity", "bg=clean", "width=0.25+bg=clean"),
        ("Narrower networks, less sparsity", "width=0.5", "width=0.25"),
        ("A slower gamma lowers it more", "bg=clean", "gamma_lr_scale=0.1+bg=clean"),
        ("Starting beta at 1 raises sparsity", "beta_init=1.0+bg=clean", "bg=clean"),
    ],
)
def test_claims_compare_one_part_of_a_variant(claim: str, sparse: str, dense: str) -> None:
    def outcome(first: str, second: str) -> str:
        rows = [
            _row(run="a", dataset="renderings", variant=first, sparsity_gamma=40.0),
            _row(run="b", dataset="renderings", variant=second, sparsity_gamma=20.0),
        ]
        return {checked.claim: checked.outcome for checked in check(rows)}[claim]

    assert outcome(sparse, dense) == "pass"
    assert outcome(dense, sparse) == "fail"


def test_the_page_warns_of_shortened_runs_and_colours_full_ones() -> None:
    full = paper_sections.comparison(Records("x", (_row(),)))
    assert "shortened" not in full
    assert "near" in full
    config = ConfigRecord({"scale": 0.1})
    short = paper_sections.comparison(Records("x", (_row(),), config=config))
    assert "shortened (scale 0.1)" in short
    assert "near" not in short


def test_a_copy_of_the_data_is_compared_and_named() -> None:
    text = paper_sections.comparison(Records("x", (_row(dataset="cifar10_jpeg"),)))
    assert "cifar10_jpeg, a copy of CIFAR10" in text
    assert "a copy of" not in paper_sections.comparison(Records("x", (_row(),)))


def test_compare_csv_is_written_only_for_published_runs(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr("sparsity_jax.report.figures.registry.DRAWINGS", ())
    write_results(tmp_path / "results.csv", [_row()])
    assert "Beside the paper" in report.build(tmp_path).read_text()
    assert (tmp_path / "compare.csv").exists()
    write_results(tmp_path / "results.csv", [_row(dataset="mine")])
    report.build(tmp_path)
    assert not (tmp_path / "compare.csv").exists()
