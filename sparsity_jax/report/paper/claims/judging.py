"""Findings of single comparisons, and the outcome that a claim has by them.

A finding holds, fails, or is undecided where the spread over seeds is as large as the difference.
A claim of two halves needs findings for both. A comparison of shortened runs judges nothing: its
claim is `shortened`.
"""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Literal

from sparsity_jax.report.aggregate import Spread
from sparsity_jax.report.paper.length import is_full, length_text
from sparsity_jax.report.paper.pairs import Point
from sparsity_jax.storage.measurements import Measurements
from sparsity_jax.storage.pruned import PrunedRecord

Outcome = Literal["pass", "fail", "not testable", "shortened", "too noisy"]
ROUNDING = 1.0  # points: what two printed numbers may differ by and be the same
MOST = 0.75  # of the comparisons, where the paper itself has exceptions
SHOWN = 4  # findings that an evidence quotes


@dataclasses.dataclass(frozen=True)
class Evidence:
    """Evidence that claims are checked on.

    Attributes:
      points: groups of runs that learned, of the method alone.
      baselines: groups of explicit pruning, fine-tuned or with a penalty on gamma.
      measures: run -> its measure.npz.
      pruned: run -> its pruned.json.
    """

    points: tuple[Point, ...] = ()
    baselines: tuple[Point, ...] = ()
    measures: Mapping[str, Measurements] = dataclasses.field(default_factory=dict)
    pruned: Mapping[str, PrunedRecord] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True)
class Finding:
    """One comparison: what is compared, its numbers, whether it holds (None: undecided)."""

    what: str
    numbers: str
    holds: bool | None
    points: tuple[Point, ...] = ()

    @property
    def lengths(self) -> tuple[float, ...]:
        """The lengths of the runs compared."""
        return tuple(point.length for point in self.points)


Test = Callable[[Evidence], Iterable[Finding]]


@dataclasses.dataclass(frozen=True)
class Claim:
    """A statement of the paper and the rule by which runs bear it out.

    Attributes:
      claim: it in a few words.
      sentence: the paper's own words; where: the section or table they stand in.
      tests: one for each half of the statement; all must find something.
      needs: what runs a test compares, told where it finds none.
      most: share of the findings that must hold.
    """

    claim: str
    sentence: str
    where: str
    tests: tuple[Test, ...]
    needs: str
    most: float = 1.0


@dataclasses.dataclass(frozen=True)
class Checked:
    """A claim's outcome with its evidence; `runs` are those that were compared."""

    claim: str
    where: str
    outcome: Outcome
    evidence: str
    sentence: str = ""
    runs: tuple[str, ...] = ()


def conclude(claim: Claim, evidence: Evidence) -> Checked:
    """Check a claim on the evidence."""
    halves = [list(test(evidence)) for test in claim.tests]
    if not all(halves):
        missing = f"needs {claim.needs}"
        return Checked(claim.claim, claim.where, "not testable", missing, claim.sentence)
    outcome, said, used = _judged(halves, claim.most)
    runs = dict.fromkeys(run for finding in used for p in finding.points for run in p.runs)
    return Checked(claim.claim, claim.where, outcome, said, claim.sentence, tuple(runs))


def _judged(halves: Sequence[Sequence[Finding]], most: float) -> tuple[Outcome, str, list[Finding]]:
    chosen = [[f for f in half if all(map(is_full, f.lengths))] or half for half in halves]
    used = [finding for half in chosen for finding in half]
    by_half = [_share_holds(half, most) for half in chosen]
    outcome: Outcome = "pass"
    if set(by_half) != {"pass"}:
        outcome = "fail" if "fail" in by_half else "too noisy"
    told = length_text([length for finding in used for length in finding.lengths])
    if told:
        would = "undecided" if outcome == "too noisy" else f"would {outcome}"
        return "shortened", f"{told}; {would}: {_quoted(used)}", used
    return outcome, _quoted(used), used


