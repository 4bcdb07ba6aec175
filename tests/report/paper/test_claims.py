"""The claims on the paper's own tables, on worlds turned round, and under changes of no matter."""

from __future__ import annotations

import dataclasses
import random
from collections.abc import Callable, Sequence

import pytest

from sparsity_jax.report.paper import claims
from sparsity_jax.report.paper.claims import CLAIMS, check, encode
from sparsity_jax.report.paper.claims.low_gradient import CLAIMS as SIMULATED
from sparsity_jax.report.paper.claims.mechanism import CLAIMS as MECHANISM
from sparsity_jax.storage.results import RunResult

# Claims that two settings are alike, which a world of 100 minus everything leaves as they are.
ALIKE = {
    "With SGD, L2 and weight decay are alike": lambda row: row.regularizer == "wd",
    "Leaky ReLU barely lowers sparsity": lambda row: "leaky" in row.variant,
    "Starting beta slightly below 0 changes nothing": lambda row: "beta_init=-0" in row.variant,
}
NOT_IN_THE_TABLES = {claim.claim for claim in MECHANISM} | {
    "Zeroing inactive filters is free, marked by gamma or by activation",
    "VGG-19 is sparser than Network Slimming, at a slightly higher error",
}


def outcomes(rows: Sequence[RunResult]) -> dict[str, str]:
    return {claim.claim: claim.outcome for claim in check(rows)}


def turned(row: RunResult) -> RunResult:
    return dataclasses.replace(
        row, sparsity_gamma=100 - row.sparsity_gamma,
        layers=tuple(100 - pct for pct in row.layers), pruned_test_error=row.test_error + 5,
    )  # fmt: skip


def test_at_least_thirty_statements_are_covered_each_in_the_papers_words() -> None:
    assert len(CLAIMS) > 33
    assert len({claim.claim for claim in CLAIMS}) == len(CLAIMS)
    assert all(len(claim.sentence) > 20 and claim.where and claim.needs for claim in CLAIMS)


def test_every_claim_passes_on_the_papers_own_tables(paper: list[RunResult]) -> None:
    found = outcomes(paper)
    assert {name for name, outcome in found.items() if outcome != "pass"} == NOT_IN_THE_TABLES
    assert {found[name] for name in NOT_IN_THE_TABLES} == {"not testable"}


def test_no_claim_passes_on_a_world_turned_round(paper: list[RunResult]) -> None:
    """Where sparsity is 100 minus what it is and pruning costs 5 points."""
    passed = {name for name, o in outcomes([turned(row) for row in paper]).items() if o == "pass"}
    assert passed == set(ALIKE) | {claim.claim for claim in SIMULATED}


@pytest.mark.parametrize(("claim", "of_it"), ALIKE.items())
def test_what_is_alike_is_so_no_longer_when_one_side_changes(
    claim: str, of_it: Callable[[RunResult], bool], paper: list[RunResult]
) -> None:
    changed = [
        dataclasses.replace(row, sparsity_gamma=abs(row.sparsity_gamma - 40)) if of_it(row) else row
        for row in paper
    ]
    assert outcomes(changed)[claim] == "fail"


def test_simulated_claims_fail_when_the_optimizers_change_places(
    paper: list[RunResult], monkeypatch: pytest.MonkeyPatch
) -> None:
    real = claims.low_gradient.remaining
    monkeypatch.setattr(claims.low_gradient, "remaining", lambda *kind: 1 - real(*kind))
    found = outcomes(paper)
    assert {found[claim.claim] for claim in SIMULATED} == {"fail"}


@pytest.mark.parametrize("seed", range(3))
def test_the_order_of_rows_does_not_matter(paper: list[RunResult], seed: int) -> None:
    mixed = list(paper)
    random.Random(seed).shuffle(mixed)
    assert outcomes(mixed) == outcomes(paper)


NEW = {
    "at chance level": {"test_error": 90.0, "sparsity_gamma": 0.0, "strength": 5e-4},
    "diverged": {"status": "diverged", "seed": 1},
    "failed": {"status": "failed", "seed": 1},
    "baseline": {"variant": "baseline=l1_0.5", "sparsity_gamma": 0.0, "pruned_test_error": 30.0},
    "fine-tuned": {"variant": "finetune=40", "sparsity_gamma": 0.0, "pruned_test_error": 30.0},
    "slimmed": {"variant": "gamma_l1=1e-05", "sparsity_gamma": 0.0, "pruned_test_error": 30.0},
    "shortened": {"steps": 100, "sparsity_gamma": 0.0, "pruned_test_error": 30.0},
}


