"""Claims about gamma, beta and selectivity, from measure.npz (Sec. 3 and 5.1; Figures 2, 3, 5)."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator, Sequence

import numpy as np

from sparsity_jax.report.aggregate import Spread, spread
from sparsity_jax.report.paper.claims.judging import (
    MOST,
    Claim,
    Evidence,
    Finding,
    Test,
    alike,
    exactly,
    greater,
    text,
)
from sparsity_jax.report.paper.claims.tasks import DIFFICULTY
from sparsity_jax.report.paper.pairs import Point, describe, families, part_families
from sparsity_jax.storage.measurements import Measurements

NEARLY_ALL, SOME = 95.0, 2.0  # percent of the living filters of a layer
UNMOVED = 10.0  # points of universality
SELECTIVE = 50.0  # percent: a filter of lower universality answers to the minority of images
HIGHER_GAMMA, HIGHER_ACT = 1e-2, 1e-4  # the text says 'a higher threshold' of either
COMPARABLE = 5.0  # points of sparsity

Measure = Callable[[Measurements], float]


def _value(evidence: Evidence, point: Point, measure: Measure) -> Spread:
    """A measure of a point's runs; none of those that have no measure.npz or no such filters."""
    known = [evidence.measures[run] for run in point.runs if run in evidence.measures]
    return spread([measure(each) for each in known])


def _conv(measured: Measurements, place: int) -> str:
    """A layer counted from the last: -2 is C6 of BasicNet; '' where there are too few."""
    return measured.layers[place] if len(measured.layers) >= 5 else ""


def _share(what: str, positive: bool, places: Sequence[int]) -> Measure:
    """Percent of the living filters of some layers whose gamma or beta has a sign; the least."""

    def measure(measured: Measurements) -> float:
        shares = []
        for layer in filter(None, (_conv(measured, place) for place in places)):
            living = ~_dead(measured, layer)
            values = getattr(measured, what)[layer][-1][living]
            if len(values):
                shares.append(100 * float(np.mean(values > 0 if positive else values < 0)))
        return min(shares, default=float("nan"))

    return measure


def _dead(measured: Measurements, layer: str) -> np.ndarray:
    found = measured.inactive_gamma.get(layer)
    return np.zeros(measured.gamma[layer].shape[1], bool) if found is None else found


def _universality(measured: Measurements, places: Sequence[int]) -> np.ndarray:
    """Of the living filters of some layers, in percent."""
    found = [
        measured.universality[layer][~_dead(measured, layer)]
        for layer in filter(None, (_conv(measured, place) for place in places))
        if layer in measured.universality
    ]
    return np.concatenate(found) if found else np.zeros(0)


def _mean_universality(*places: int) -> Measure:
    def measure(measured: Measurements) -> float:
        found = _universality(measured, places)
        return float(found.mean()) if len(found) else float("nan")

    return measure


def _selective_filters(measured: Measurements) -> float:
    found = _universality(measured, LATE)
    return float((found < SELECTIVE).sum()) if len(found) else float("nan")


LATE = (-4, -3, -2, -1)  # C4 ... C7 of BasicNet


def _mine(evidence: Evidence, *optimizers: str) -> list[Point]:
    """BasicNet's runs with ReLU, of these optimizers and any regularizer."""
    return [
        point
        for point in evidence.points
        if point.optimizer in optimizers
        and point.network.startswith("BasicNet")
        and not point.part("leaky_relu")
        and point.regularizer != "none"
    ]


def _signs(
    optimizer: str, what: str, least: float, places: Sequence[int], *, positive: bool
) -> Test:
    def test(evidence: Evidence) -> Iterator[Finding]:
        for point in _mine(evidence, optimizer):
            found = _value(evidence, point, _share(what, positive, places))
            if found.n:
                sign = "above" if positive else "below"
                numbers = f"{text(found)} % of the living have {what} {sign} 0"
                holds = greater(found, exactly(least - 1e-6), 0.0)
                yield Finding(describe(point), numbers, holds, (point,))

    return test


