"""Do our runs bear out what the paper says in words? Each claim passes, fails, or is untestable.

A claim looks at groups of runs that differ in one thing only, and shows the numbers it judged by.
Where the paper itself has
exceptions at extreme strengths, three quarters of the comparisons must hold (`MOST`).
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Sequence
from typing import Literal

from sparsity_jax.report.paper.pairs import (
    MARGIN,
    Pairs,
    Point,
    along,
    along_parts,
    best_at_equal_error,
    describe,
    parts_with,
    points,
    width_of,
)
from sparsity_jax.storage.results import RunResult

Outcome = Literal["pass", "fail", "not testable"]
MOST = 0.75
DIFFICULTY = ("CIFAR10", "CIFAR100", "TinyImageNet", "ImageNet")
BACKGROUNDS = ("bg=clean", "bg=cluttered")


@dataclasses.dataclass(frozen=True)
class Checked:
    """A claim's outcome with its evidence."""

    claim: str
    where: str
    outcome: Outcome
    evidence: str


def check(rows: Sequence[RunResult]) -> list[Checked]:
    """Every claim checked on these rows of results.csv."""
    known = points(rows)
    return [Checked(claim, where, *test(known)) for claim, where, test in CLAIMS]


Judged = tuple[Outcome, str]


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


def _dense_without_regularizer(known: Sequence[Point]) -> Judged:
    pairs = (
        (describe(p, "strength"), 0.0, p.sparsity)
        for p in known if p.regularizer == "none"
    )  # fmt: skip
    return _all_hold(pairs, lambda _, sparsity: sparsity < 1)


def _monotone(known: Sequence[Point]) -> Judged:
    strengths = sorted({point.strength for point in known if point.strength})
    return _all_hold(along(known, "strength", strengths), lambda a, b: b > a - MARGIN)


def _adam_beats_sgd(known: Sequence[Point]) -> Judged:
    pairs = best_at_equal_error(known, "optimizer", ("sgd", "adam"))
    return _all_hold(pairs, lambda sgd, adam: adam > sgd + 1)


def _l2_beats_wd(known: Sequence[Point]) -> Judged:
    adam = [point for point in known if point.optimizer == "adam"]
    pairs = best_at_equal_error(adam, "regularizer", ("wd", "l2"))
    return _all_hold(pairs, lambda wd, l2: l2 > wd + 1)


def _harder_is_denser(known: Sequence[Point]) -> Judged:
    pairs = [*along(known, "dataset", DIFFICULTY), *along_parts(known, "bg=", BACKGROUNDS)]
    return _all_hold(pairs, lambda easy, hard: hard < easy, MOST)


def _larger_batch_is_denser(known: Sequence[Point]) -> Judged:
    sizes = sorted({point.batch_size for point in known})
    return _all_hold(along(known, "batch_size", sizes), lambda a, b: b <= a, MOST)


def _narrower_is_denser(known: Sequence[Point]) -> Judged:
    widths = sorted(["", *parts_with(known, "width=")], key=width_of, reverse=True)
    return _all_hold(along_parts(known, "width=", widths), lambda wide, narrow: narrow < wide)


def _where_sparse(known: Sequence[Point]) -> Judged:
    """SGD: C1 above the last layer but one. Adam with L2: that layer above the middle one."""
    pairs = []
    for point in known:
        if len(point.layers) < 5 or not 2 < point.sparsity < 95:
            continue
        first, late = point.layers[0], point.layers[-2]
        middle = point.layers[len(point.layers) // 2]
        if point.optimizer == "sgd":
            pairs.append((f"{describe(point)}: late → first", late, first))
        elif point.optimizer == "adam" and point.regularizer == "l2":
            pairs.append((f"{describe(point)}: middle → late", middle, late))
    return _all_hold(pairs, lambda low, high: high > low)


def _amsgrad_is_denser(known: Sequence[Point]) -> Judged:
    low = [point for point in known if 0 < point.strength <= 1e-3]
    return _all_hold(along(low, "optimizer", ("adam", "amsgrad")), lambda adam, ams: ams < adam)


def _leaky_barely_helps(known: Sequence[Point]) -> Judged:
    pairs = [
        pair
        for name in parts_with(known, "leaky_relu")
        for pair in along_parts(known, "leaky_relu", ("", name))
    ]
    return _all_hold(pairs, lambda plain, leaky: leaky > plain - 10)


def _slower_gamma_helps_more(known: Sequence[Point]) -> Judged:
    """A tenth of the learning rate for gamma lowers sparsity by more than leaky ReLU does."""
    slow = list(along(known, "variant", ("leaky_relu_0.01", "gamma_lr_scale=0.1")))
    order = ("", "gamma_lr_scale=0.1")
    slow = slow or list(along_parts(known, "gamma_lr_scale=", order))
    return _all_hold(slow, lambda before, after: after < before - MARGIN)


def _beta_of_one_hurts(known: Sequence[Point]) -> Judged:
    pairs = along_parts(known, "beta_init=", ("", "beta_init=1.0"))
    return _all_hold(pairs, lambda zero, one: one > zero)


def _pruning_is_free(known: Sequence[Point]) -> Judged:
    pairs = (
        (f"{describe(p)}, error", p.error, p.pruned_error)
        for p in known if p.sparsity > 1 and not math.isnan(p.pruned_error)
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
