"""Claims about gamma, beta and selectivity, on measurements made up to be right and wrong."""

from __future__ import annotations

import dataclasses

import pytest
from claim_measures import (
    BATCH,
    BETAS,
    GAMMAS,
    HARDER,
    RIGHT,
    ROWS,
    SELECTIVE,
    SOME,
    STAYS,
    THRESHOLDS,
    WRONG,
    measure,
)

from sparsity_jax.report.paper.claims import check
from sparsity_jax.storage.measurements import Measurements


def _outcomes(measures: dict[str, Measurements], *left_out: str) -> dict[str, str]:
    rows = [row for name, row in ROWS.items() if name not in left_out]
    return {claim.claim: claim.outcome for claim in check(rows, measures=measures)}


@pytest.mark.parametrize(("claim", "wrong"), WRONG)
def test_a_claim_passes_on_the_papers_world_and_fails_on_another(
    claim: str, wrong: dict[str, Measurements]
) -> None:
    assert _outcomes(RIGHT)[claim] == "pass"
    assert _outcomes(RIGHT | wrong)[claim] == "fail"


def test_dead_filters_have_no_sign_and_no_selectivity() -> None:
    """With nine tenths inactive, the others decide."""
    assert _outcomes(RIGHT | {"adam": measure(dead=90)})[SELECTIVE] == "pass"
    assert _outcomes(RIGHT | {"adam": measure(dead=90, universality=60.0)})[SELECTIVE] == "fail"
    assert _outcomes(RIGHT | {"adam": measure(dead=90)})[BETAS] == "pass"


def test_without_measurements_or_without_one_side_nothing_is_testable() -> None:
    claims = (GAMMAS, BETAS, SOME, SELECTIVE, STAYS, HARDER, BATCH, THRESHOLDS)
    assert {_outcomes({})[claim] for claim in claims} == {"not testable"}
    without_sgd = _outcomes(RIGHT, "sgd", "sgd_strong")
    assert {without_sgd[claim] for claim in (GAMMAS, SOME, SELECTIVE, STAYS)} == {"not testable"}


def test_files_without_peaks_tell_nothing_of_the_other_threshold() -> None:
    older = {name: dataclasses.replace(each, peak={}) for name, each in RIGHT.items()}
    assert _outcomes(older)[THRESHOLDS] == "not testable"
