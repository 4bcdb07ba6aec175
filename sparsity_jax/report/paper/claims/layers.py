"""Claims about layers and about pruning: where filters go, and what their removal costs."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from sparsity_jax.report.aggregate import Spread, spread
from sparsity_jax.report.paper.claims.judging import (
    ROUNDING,
    Claim,
    Evidence,
    Finding,
    Test,
    alike,
    every,
    exactly,
    greater,
    text,
)
from sparsity_jax.report.paper.pairs import MARGIN, Point, describe, families

MEASURES_AGREE = 3.0  # points between sparsity by activation and by gamma
MAX_TYPE = ("amsgrad", "adamax")  # keep the largest gradient: their two measures differ (Table S4)
MOST_PARAMETERS = 89.5  # percent, printed as 90
STILL_GOOD = 5.0  # points of error above the best: 'relatively high performance'
LI_ET_AL = (37.0, 6.6)  # percent of filters and error of VGG-16 on CIFAR10, as quoted in Table 7
LARGE = 20.0  # points: 'a large fraction' of C6


def _layered(evidence: Evidence, optimizer: str) -> Iterator[Point]:
    """BasicNet's runs of an optimizer that are neither dense nor empty."""
    for point in evidence.points:
        mine = point.optimizer == optimizer and point.network.startswith("BasicNet")
        if mine and len(point.layers) >= 5 and 2 < point.sparsity.mean < 95:
            yield point


def _shown(point: Point) -> str:
    return " ".join(f"{pct:.0f}" for pct in point.layers) + " %"


def _sgd_early(evidence: Evidence) -> Iterator[Finding]:
    """C1 has the most inactive filters and C6 the fewest, of C1 to C6."""
    for point in _layered(evidence, "sgd"):
        first, *_, last = considered = point.layers[:-1]
        most = first >= max(considered) - ROUNDING and last <= min(considered) + ROUNDING
        yield Finding(describe(point), _shown(point), most and first > last + ROUNDING, (point,))


def _adam_valley(evidence: Evidence) -> Iterator[Finding]:
    """A middle layer has fewer inactive filters than C1, and than C6 or C7."""
    for point in _layered(evidence, "adam"):
        lowest = min(point.layers[1:-2])
        holds = point.layers[0] > lowest + ROUNDING and max(point.layers[-2:]) > lowest + ROUNDING
        yield Finding(describe(point), _shown(point), holds, (point,))


