"""Inputs on which earlier rules passed vacuously, or on the reverse of what the paper says."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from claim_rows import BETA, CLUTTER, MINIATURE, NARROW, PERVERSE, SGD, made_up, run

from sparsity_jax.report.paper.claims import check
from sparsity_jax.storage.results import RunResult


def _outcome(claim: str, rows: Sequence[RunResult], **context: Any) -> str:
    return {each.claim: each.outcome for each in check(rows, **context)}[claim]


@pytest.mark.parametrize(("claim", "runs", "outcome"), PERVERSE)
def test_a_claim_passes_only_on_what_it_says(
    claim: str, runs: list[dict[str, Any]], outcome: str
) -> None:
    assert _outcome(claim, made_up(*runs)) == outcome


@pytest.mark.parametrize(
    ("claim", "sparse", "dense"),
    [
        (CLUTTER, "width=0.25+bg=clean", "width=0.25+bg=cluttered"),
        (NARROW, "bg=clean", "width=0.25+bg=clean"),
        (NARROW, "width=0.5", "width=0.25"),
        (BETA, "beta_init=1.0+bg=clean", "bg=clean"),
        ("A slower beta raises sparsity slightly", "beta_lr_scale=0.1+bg=clean", "bg=clean"),
    ],
)
def test_claims_compare_one_part_of_a_variant(claim: str, sparse: str, dense: str) -> None:
    for first, second, outcome in ((sparse, dense, "pass"), (dense, sparse, "fail")):
        runs = (run(40.0, variant=first, **MINIATURE), run(20.0, variant=second, **MINIATURE))
        assert _outcome(claim, made_up(*runs)) == outcome


def test_a_shortened_config_in_miniature_judges_nothing() -> None:
    rows = made_up(run(70.0, **MINIATURE), run(0.0, **MINIATURE, optimizer="sgd"))
    assert _outcome(SGD, rows) == "pass"
    assert _outcome(SGD, rows, scale=0.125) == "shortened"
