"""Inputs on which earlier rules passed vacuously, or on the reverse of what the paper says."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import pytest

from sparsity_jax.report.paper.claims import check
from sparsity_jax.storage.results import RunResult

NONE = "No regularizer, no sparsity (by gamma)"
SGD = "Adam is sparser than SGD at equal error"
WD = "With Adam, L2 is sparser than weight decay at equal error"
STRONGER = "Stronger regularization, more sparsity"
LEAKY, SLOW = "Leaky ReLU barely lowers sparsity", "A slower gamma lowers it more"
FREE, BETA = "Pruning inactive filters is free", "Starting beta at 1 raises sparsity"
NARROW, BATCH = "Narrower networks, less sparsity", "Larger batches, less sparsity"
AMSGRAD, HARDER = "AMSGrad is less sparse than Adam at equal error", "Harder tasks, less sparsity"
CLUTTER = "Clutter behind the objects, less sparsity"


def _rows(*changes: dict[str, Any]) -> list[RunResult]:
    base = RunResult(
        "", "CIFAR10", "BasicNet", "adam", "l2", 1e-4, 40, test_error=10.0, sparsity_gamma=0.0
    )
    return [dataclasses.replace(base, run=str(i), **each) for i, each in enumerate(changes)]


def _run(sparsity: float, error: Any = 10.0, **others: Any) -> dict[str, Any]:
    return {"sparsity_gamma": sparsity, "test_error": error, **others}


def _outcome(claim: str, rows: Sequence[RunResult], **context: Any) -> str:
    return {each.claim: each.outcome for each in check(rows, **context)}[claim]


NO_REGULARIZER = {"regularizer": "none", "strength": 0.0}
BAND = ({"optimizer": "adam"}, {"optimizer": "sgd"})
GROWING = [{"strength": 10.0**-power} for power in (6, 5, 4, 3)]
MINIATURE = {"dataset": "renderings"}


@pytest.mark.parametrize(
    ("claim", "runs", "outcome"),
    [
        # C1: one run without a regularizer, nothing sparse anywhere
        (NONE, [_run(0.0, **NO_REGULARIZER)], "not testable"),
        (NONE, [_run(0.0, **NO_REGULARIZER), _run(1.0)], "not testable"),
        (NONE, [_run(0.0, **NO_REGULARIZER), _run(30.0)], "pass"),
        (NONE, [_run(30.0, **NO_REGULARIZER), _run(30.0)], "fail"),
        # C2, C3, C4: one side has no run within the band
        (SGD, [_run(5.0), _run(95.0, 11.6, optimizer="sgd")], "not testable"),
        (SGD, [_run(70.0, 12.0), _run(0.0, optimizer="sgd")], "not testable"),
        (SGD, [_run(70.0, 11.0), _run(0.0, optimizer="sgd")], "pass"),
        (SGD, [_run(0.0), _run(0.0, optimizer="sgd")], "not testable"),
        (WD, [_run(5.0), _run(95.0, 11.6, regularizer="wd")], "not testable"),
        # C5: everything at chance level
        (SGD, [_run(70.0, 90.0), _run(0.0, 90.0, optimizer="sgd")], "not testable"),
        (WD, [_run(70.0, 90.0), _run(0.0, 90.0, regularizer="wd")], "not testable"),
        (FREE, [_run(70.0, 90.0, pruned_test_error=90.0)], "not testable"),
        # C6: falling and flat with growing strength
        (STRONGER, [{**_run(60.0 - 2 * i), **s} for i, s in enumerate(GROWING)], "fail"),
        (STRONGER, [{**_run(60.0), **s} for s in GROWING], "fail"),
        (STRONGER, [{**_run(60.0 + 2 * i), **s} for i, s in enumerate(GROWING)], "pass"),
        (STRONGER, [{**_run(1.0), **s} for s in GROWING], "not testable"),
        # C7: leaky takes all of it
        (LEAKY, [_run(9.0), _run(0.0, variant="leaky_relu_0.01")], "not testable"),
        (LEAKY, [_run(50.0), _run(10.0, variant="leaky_relu_0.01")], "fail"),
        # C8: slow gamma between plain and leaky, in miniature; and without leaky
        (SLOW, [_run(50.0, **MINIATURE, variant="width=0.25+bg=clean"),
                _run(10.0, **MINIATURE, variant="width=0.25+leaky_relu_0.01+bg=clean"),
                _run(45.0, **MINIATURE, variant="width=0.25+gamma_lr_scale=0.1+bg=clean")],
         "fail"),
        (SLOW, [_run(50.0), _run(20.0, variant="gamma_lr_scale=0.1")], "not testable"),
        # C9: explicit pruning with fine-tuning; C10: three and a half times the error
        (FREE, [_run(50.0, pruned_test_error=10.0, variant="baseline=l1_0.5+finetune=40")],
         "not testable"),
        (FREE, [_run(50.0, 0.2, pruned_test_error=0.7)], "fail"),
        (FREE, [_run(50.0, 10.0, pruned_test_error=10.3)], "pass"),
        (FREE, [_run(2.0, 10.0, pruned_test_error=10.0)], "not testable"),
        # C11: differences that print would round away
        (BETA, [_run(50.0), _run(50.01, variant="beta_init=1.0")], "fail"),
        (NARROW, [_run(50.0), _run(49.99, variant="width=64-0.5x")], "fail"),
        (BATCH, [_run(50.0), _run(50.0, batch_size=80)], "fail"),
        (AMSGRAD, [_run(30.01), _run(30.0, optimizer="amsgrad")], "fail"),
        (HARDER, [_run(30.01), _run(30.0, dataset="CIFAR100")], "fail"),
        (CLUTTER, [_run(30.5, **MINIATURE, variant="bg=clean"),
                   _run(30.0, **MINIATURE, variant="bg=cluttered")], "fail"),
        # C12: seeds that disagree
        (SGD, [*({**_run(s), "seed": i} for i, s in enumerate((0.0, 0.0, 30.0))),
               *({**_run(8.0, optimizer="sgd"), "seed": i} for i in range(3))], "too noisy"),
        # C13: shortened runs
        (SGD, [_run(70.0, steps=50_000), _run(0.0, optimizer="sgd", steps=50_000)], "shortened"),
        (SGD, [_run(70.0, steps=406_250), _run(0.0, optimizer="sgd", steps=50_000)],
         "not testable"),
    ],
)  # fmt: skip
def test_a_claim_passes_only_on_what_it_says(
    claim: str, runs: list[dict[str, Any]], outcome: str
) -> None:
    assert _outcome(claim, _rows(*runs)) == outcome


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
        runs = (_run(40.0, variant=first, **MINIATURE), _run(20.0, variant=second, **MINIATURE))
        assert _outcome(claim, _rows(*runs)) == outcome


def test_a_shortened_config_in_miniature_judges_nothing() -> None:
    rows = _rows(_run(70.0, **MINIATURE), _run(0.0, **MINIATURE, optimizer="sgd"))
    assert _outcome(SGD, rows) == "pass"
    assert _outcome(SGD, rows, scale=0.125) == "shortened"