def _amsgrad_late(evidence: Evidence) -> Iterator[Finding]:
    for point in _layered(evidence, "amsgrad"):
        if point.sparsity.mean < 50:
            early, late = point.layers[: len(point.layers) // 2], point.layers[-2:]
            holds = min(late) > max(early) + ROUNDING and max(early) <= MARGIN
            yield Finding(describe(point), _shown(point), holds, (point,))


def _c6_goes(evidence: Evidence) -> Iterator[Finding]:
    """Of both optimizers, the run of the lowest error among the sparse, as Table 2 chooses them."""
    known = [p for p in evidence.points if p.regularizer == "l2" and p.error.n and p.sparse]
    known = [p for p in known if len(p.layers) >= 5]
    for family in families(known, "optimizer", "strength"):
        best = {
            name: min(side, key=lambda point: point.error.mean)
            for name in ("sgd", "adam")
            if (side := [point for point in family if point.optimizer == name])
        }
        if len(best) == 2:
            sgd, adam = best["sgd"], best["adam"]
            holds = adam.layers[-2] > sgd.layers[-2] + LARGE
            numbers = f"SGD {sgd.layers[-2]:.0f} → Adam {adam.layers[-2]:.0f} %"
            what = f"{describe(adam, 'optimizer', 'strength')}, last layer but one"
            yield Finding(what, numbers, holds, (sgd, adam))


def _harmless(error: Spread, cost: Spread) -> bool | None:
    """Whether the error rises by no more than 0.2 points, or 4 % of it."""
    allowed = max(0.2, 0.04 * error.mean)
    return greater(exactly(allowed + 1e-6), cost, 0.0)


def _pruning_is_free(evidence: Evidence) -> Iterator[Finding]:
    for point in evidence.points:
        if point.sparse and point.error.n and point.pruned_error.n:
            numbers = f"{text(point.error)} → {text(point.pruned_error)} %"
            holds = _harmless(point.error, point.cost)
            yield Finding(f"{describe(point)}, error", numbers, holds, (point,))


def _zeroing_is_free(mark: str, error: str) -> Test:
    """Of the filters marked inactive by gamma or by activation, set to zero."""

    def test(evidence: Evidence) -> Iterator[Finding]:
        for point in (each for each in evidence.points if each.sparse):
            known = [evidence.pruned[run] for run in point.runs if run in evidence.pruned]
            cost = spread([getattr(record, error) - record.test_error for record in known])
            if cost.n:
                before = spread([record.test_error for record in known])
                after = spread([getattr(record, error) for record in known])
                numbers = f"{text(before)} → {text(after)} %"
                holds = _harmless(before, cost)
                yield Finding(f"{describe(point)}, error by {mark}", numbers, holds, (point,))

    return test


def _most_parameters_go(evidence: Evidence) -> Iterator[Finding]:
    """Of each setting, the best of the runs that lose 90 % of their weights."""
    known = [p for p in evidence.points if p.optimizer == "adam" and p.error.n]
    settings = {p.but("strength", "regularizer", "batch_size", "variant"): p for p in known}
    for identity in settings:
        same = [
            p
            for p in known
            if p.but("strength", "regularizer", "batch_size", "variant") == identity
        ]
        pruned = [p for p in same if p.params_pruned >= MOST_PARAMETERS and p.pruned_error.n]
        if pruned:
            best = min(pruned, key=lambda point: point.pruned_error.mean)
            bar = min(point.error.mean for point in same) + STILL_GOOD
            holds = every(
                greater(exactly(bar), best.pruned_error, 0.0), _harmless(best.error, best.cost)
            )
            numbers = f"{best.params_pruned:.0f} % of weights, error {text(best.pruned_error)} %"
            yield Finding(describe(best), numbers, holds, (best,))


def _measures_agree(evidence: Evidence) -> Iterator[Finding]:
    for point in evidence.points:
        plain = point.optimizer not in MAX_TYPE and not point.part("leaky_relu")
        known = point.act.n and max(point.sparsity.mean, point.act.mean) > MARGIN
        if plain and known and point.regularizer != "none":
            holds = alike(point.act, point.sparsity, MEASURES_AGREE)
            numbers = f"by act {text(point.act)}, by gamma {text(point.sparsity)} %"
            yield Finding(describe(point), numbers, holds, (point,))


def _beats_li_et_al(evidence: Evidence) -> Iterator[Finding]:
    """Our own run of that baseline where there is one, else the numbers that the paper quotes."""
    for point in evidence.points:
        if (point.dataset, point.network) != ("CIFAR10", "VGG-16") or not point.error.n:
            continue
        if point.optimizer != "adam" or point.batch_size < 160:
            continue
        theirs = _of_kind(evidence.baselines, "baseline=l1", point)
        sparsity = theirs.sparsity if theirs else exactly(LI_ET_AL[0])
        error = theirs.pruned_error if theirs else exactly(LI_ET_AL[1])
        holds = every(
            greater(point.sparsity, sparsity), greater(_plus(error, 0.05), point.error, 0.0)
        )
        numbers = (
            f"{text(point.sparsity)} % at error {text(point.error)}, "
            f"Li et al. {text(sparsity)} % at {text(error)}"
        )
        yield Finding(describe(point), numbers, holds, (point, *([theirs] if theirs else [])))


def _beats_slimming(evidence: Evidence) -> Iterator[Finding]:
    """Sparser than slimming, with a slightly higher error."""
    for point in evidence.points:
        theirs = _of_kind(evidence.baselines, "baseline=slimming", point)
        mine = point.network == "VGG-19" and point.optimizer == "adam" and point.error.n
        if mine and theirs and theirs.pruned_error.n:
            slightly = _plus(theirs.pruned_error, STILL_GOOD)
            holds = every(
                greater(point.sparsity, theirs.sparsity),
                greater(point.error, theirs.pruned_error, 0.0),
                greater(slightly, point.error, 0.0),
            )
            numbers = (
                f"{text(point.sparsity)} % at error {text(point.error)}, "
                f"slimming {text(theirs.sparsity)} % at {text(theirs.pruned_error)}"
            )
            yield Finding(describe(point), numbers, holds, (point, theirs))


def _of_kind(baselines: Sequence[Point], part: str, point: Point) -> Point | None:
    for each in baselines:
        same = (each.dataset, each.network) == (point.dataset, point.network)
        if same and each.part(part) and math.isclose(each.length, point.length, abs_tol=0.01):
            return each
    return None


def _plus(value: Spread, more: float) -> Spread:
    return Spread(value.mean + more, value.std, value.n)


CLAIMS = (
    Claim(
        "SGD prunes early layers",
        "For SGD, the extent of sparsity is higher for earlier layers, and decreases for later "
        "layers. The trend holds for both L2 and weight decay, from C1-C6",
        "Sec. 3, Tables 2 and S1",
        (_sgd_early,),
        "runs of BasicNet with SGD, 2 to 95 % inactive",
    ),
    Claim(
        "Adam prunes early layers and late ones, fewer in between",
        "Sparsity for Adam shows a similar decreasing trend from early to middle layers, and "
        "increasing sparsity from middle to later layers",
        "Sec. 3, Tables 2 and S1",
        (_adam_valley,),
        "runs of BasicNet with Adam, 2 to 95 % inactive",
    ),
    Claim(
        "AMSGrad prunes late layers only",
        "AMSGrad only shows sparsity in the later layers",
        "Supplement, Sec. 1, Table S2",
        (_amsgrad_late,),
        "runs of BasicNet with AMSGrad, 2 to 50 % inactive",
    ),
    Claim(
        "In C6 Adam inactivates a large fraction, SGD hardly any",
        "The selectivity for SGD in C6 remains mostly unaffected, while Adam sees a large fraction "
        "(64%) of the features inactivated (0% universality)",
        "Sec. 3, Figure 3, Table 2",
        (_c6_goes,),
        "a sparse run of Adam and one of SGD with L2, all else equal",
    ),
    Claim(
        "Pruning inactive filters is free",
        "If we explicitly prune out features meeting the sparsity criteria, we still see a "
        "relatively high performance on the test set",
        "Sec. 3, Tables 2, 8 and S1",
        (_pruning_is_free,),
        "a sparse run with its error after pruning",
    ),
    Claim(
        "Zeroing inactive filters is free, marked by gamma or by activation",
        "Explicitly zeroing the features thus marked inactive does not affect the test error, "
        "which ensures the validity of our chosen thresholds",
        "Sec. 2.1",
        (
            _zeroing_is_free("gamma", "masked_test_error"),
            _zeroing_is_free("act", "masked_act_error"),
        ),
        "a sparse run with its pruned.json",
    ),
    Claim(
        "With 90 % of the weights gone the network still does well",
        "we still see a relatively high performance on the test set even with 90% of the "
        "convolutional parameters pruned",
        "Sec. 3, Tables 2 and S1",
        (_most_parameters_go,),
        "a run of Adam that loses 90 % of its convolution weights",
    ),
    Claim(
        "Sparsity by activation is sparsity by gamma",
        "We measure the learned feature sparsity in two ways, by per-feature activation and by "
        "per-feature scale",
        "Sec. 2.1, Table 1",
        (_measures_agree,),
        "a sparse run with both measures, ReLU, and an optimizer that keeps no largest gradient",
    ),
    Claim(
        "VGG-16 at batch 160 beats the pruning of Li et al.",
        "when trained with a batch size of 160, 83% of the features can be pruned away and leads "
        "to a better performance that the 37% of the features pruned for [13]",
        "Sec. 5.2, Table 7",
        (_beats_li_et_al,),
        "VGG-16 on CIFAR10 with Adam at batch 160",
    ),
    Claim(
        "VGG-19 is sparser than Network Slimming, at a slightly higher error",
        "the extent of sparsity is much higher than that of [14], with consequently slightly worse "
        "performance",
        "Sec. 5.2, Table 10",
        (_beats_slimming,),
        "VGG-19 with Adam, and its slimming baseline",
    ),
)
