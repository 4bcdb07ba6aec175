"""Do our runs bear out what the paper says in words? Each claim passes, fails, or is untestable.

A claim looks at groups of runs that differ in one thing only, and shows the numbers it judged by.
Small differences are noise: `MARGIN` points of sparsity count as equal. Where the paper itself has
exceptions at extreme strengths, three quarters of the comparisons must hold (`MOST`).
"""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections.abc import Callable, Iterable, Sequence
from typing import Literal

from sparsity_jax.report.groups import Group
from sparsity_jax.report.published import matched
from sparsity_jax.storage.records import RunResult, strength_text

Outcome = Literal["pass", "fail", "not testable"]
MARGIN = 3.0  # points of sparsity
ERROR_BAND = 1.5  # points of test error within which two runs perform alike
MOST = 0.75
DIFFICULTY = ("CIFAR10", "CIFAR100", "TinyImageNet", "ImageNet")
WIDTHS = ("", "width=64-0.5x", "width=32-0.25x")
BACKGROUNDS = ("bg=clean", "bg=cluttered")


@dataclasses.dataclass(frozen=True)
class Point:
    """One group of runs, reduced to what claims are about (sparsity and errors in percent)."""

    dataset: str
    network: str
    optimizer: str
    regularizer: str
    strength: float
    batch_size: int
    variant: str
    sparsity: float
    error: float
    pruned_error: float
    layers: tuple[float, ...]

    def but(self, *names: str) -> tuple[object, ...]:
        """Its identity without these fields: what two points share that differ in them alone."""
        fields = ("dataset", "network", "optimizer", "regularizer", "strength", "batch_size")
        return tuple(getattr(self, name) for name in (*fields, "variant") if name not in names)


@dataclasses.dataclass(frozen=True)
class Checked:
    """A claim's outcome with its evidence."""

    claim: str
    where: str
    outcome: Outcome
    evidence: str


def check(rows: Sequence[RunResult]) -> list[Checked]:
    """Every claim checked on these rows of results.csv."""
    found = [_point(group) for group in matched(rows).values()]
    known = [point for point in found if not math.isnan(point.sparsity)]
    return [Checked(claim, where, *test(known)) for claim, where, test in CLAIMS]


def _point(group: Group) -> Point:
    layers = tuple(spread.mean for spread in group.layers())
    return Point(
        *group.key, group.spread("sparsity_gamma").mean,
        group.spread("test_error").mean, group.spread("pruned_test_error").mean, layers,
    )  # fmt: skip


Judged = tuple[Outcome, str]
Pairs = Iterable[tuple[str, float, float]]  # what is compared, then the two sparsities


def _all_hold(pairs: Pairs, holds: Callable[[float, float], bool], share: float = 1.0) -> Judged:
    """Passes when the relation holds in this share of the pairs; evidence lists a few of them."""
    listed = list(pairs)
    if not listed:
        return "not testable", "no two runs here differ in just that"
    good = sum(holds(a, b) for _, a, b in listed)
    bad_first = sorted(listed, key=lambda pair: holds(pair[1], pair[2]))
    shown = "; ".join(f"{what}: {a:.1f} → {b:.1f} %" for what, a, b in bad_first[:4])
    more = "" if len(listed) <= 4 else f"; and {len(listed) - 4} more"
    outcome: Outcome = "pass" if good >= share * len(listed) else "fail"
    return outcome, f"{good} of {len(listed)} comparisons hold ({shown}{more})"


def _along(points: Sequence[Point], field: str, order: Sequence[object]) -> Pairs:
    """Neighbouring values of one field, in this order, all else equal, unless both are dense."""
    families: dict[tuple[object, ...], dict[object, Point]] = {}
    for point in points:
        if getattr(point, field) in order:
            families.setdefault(point.but(field), {})[getattr(point, field)] = point
    for family in families.values():
        present = [family[value] for value in order if value in family]
        for a, b in itertools.pairwise(present):
            sparsities = (a.sparsity, b.sparsity)
            if max(sparsities) > 1:
                yield f"{_name(a, field)}, {_word(a, field)} → {_word(b, field)}", *sparsities


def _name(point: Point, without: str = "") -> str:
    """A point in words, without the field that a comparison varies."""
    parts = ("dataset", "optimizer", "regularizer", "strength")
    words = [_word(point, part) for part in parts if part != without]
    return " ".join([*words, *([point.variant] if point.variant and without != "variant" else [])])


def _word(point: Point, field: str) -> str:
    value = getattr(point, field)
    if field == "batch_size":
        return f"batch {value}"
    return strength_text(value) if field == "strength" else str(value or "default")


def _dense_without_regularizer(points: Sequence[Point]) -> Judged:
    pairs = (
        (_name(p, "strength"), 0.0, p.sparsity)
        for p in points if p.regularizer == "none"
    )  # fmt: skip
    return _all_hold(pairs, lambda _, sparsity: sparsity < 0.5)


def _monotone(points: Sequence[Point]) -> Judged:
    strengths = sorted({point.strength for point in points if point.strength})
    return _all_hold(_along(points, "strength", strengths), lambda a, b: b > a - MARGIN)


