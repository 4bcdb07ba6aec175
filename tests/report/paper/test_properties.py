"""What holds of the claims on any runs: order, copies, runs that say nothing, noise."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sparsity_jax.report.loading import Records
from sparsity_jax.report.paper.claims import check, low_gradient
from sparsity_jax.report.paper.joined import Source, join
from sparsity_jax.storage.results import RunResult

percent = st.integers(0, 95).map(float)
VARIANTS = (
    "", "leaky_relu_0.01", "gamma_lr_scale=0.1", "beta_init=1.0", "beta_init=-0.1",
    "width=64-0.5x", "bg=clean", "bg=cluttered",
)  # fmt: skip
KINDS = (("l2", 1e-5), ("l2", 1e-4), ("l2", 1e-3), ("wd", 1e-4), ("wd", 1e-3), ("none", 0.0))
identities = st.tuples(
    st.sampled_from(["CIFAR10", "CIFAR100"]), st.sampled_from(["adam", "sgd", "adagrad"]),
    st.sampled_from(KINDS), st.sampled_from([40, 80]), st.sampled_from(VARIANTS),
)  # fmt: skip
numbers = st.tuples(st.floats(5, 12), percent, percent, st.lists(percent, min_size=7, max_size=7))


def _row(place: int, identity: tuple[Any, ...], measured: tuple[Any, ...]) -> RunResult:
    dataset, optimizer, (regularizer, strength), batch, variant = identity
    error, sparsity, params, layers = measured
    return RunResult(
        str(place), dataset, "BasicNet", optimizer, regularizer, strength, batch, variant,
        steps=406_250, test_error=error, sparsity_gamma=sparsity, sparsity_act=sparsity,
        layers=tuple(layers), params_pruned_pct=params, pruned_test_error=error,
    )  # fmt: skip


worlds = st.dictionaries(identities, numbers, min_size=2, max_size=40).map(
    lambda found: [_row(i, *item) for i, item in enumerate(found.items())]
)
SAYS_NOTHING: dict[str, dict[str, Any]] = {
    "at chance level": {"test_error": 99.0, "sparsity_gamma": 0.0, "strength": 0.5},
    "diverged": {"status": "diverged", "seed": 1},
    "failed": {"status": "failed", "seed": 1},
    "baseline": {"variant": "baseline=l1_0.5", "sparsity_gamma": 0.0, "pruned_test_error": 30.0},
    "fine-tuned": {"variant": "finetune=40", "sparsity_gamma": 0.0, "pruned_test_error": 30.0},
    "shortened": {"steps": 100, "sparsity_gamma": 0.0, "pruned_test_error": 30.0},
}
# A single run has two numbers for these, or a number to reach.
OF_ONE_RUN = {
    "Pruning inactive filters is free", "Sparsity by activation is sparsity by gamma",
    "With 90 % of the weights gone the network still does well", "SGD prunes early layers",
    "Adam prunes early layers and late ones, fewer in between",
}  # fmt: skip


@pytest.fixture(scope="module", autouse=True)
def simulated() -> Iterator[None]:
    """Simulations take seconds, and are the same whatever the runs."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(low_gradient, "remaining", lambda *kind: {"adam": 0.1}.get(kind[0], 0.5))
        yield


def _outcomes(rows: Sequence[RunResult]) -> dict[str, str]:
    return {claim.claim: claim.outcome for claim in check(rows)}


@given(worlds, st.randoms(use_true_random=False))
@settings(max_examples=40, deadline=None)
def test_the_order_of_rows_does_not_matter(rows: list[RunResult], random: Any) -> None:
    mixed = list(rows)
    random.shuffle(mixed)
    assert _outcomes(mixed) == _outcomes(rows)


@pytest.mark.parametrize("kind", SAYS_NOTHING)
@given(rows=worlds, place=st.integers(0, 39))
@settings(max_examples=25, deadline=None)
def test_runs_that_say_nothing_change_no_outcome(
    kind: str, rows: list[RunResult], place: int
) -> None:
    added = dataclasses.replace(rows[place % len(rows)], run="new", **SAYS_NOTHING[kind])
    assert _outcomes([*rows, added]) == _outcomes(rows)


@given(worlds, st.sampled_from([2.0, 10.0, 40.0]))
@settings(max_examples=60, deadline=None)
def test_noise_makes_no_claim_pass_and_none_fail(rows: list[RunResult], noise: float) -> None:
    """Two more seeds, as far above as below: the means stay, and certainty goes."""
    before = _outcomes(rows)
    noisy = [
        dataclasses.replace(
            row, run=f"{row.run}{sign}", seed=sign + 1,
            sparsity_gamma=row.sparsity_gamma + sign * noise,
            sparsity_act=row.sparsity_act + sign * noise,
            pruned_test_error=row.pruned_test_error + sign * noise,
        )
        for row, sign in itertools.product(rows, (-1, 0, 1))
    ]  # fmt: skip
    after = _outcomes(noisy)
    assert all(after[name] in (before[name], "too noisy", "not testable") for name in before)


@given(worlds)
@settings(max_examples=25, deadline=None)
def test_a_single_run_passes_only_what_one_run_can_tell(rows: list[RunResult]) -> None:
    passed = {name for name, outcome in _outcomes(rows[:1]).items() if outcome == "pass"}
    assert passed <= OF_ONE_RUN
    assert set(_outcomes([]).values()) == {"not testable"}


@given(worlds, st.sampled_from([0.01, 0.5, 2.0]))
@settings(max_examples=25, deadline=None)
def test_runs_of_another_length_pass_and_fail_nothing(rows: list[RunResult], length: float) -> None:
    other = [dataclasses.replace(row, steps=round(row.steps * length)) for row in rows]
    assert set(_outcomes(other).values()) <= {"shortened", "not testable"}


@given(worlds, st.lists(st.sets(st.integers(0, 2), min_size=1), min_size=40, max_size=40))
@settings(max_examples=25, deadline=None)
def test_files_that_overlap_say_what_their_rows_say(
    rows: list[RunResult], places: list[set[int]]
) -> None:
    files = [[row for row, at in zip(rows, places, strict=False) if i in at] for i in range(3)]
    sources = [
        Source(Path(f"{i}.csv"), Records(str(i), tuple(held)), is_workdir=False)
        for i, held in enumerate(files)
    ]
    together = join(sources)
    assert len(together.records.rows) == len(rows)
    assert _outcomes(together.records.rows) == _outcomes(rows)