@pytest.mark.parametrize("kind", NEW)
def test_runs_that_say_nothing_change_no_outcome(paper: list[RunResult], kind: str) -> None:
    first = next(row for row in paper if (row.dataset, row.optimizer) == ("CIFAR10", "adam"))
    added = dataclasses.replace(first, run="new", **NEW[kind])
    assert outcomes([*paper, added]) == outcomes(paper)


def test_runs_noted_to_be_at_chance_level_are_left_out(paper: list[RunResult]) -> None:
    """On data of unknown classes only the note tells."""
    mine = [dataclasses.replace(row, dataset="mine") for row in paper if row.dataset == "CIFAR10"]
    assert outcomes(mine)["Stronger regularization, more sparsity"] == "pass"
    notes = {row.run: ("is at chance level: test error 90.0 %",) for row in mine}
    assert {claim.outcome for claim in check(mine, notes=notes)} == {"not testable"}


@pytest.mark.parametrize("world", [list, lambda rows: [turned(row) for row in rows]])
def test_noise_makes_no_claim_pass_and_none_fail(
    paper: list[RunResult], world: Callable[[list[RunResult]], list[RunResult]]
) -> None:
    """Two more seeds, as far above as below: the means stay, and certainty goes."""
    rows = world(paper)
    noisy = [
        dataclasses.replace(
            row, run=f"{row.run}{sign}", sparsity_gamma=row.sparsity_gamma + sign * 40,
            sparsity_act=row.sparsity_act + sign * 40,
        )
        for row in rows for sign in (-1, 0, 1)
    ]  # fmt: skip
    before, after = outcomes(rows), outcomes(noisy)
    assert all(after[name] in (before[name], "too noisy", "not testable") for name in before)
    assert "too noisy" in after.values()


def test_nothing_passes_on_nothing_or_on_single_runs(paper: list[RunResult]) -> None:
    assert {claim.outcome for claim in check([])} == {"not testable"}
    compares_nothing = {  # a single run is enough: it has two numbers, or a number to reach
        "Pruning inactive filters is free", "Sparsity by activation is sparsity by gamma",
        "With 90 % of the weights gone the network still does well", "SGD prunes early layers",
        "Adam prunes early layers and late ones, fewer in between",
        "AMSGrad prunes late layers only", "VGG-16 at batch 160 beats the pruning of Li et al.",
    }  # fmt: skip
    for row in paper:
        passed = {name for name, outcome in outcomes([row]).items() if outcome == "pass"}
        assert passed <= compares_nothing


def test_shortened_runs_pass_and_fail_nothing(paper: list[RunResult]) -> None:
    """In the paper's world and in the other; the evidence says what it would be."""
    for rows in (paper, [turned(row) for row in paper]):
        short = [dataclasses.replace(row, steps=row.steps // 8) for row in rows]
        assert {claim.outcome for claim in check(short)} <= {"shortened", "not testable"}
    by_name = {claim.claim: claim for claim in check(short)}
    evidence = by_name["Narrower networks, less sparsity"].evidence
    assert evidence.startswith("shortened to 12.5 %; would fail")
    mine = [dataclasses.replace(row, dataset="mine") for row in paper if row.dataset == "CIFAR10"]
    assert {c.outcome for c in check(mine, scale=0.5)} == {"shortened", "not testable"}


def test_a_claim_of_two_halves_needs_both(paper: list[RunResult]) -> None:
    name = "VGG-16 on CIFAR loses 70 to 80 % of its filters"
    vgg = [row for row in paper if row.network == "VGG-16"]
    assert outcomes(vgg)[name] == "pass"
    assert outcomes([row for row in vgg if row.dataset != "CIFAR100"])[name] == "not testable"


def test_the_evidence_names_runs_their_number_and_spread() -> None:
    base = RunResult(
        "a", "CIFAR10", "BasicNet", "adam", "l2", 1e-4, 40, test_error=10.0, sparsity_gamma=70.0
    )
    rows = [
        base, dataclasses.replace(base, run="b", seed=1, sparsity_gamma=72.0),
        dataclasses.replace(base, run="c", optimizer="sgd", sparsity_gamma=0.0),
    ]  # fmt: skip
    found = {claim.claim: claim for claim in check(rows)}["Adam is sparser than SGD at equal error"]
    assert found.outcome == "pass"
    assert set(found.runs) == {"a", "b", "c"}
    assert "71.0 ± 1.4 (n 2)" in found.evidence
    assert '"outcome": "pass"' in encode([found])