def _l2_by_strength(
    evidence: Evidence, optimizer: str, family: Sequence[Point]
) -> list[tuple[Point, Spread]]:
    """The runs of an optimizer with C6's mean universality, from the weakest L2 on."""
    mine = [p for p in family if p.optimizer == optimizer and p.regularizer == "l2"]
    found = [(point, _value(evidence, point, _mean_universality(-2))) for point in mine]
    return sorted((pair for pair in found if pair[1].n), key=lambda pair: pair[0].strength)


def _adam_selective(evidence: Evidence) -> Iterator[Finding]:
    for family in families(_mine(evidence, "adam", "sgd"), "optimizer", "strength"):
        sides = [_l2_by_strength(evidence, name, family) for name in ("sgd", "adam")]
        if all(sides):
            (sgd, wide), (adam, narrow) = (side[0] for side in sides)
            numbers = f"mean universality SGD {text(wide)} → Adam {text(narrow)} %"
            what = f"{describe(adam, 'optimizer', 'strength')}, last layer but one"
            yield Finding(what, numbers, greater(wide, narrow), (sgd, adam))


def _sgd_unmoved(evidence: Evidence) -> Iterator[Finding]:
    for family in families(_mine(evidence, "sgd"), "strength"):
        found = _l2_by_strength(evidence, "sgd", family)
        if len(found) > 1:
            (weak, before), (strong, after) = found[0], found[-1]
            numbers = f"mean universality {text(before)} → {text(after)} %"
            what = f"{describe(weak, 'strength')}, {weak.strength:g} → {strong.strength:g}"
            yield Finding(what, numbers, alike(before, after, UNMOVED), (weak, strong))


def _along(
    evidence: Evidence, groups: Iterable[Sequence[Point]], measure: Measure, unit: str
) -> Iterator[Finding]:
    """Findings that a measure rises from each point of a group to the next."""
    for family in groups:
        known = [(p, value) for p in family if (value := _value(evidence, p, measure)).n]
        for (a, low), (b, high) in itertools.pairwise(known):
            margin = 1.0
            what = f"{describe(a)} → {describe(b)}"
            numbers = f"{text(low)} → {text(high)} {unit}"
            yield Finding(what, numbers, greater(high, low, margin), (a, b))


def _harder_is_less_selective(evidence: Evidence) -> Iterator[Finding]:
    known = _mine(evidence, "adam")
    published = [p for p in known if p.dataset in DIFFICULTY]
    groups = [
        *(
            sorted(family, key=lambda p: DIFFICULTY.index(p.dataset))
            for family in families(published, "dataset")
        ),
        *(sorted(family, key=lambda p: p.part("bg=")) for family in part_families(known, "bg=")),
    ]
    yield from _along(evidence, groups, _mean_universality(*LATE), "% mean universality")


def _larger_keeps_selective(evidence: Evidence) -> Iterator[Finding]:
    groups = (
        sorted(family, key=lambda point: point.batch_size)
        for family in families(_mine(evidence, "adam"), "batch_size")
        if any(point.sparse for point in family)
    )
    yield from _along(evidence, groups, _selective_filters, "selective filters alive in C4-C7")


def _threshold(kind: str, usual: float, higher: float) -> Test:
    def test(evidence: Evidence) -> Iterator[Finding]:
        for point in (p for p in evidence.points if p.sparse and not p.part("leaky_relu")):
            before = _value(evidence, point, lambda m: inactive_pct(m, kind, usual))
            after = _value(evidence, point, lambda m: inactive_pct(m, kind, higher))
            if before.n:
                numbers = f"{text(before)} at {usual:g} → {text(after)} % at {higher:g}"
                holds = greater(exactly(COMPARABLE + 1e-6), _apart(after, before), 0.0)
                yield Finding(f"{describe(point)}, by {kind}", numbers, holds, (point,))

    return test


