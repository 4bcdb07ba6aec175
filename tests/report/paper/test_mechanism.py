"""Claims about gamma, beta and selectivity, on measurements made up to be right and wrong."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from sparsity_jax.report.paper.claims import check
from sparsity_jax.storage.measurements import Measurements
from sparsity_jax.storage.results import RunResult

LAYERS = tuple(f"C{i}" for i in range(1, 8))
FILTERS = 100


def _measure(
    *,
    dead: int = 0,
    negative_beta: float = 1.0,
    universality: float = 40.0,
    gamma: float = 0.5,
    weak: int = 0,
) -> Measurements:
    """Every layer alike: some filters inactive, some weak, the rest with a share of beta < 0."""
    gammas = np.full(FILTERS, gamma)
    gammas[:dead], gammas[dead : dead + weak] = 1e-6, 5e-3
    living = FILTERS - dead
    beta = np.full(FILTERS, 0.3)
    beta[dead : dead + round(negative_beta * living)] = -0.3
    gone = np.arange(FILTERS) < dead
    values = np.where(gone, 0.0, universality)
    peak = np.where(gone, 0.0, 1.0)
    return Measurements(
        np.array([1]), np.array([1.0]),
        dict.fromkeys(LAYERS, gammas[None]), dict.fromkeys(LAYERS, beta[None]),
        dict.fromkeys(LAYERS, gone), dict.fromkeys(LAYERS, gone),
        dict.fromkeys(LAYERS, values), dict.fromkeys(LAYERS, peak),
    )  # fmt: skip


def _row(name: str, **changes: object) -> RunResult:
    base = RunResult(
        name, "CIFAR10", "BasicNet", "adam", "l2", 1e-5, 40, test_error=10.0, sparsity_gamma=30.0
    )
    return dataclasses.replace(base, **changes)  # pyright: ignore[reportArgumentType]


ROWS = {
    "adam": _row("adam"),
    "batch": _row("batch", batch_size=160),
    "harder": _row("harder", dataset="CIFAR100"),
    "sgd": _row("sgd", optimizer="sgd", sparsity_gamma=0.0),
    "sgd_strong": _row("sgd_strong", optimizer="sgd", strength=5e-4, sparsity_gamma=0.0),
}
RIGHT = {
    "adam": _measure(dead=30),
    "batch": _measure(dead=10),
    "harder": _measure(dead=30, universality=60.0),
    "sgd": _measure(negative_beta=0.7, universality=55.0),
    "sgd_strong": _measure(negative_beta=0.7, universality=50.0),
}
GAMMAS, BETAS = "Adam and SGD learn positive gammas in C6", "Adam's betas are negative in C5 and C6"
SOME, SELECTIVE = (
    "Some of SGD's betas are positive",
    "In C6 Adam's filters are more selective than SGD's",
)
STAYS, HARDER = "A stronger L2 leaves SGD's C6 as it is", "Harder tasks, less selective filters"
BATCH, THRESHOLDS = (
    "A larger batch keeps more selective filters alive",
    "Higher thresholds give comparable sparsity",
)


def _outcomes(measures: dict[str, Measurements], *left_out: str) -> dict[str, str]:
    rows = [row for name, row in ROWS.items() if name not in left_out]
    return {claim.claim: claim.outcome for claim in check(rows, measures=measures)}


@pytest.mark.parametrize(
    ("claim", "wrong"),
    [
        (GAMMAS, {"adam": _measure(gamma=-0.5)}),
        (GAMMAS, {"sgd": _measure(gamma=-0.5)}),
        (BETAS, {"adam": _measure(negative_beta=0.8)}),
        (BETAS, {"adam": _measure(gamma=-0.5)}),
        (SOME, {"sgd": _measure(), "sgd_strong": _measure()}),
        (SELECTIVE, {"adam": _measure(universality=56.0)}),
        (SELECTIVE, {"adam": _measure(universality=54.5)}),
        (STAYS, {"sgd_strong": _measure(negative_beta=0.7, universality=30.0)}),
        (HARDER, {"harder": _measure(universality=30.0)}),
        (BATCH, {"batch": _measure(dead=50)}),
        (BATCH, {"batch": _measure(dead=30)}),
        (THRESHOLDS, {name: _measure(dead=30, weak=20) for name in ("adam", "batch", "harder")}),
    ],
)
def test_a_claim_passes_on_the_papers_world_and_fails_on_another(
    claim: str, wrong: dict[str, Measurements]
) -> None:
    assert _outcomes(RIGHT)[claim] == "pass"
    assert _outcomes(RIGHT | wrong)[claim] == "fail"


def test_dead_filters_have_no_sign_and_no_selectivity() -> None:
    """With nine tenths inactive, the others decide."""
    assert _outcomes(RIGHT | {"adam": _measure(dead=90)})[SELECTIVE] == "pass"
    assert _outcomes(RIGHT | {"adam": _measure(dead=90, universality=60.0)})[SELECTIVE] == "fail"
    assert _outcomes(RIGHT | {"adam": _measure(dead=90)})[BETAS] == "pass"


def test_without_measurements_or_without_one_side_nothing_is_testable() -> None:
    claims = (GAMMAS, BETAS, SOME, SELECTIVE, STAYS, HARDER, BATCH, THRESHOLDS)
    assert {_outcomes({})[claim] for claim in claims} == {"not testable"}
    without_sgd = _outcomes(RIGHT, "sgd", "sgd_strong")
    assert {without_sgd[claim] for claim in (GAMMAS, SOME, SELECTIVE, STAYS)} == {"not testable"}


def test_files_without_peaks_tell_nothing_of_the_other_threshold() -> None:
    older = {name: dataclasses.replace(each, peak={}) for name, each in RIGHT.items()}
    assert _outcomes(older)[THRESHOLDS] == "not testable"