def _share_holds(findings: Sequence[Finding], most: float) -> Outcome:
    good = sum(finding.holds is True for finding in findings)
    unsure = sum(finding.holds is None for finding in findings)
    wanted = most * len(findings)
    if good >= wanted:
        return "pass"
    return "fail" if good + unsure < wanted else "too noisy"


def _quoted(findings: Sequence[Finding]) -> str:
    """'3 of 4 comparisons hold (...)': those that fail first, then the undecided."""
    order = {False: 0, None: 1, True: 2}
    ranked = sorted(findings, key=lambda finding: order[finding.holds])
    shown = "; ".join(f"{each.what}: {each.numbers}" for each in ranked[:SHOWN])
    more = f"; and {len(ranked) - SHOWN} more" if len(ranked) > SHOWN else ""
    good = sum(finding.holds is True for finding in findings)
    unsure = sum(finding.holds is None for finding in findings)
    doubt = f", {unsure} undecided" if unsure else ""
    return f"{good} of {len(findings)} comparisons hold{doubt} ({shown}{more})"


def greater(high: Spread, low: Spread, margin: float = ROUNDING) -> bool | None:
    """Whether one mean is above another by more than a margin; None where noise could decide.

    high - low > margin, decided where |high - low - margin| is more than two standard errors of
    the difference.

    Example:
      >>> greater(Spread(70.0, 0.5, 3), Spread(47.0, 0.5, 3))
      True
      >>> greater(Spread(10.0, 17.0, 3), Spread(8.0, 0.0, 3)) is None
      True
    """
    apart = high.mean - low.mean - margin
    return apart > 1e-9 if abs(apart) >= two_errors(high, low) - 1e-9 else None


def alike(one: Spread, other: Spread, within: float) -> bool | None:
    """Whether two means differ by no more than `within`; None where noise could decide."""
    apart = within - abs(one.mean - other.mean)
    return apart >= -1e-9 if abs(apart) >= two_errors(one, other) - 1e-9 else None


def two_errors(*spreads: Spread) -> float:
    """Two standard errors of a difference of means; spreads of single runs count as 0."""
    known = [each.std**2 / each.n for each in spreads if not math.isnan(each.std)]
    return 2 * math.sqrt(sum(known))


def exactly(value: float) -> Spread:
    """A number without spread."""
    return Spread(value, math.nan, 1)


def every(*parts: bool | None) -> bool | None:
    """Whether all hold: False where one fails, None where none fails and one is undecided."""
    return False if False in parts else None if None in parts else True


def opposite(part: bool | None) -> bool | None:
    """False for True and True for False; undecided stays undecided."""
    return None if part is None else not part


def text(value: Spread, unit: str = "") -> str:
    """'70.0 ± 0.5 (n 3)'; '70.0' for a single run."""
    if value.n < 2 or math.isnan(value.std):
        return f"{value.mean:.1f}{unit}"
    return f"{value.mean:.1f} ± {value.std:.1f}{unit} (n {value.n})"


def rise(what: str, low: Point, high: Point, margin: float = ROUNDING) -> Finding:
    """The finding that the second point is sparser than the first."""
    numbers = f"{text(low.sparsity)} → {text(high.sparsity)} %"
    return Finding(what, numbers, greater(high.sparsity, low.sparsity, margin), (low, high))


def trend(what: str, family: Sequence[Point], *, falls: bool) -> Finding:
    """The finding that sparsity goes one way along a family, from its first to its last point.

    No step the other way by more than the rounding, and the ends apart by more than it.
    """
    numbers = " → ".join(text(point.sparsity) for point in family) + " %"
    rising = [point.sparsity for point in (reversed(family) if falls else family)]
    steps = [opposite(greater(a, b)) for a, b in itertools.pairwise(rising)]
    return Finding(what, numbers, every(*steps, greater(rising[-1], rising[0])), tuple(family))
