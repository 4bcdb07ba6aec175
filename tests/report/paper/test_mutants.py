"""No comparison, margin or part of a rule can be wrong without a made-up run that shows it."""

from __future__ import annotations

import dataclasses
import types
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import pytest
from claim_measures import RIGHT, ROWS, WRONG
from claim_rows import PERVERSE, made_up, run
from claim_rules import MEASURED, RULES, ZEROED, ZEROING
from mutants import MODULES, Mutant, mutants, running

from sparsity_jax.report.paper.claims import CLAIMS, NOT_THE_METHOD, check
from sparsity_jax.storage.measurements import Measurements
from sparsity_jax.storage.pruned import PrunedRecord
from sparsity_jax.storage.results import RunResult

SPEED = {"adam": 0.2, "rmsprop": 0.3, "adamax": 0.3, "sgd": 0.6}
# Simulations, made up: how much remains, by optimizer and regularizer.
RIGHT_SPEED = {("adam", "wd"): 0.5}
WRONG_SPEEDS = ({("adam", "wd"): 0.1}, {("sgd", "l2"): 0.1}, {("rmsprop", "l2"): 0.9})


@dataclasses.dataclass(frozen=True)
class World:
    """Runs with what was measured and simulated; the claims to judge on them (() for all)."""

    rows: Sequence[RunResult]
    measures: Mapping[str, Measurements] = dataclasses.field(default_factory=dict)
    claims: tuple[str, ...] = ()
    speeds: Mapping[tuple[str, str], float] = dataclasses.field(default_factory=dict)
    pruned: Mapping[str, PrunedRecord] = dataclasses.field(default_factory=dict)


@pytest.fixture(scope="module")
def worlds(paper: list[RunResult]) -> list[World]:
    turned = [
        dataclasses.replace(
            row, sparsity_gamma=100 - row.sparsity_gamma,
            layers=tuple(100 - pct for pct in row.layers), pruned_test_error=row.test_error + 5,
        )
        for row in paper
    ]  # fmt: skip
    simulated = tuple(claim.claim for claim in CLAIMS if "simulated" in claim.needs)
    adam = [row for row in ROWS.values() if row.optimizer == "adam"]
    sgd = [row for row in ROWS.values() if row.optimizer == "sgd"]
    return [
        World(paper),
        World(turned),
        World([*ROWS.values()], RIGHT),
        *(World(made_up(*runs), claims=(claim,)) for claim, runs, _ in (*PERVERSE, *RULES)),
        *(World([*ROWS.values()], {**RIGHT, **wrong}, (claim,)) for claim, wrong in WRONG),
        *(World(rows, measures, (claim,)) for claim, rows, measures, _ in MEASURED),
        *(World([*adam, *sgd], {}, simulated, wrong) for wrong in WRONG_SPEEDS),
        *(
            World(made_up(run(sparsity)), claims=(ZEROING,), pruned=pruned)
            for sparsity, pruned, _ in ZEROED
        ),
        World(adam, {}, simulated),
        World(sgd, {}, simulated),
    ]


def _outcomes(
    modules: Mapping[str, types.ModuleType], worlds: Sequence[World], rules: Sequence[str]
) -> Iterator[tuple[str, str]]:
    """(claim, outcome) in every world, of the claims of these modules."""
    judging, pairs = modules["judging"], modules["pairs"]
    for world in worlds:
        speeds = {**RIGHT_SPEED, **world.speeds}
        modules["low_gradient"].__dict__["remaining"] = _remaining(speeds)
        known = [claim for name in rules for claim in modules[name].__dict__["CLAIMS"]]
        judged = [claim for claim in known if not world.claims or claim.claim in world.claims]
        points = pairs.points(world.rows) if judged else []
        explicit = [point for point in points if any(map(point.part, NOT_THE_METHOD))]
        fair = tuple(point for point in points if point not in explicit)
        evidence = judging.Evidence(fair, tuple(explicit), world.measures, world.pruned)
        for claim in judged:
            yield claim.claim, judging.conclude(claim, evidence).outcome


def _remaining(speeds: Mapping[tuple[str, str], float]) -> Callable[..., float]:
    return lambda optimizer, kind, strength: speeds.get((optimizer, kind), SPEED[optimizer])


def _differ(
    mutant: Mutant, worlds: Sequence[World], rules: Sequence[str], right: Sequence[tuple[str, str]]
) -> set[str]:
    """The claims whose outcome the mutant changes in any world; '' for an error."""
    with running(mutant) as modules:
        try:
            found = list(_outcomes(modules, worlds, rules))
        except (ArithmeticError, AttributeError, IndexError, KeyError, TypeError, ValueError):
            return {""}
    return {claim for (claim, one), (_, other) in zip(right, found, strict=True) if one != other}


@pytest.mark.parametrize("module", MODULES)
def test_no_mutant_of_a_rule_survives(module: str, worlds: list[World]) -> None:
    """And each claim of the module is decided by a comparison that one of them reverses."""
    name = module.rpartition(".")[2]
    rules = [each.rpartition(".")[2] for each in MODULES[2:]]
    rules = [name] if name in rules else rules
    with running(None) as modules:
        right = list(_outcomes(modules, worlds, rules))
        claims = {claim.claim for rule in rules for claim in modules[rule].__dict__["CLAIMS"]}
    survivors, reversed_ = [], set()
    for mutant in mutants(module):
        changed = _differ(mutant, worlds, rules, right)
        if not changed:
            survivors.append(f"{mutant.place} {mutant.kind}")
        if mutant.kind.startswith("reversed"):
            reversed_ |= changed
    assert not survivors, "\n".join(survivors)
    assert claims <= reversed_


@pytest.mark.parametrize(("claim", "runs", "outcome"), RULES)
def test_a_rule_holds_on_one_side_of_its_conditions_only(
    claim: str, runs: list[dict[str, Any]], outcome: str
) -> None:
    assert {each.claim: each.outcome for each in check(made_up(*runs))}[claim] == outcome


@pytest.mark.parametrize(("claim", "rows", "measures", "outcome"), MEASURED)
def test_a_rule_holds_on_measurements_of_its_kind_only(
    claim: str, rows: list[RunResult], measures: dict[str, Measurements], outcome: str
) -> None:
    assert {c.claim: c.outcome for c in check(rows, measures=measures)}[claim] == outcome


@pytest.mark.parametrize(("sparsity", "pruned", "outcome"), ZEROED)
def test_zeroing_is_judged_by_either_mark(
    sparsity: float, pruned: dict[str, PrunedRecord], outcome: str
) -> None:
    found = check(made_up(run(sparsity)), pruned=pruned)
    assert {each.claim: each.outcome for each in found}[ZEROING] == outcome