def _apart(after: Spread, before: Spread) -> Spread:
    """The same filters are counted twice, so that only the change has a meaning, not its noise."""
    return exactly(after.mean - before.mean)


def inactive_pct(measured: Measurements, kind: str, threshold: float) -> float:
    """Percent of all filters below a threshold of |gamma| or of the largest activation.

    Args:
      measured: a run's measure.npz.
      kind: 'gamma', or 'act' for the peaks; NaN where they were not kept.
      threshold: gamma counts as inactive below it, a peak up to it.
    """
    if kind == "gamma":
        found = [np.abs(measured.gamma[layer][-1]) < threshold for layer in measured.layers]
    else:
        found = [peak <= threshold for peak in measured.peak.values()]
    return 100 * float(np.concatenate(found).mean()) if found else float("nan")


CLAIMS = (
    Claim(
        "Adam and SGD learn positive gammas in C6",
        "Both SGD and Adam (L2: 1e-5) learn positive s for layer C6",
        "Sec. 3, Figure 2",
        (
            _signs("adam", "gamma", NEARLY_ALL, (-2,), positive=True),
            _signs("sgd", "gamma", NEARLY_ALL, (-2,), positive=True),
        ),
        "runs of Adam and of SGD with their measure.npz",
    ),
    Claim(
        "Adam's betas are negative in C5 and C6",
        "For both C6 and C5, Adam learns exclusively negative biases and positive scales",
        "Sec. 3, Figure 2; supplement, Sec. 2, Figure S1",
        (
            _signs("adam", "beta", NEARLY_ALL, (-3, -2), positive=False),
            _signs("adam", "gamma", NEARLY_ALL, (-3, -2), positive=True),
        ),
        "runs of Adam with their measure.npz",
    ),
    Claim(
        "Some of SGD's betas are positive",
        "In case of SGD, a subset of features learns positive biases, indicating more universal "
        "(less selective) features",
        "Sec. 3, Figure 2; supplement, Sec. 2, Figure S1",
        (_signs("sgd", "beta", SOME, (-3, -2), positive=True),),
        "runs of SGD with their measure.npz",
    ),
    Claim(
        "In C6 Adam's filters are more selective than SGD's",
        "in C6 and C7 both Adam and SGD learn selective features, with Adam showing visibly more "
        "selectivity for C6",
        "Sec. 3, Figure 3",
        (_adam_selective,),
        "runs of Adam and of SGD with L2, all else equal, with universality in measure.npz",
    ),
    Claim(
        "A stronger L2 leaves SGD's C6 as it is",
        "The selectivity for SGD in C6 remains mostly unaffected",
        "Sec. 3, Figure 3",
        (_sgd_unmoved,),
        "runs of SGD with two strengths of L2, with universality in measure.npz",
    ),
    Claim(
        "Harder tasks, less selective filters",
        "In Figure 5 note the distinct shift towards less selective features in BasicNet with "
        "increasing task difficulty",
        "Sec. 3, Figure 5",
        (_harder_is_less_selective,),
        "runs of Adam on two tasks, all else equal, with universality in measure.npz",
        MOST,
    ),
    Claim(
        "A larger batch keeps more selective filters alive",
        "a larger mini-batch size is not promoting feature selectivity, and rather preventing the "
        "selective features from being pruned away",
        "Sec. 5.1, Figure 5",
        (_larger_keeps_selective,),
        "runs of Adam with two batch sizes, one of them sparse, with universality in measure.npz",
        MOST,
    ),
    Claim(
        "Higher thresholds give comparable sparsity",
        "comparable levels of sparsity are observed for a higher feature activation threshold of , "
        "and a higher threshold of",
        "Sec. 2.1",
        (_threshold("gamma", 1e-3, HIGHER_GAMMA), _threshold("act", 1e-12, HIGHER_ACT)),
        "a sparse run with gamma and peaks in its measure.npz",
        MOST,
    ),
)