def _best_at_equal_error(points: Sequence[Point], field: str, values: tuple[str, str]) -> Pairs:
    """The largest sparsity on either side within ERROR_BAND of the lowest error of both."""
    settings: dict[tuple[object, ...], list[Point]] = {}
    for point in points:
        free = ("strength", "regularizer") if field == "optimizer" else ("strength",)
        if getattr(point, field) in values and not math.isnan(point.error):
            settings.setdefault(point.but(field, *free), []).append(point)
    for members in settings.values():
        sides = [[p for p in members if getattr(p, field) == value] for value in values]
        if not all(any(p.strength for p in side) for side in sides):
            continue
        bar = min(point.error for point in members) + ERROR_BAND
        best = [max((p.sparsity for p in side if p.error <= bar), default=0.0) for side in sides]
        what = f"{members[0].dataset}, error up to {bar:.1f}: {values[0]} → {values[1]}"
        yield what, best[0], best[1]


def _adam_beats_sgd(points: Sequence[Point]) -> Judged:
    pairs = _best_at_equal_error(points, "optimizer", ("sgd", "adam"))
    return _all_hold(pairs, lambda sgd, adam: adam > sgd + 1)


def _l2_beats_wd(points: Sequence[Point]) -> Judged:
    adam = [point for point in points if point.optimizer == "adam"]
    pairs = _best_at_equal_error(adam, "regularizer", ("wd", "l2"))
    return _all_hold(pairs, lambda wd, l2: l2 > wd + 1)


def _harder_is_denser(points: Sequence[Point]) -> Judged:
    pairs = [*_along(points, "dataset", DIFFICULTY), *_along(points, "variant", BACKGROUNDS)]
    return _all_hold(pairs, lambda easy, hard: hard < easy, MOST)


def _larger_batch_is_denser(points: Sequence[Point]) -> Judged:
    sizes = sorted({point.batch_size for point in points})
    return _all_hold(_along(points, "batch_size", sizes), lambda a, b: b <= a, MOST)


def _narrower_is_denser(points: Sequence[Point]) -> Judged:
    return _all_hold(_along(points, "variant", WIDTHS), lambda wide, narrow: narrow < wide)


def _where_sparse(points: Sequence[Point]) -> Judged:
    """SGD: C1 above the last layer but one. Adam with L2: that layer above the middle one."""
    pairs = []
    for point in points:
        if len(point.layers) < 5 or not 2 < point.sparsity < 95:
            continue
        first, late = point.layers[0], point.layers[-2]
        middle = point.layers[len(point.layers) // 2]
        if point.optimizer == "sgd":
            pairs.append((f"{_name(point)}: late → first", late, first))
        elif point.optimizer == "adam" and point.regularizer == "l2":
            pairs.append((f"{_name(point)}: middle → late", middle, late))
    return _all_hold(pairs, lambda low, high: high > low)


def _amsgrad_is_denser(points: Sequence[Point]) -> Judged:
    low = [point for point in points if 0 < point.strength <= 1e-3]
    return _all_hold(_along(low, "optimizer", ("adam", "amsgrad")), lambda adam, ams: ams < adam)


def _leaky_barely_helps(points: Sequence[Point]) -> Judged:
    names = sorted({p.variant for p in points if p.variant.startswith("leaky_relu")})
    pairs = [pair for name in names for pair in _along(points, "variant", ("", name))]
    return _all_hold(pairs, lambda plain, leaky: leaky > plain - 10)


def _slower_gamma_helps_more(points: Sequence[Point]) -> Judged:
    """A tenth of the learning rate for gamma lowers sparsity by more than leaky ReLU does."""
    slow = list(_along(points, "variant", ("leaky_relu_0.01", "gamma_lr_scale=0.1")))
    slow = slow or list(_along(points, "variant", ("", "gamma_lr_scale=0.1")))
    return _all_hold(slow, lambda before, after: after < before - MARGIN)


def _beta_of_one_hurts(points: Sequence[Point]) -> Judged:
    names = [n for n in {p.variant for p in points} if n in ("beta_init=1.0", "beta_init=1")]
    pairs = [pair for name in names for pair in _along(points, "variant", ("", name))]
    return _all_hold(pairs, lambda zero, one: one > zero)


def _pruning_is_free(points: Sequence[Point]) -> Judged:
    pairs = (
        (f"{_name(p)}, error", p.error, p.pruned_error)
        for p in points if p.sparsity > 1 and not math.isnan(p.pruned_error)
    )  # fmt: skip
    return _all_hold(pairs, lambda before, after: after <= before + 0.5)


Claim = tuple[str, str, Callable[[Sequence[Point]], Judged]]
CLAIMS: tuple[Claim, ...] = (
    ("No regularizer, no sparsity (by gamma)", "Sec. 2.2, Table 1", _dense_without_regularizer),
    ("Stronger regularization, more sparsity", "Table 1", _monotone),
    ("Adam is sparser than SGD at equal error", "Sec. 2.2, Table 1", _adam_beats_sgd),
    ("With Adam, L2 is sparser than weight decay at equal error", "Table 1", _l2_beats_wd),
    ("Harder tasks, less sparsity", "Sec. 3, Table 1", _harder_is_denser),
    ("Larger batches, less sparsity", "Sec. 5.1, Table 3", _larger_batch_is_denser),
    ("Narrower networks, less sparsity", "Sec. 5.1, Table 6", _narrower_is_denser),
    ("SGD prunes early layers, Adam late ones too", "Table 2", _where_sparse),
    ("AMSGrad is less sparse than Adam", "Tables S2, S4", _amsgrad_is_denser),
    ("Leaky ReLU barely lowers sparsity", "Table S2", _leaky_barely_helps),
    ("A slower gamma lowers it more", "Table S3", _slower_gamma_helps_more),
    ("Starting beta at 1 raises sparsity", "Table S3", _beta_of_one_hurts),
    ("Pruning inactive filters is free", "Table 2", _pruning_is_free),
)
