"""Claims about the task and the network: difficulty, batch size, width, norms (Sec. 3 and 5.1)."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator, Sequence

from sparsity_jax.report.paper.claims.judging import (
    MOST,
    Claim,
    Evidence,
    Finding,
    alike,
    every,
    exactly,
    greater,
    rise,
    text,
    trend,
)
from sparsity_jax.report.paper.pairs import (
    Point,
    describe,
    families,
    part_families,
    width_of,
)

DIFFICULTY = ("CIFAR10", "CIFAR100", "TinyImageNet", "ImageNet")
SPARSE_ENOUGH = 10.0  # percent: to lose a good part of it must be visible
MINOR = 0.6  # of the sparsity that a leaky ReLU must at least leave
SAME = 3.0  # points
WHERE = ("dataset", "batch_size", "variant")  # Table 5 has other batch sizes than Table 3
MOST_OF_VGG = 65.0  # percent; Table 7 has 69 to 86 where the text says 70 to 80


def _named(network: str, point: Point) -> bool:
    return point.network.startswith(network)


def _harder(evidence: Evidence, network: str) -> Iterator[Finding]:
    known = [p for p in evidence.points if p.dataset in DIFFICULTY and _named(network, p)]
    for family in families(known, "dataset"):
        ordered = sorted(family, key=lambda point: DIFFICULTY.index(point.dataset))
        for easy, hard in itertools.pairwise(ordered):
            if easy.sparse or hard.sparse:
                what = f"{describe(easy, 'dataset')}, {hard.dataset} → {easy.dataset}"
                yield rise(what, hard, easy)


def _vanishes(evidence: Evidence) -> Iterator[Finding]:
    adam = [p for p in evidence.points if p.optimizer == "adam" and p.regularizer == "l2"]
    easy = [p for p in adam if p.dataset in DIFFICULTY[:2] and p.sparse]
    for point in adam:
        same = [p for p in easy if p.but(*WHERE) == point.but(*WHERE)]
        if point.dataset == "ImageNet" and _named("BasicNet", point) and same:
            below = greater(exactly(1.0), point.sparsity, 0.0)
            numbers = f"{text(point.sparsity)} % (CIFAR: {text(same[0].sparsity)})"
            yield Finding(describe(point), numbers, below, (point, same[0]))


def _clutter(evidence: Evidence) -> Iterator[Finding]:
    yield from _parts(evidence.points, "bg=", "bg=cluttered", "bg=clean")


def _parts(
    known: Sequence[Point], prefix: str, low: str, high: str, judge: Callable[..., Finding] = rise
) -> Iterator[Finding]:
    """Findings on the points with one part and with another, the rest of the variant equal."""
    for family in part_families(known, prefix):
        by_part = {point.part(prefix): point for point in family}
        if low in by_part and high in by_part:
            a, b = by_part[low], by_part[high]
            if a.sparse or b.sparse:
                what = f"{describe(a, 'variant')}, {low or 'default'} → {high or 'default'}"
                yield judge(what, a, b)


def _batch(evidence: Evidence) -> Iterator[Finding]:
    for family in families(evidence.points, "batch_size"):
        if any(point.sparse for point in family):
            ordered = sorted(family, key=lambda point: point.batch_size)
            sizes = ", ".join(str(point.batch_size) for point in ordered)
            what = f"{describe(family[0], 'batch_size')}, batch {sizes}"
            yield trend(what, ordered, falls=True)


def _width(evidence: Evidence) -> Iterator[Finding]:
    for family in part_families(evidence.points, "width="):
        if any(point.sparse for point in family):
            ordered = sorted(family, key=lambda p: width_of(p.part("width=")), reverse=True)
            widths = ", ".join(f"{width_of(point.part('width=')):g}" for point in ordered)
            what = f"{describe(family[0], 'variant')}, width {widths}"
            yield trend(what, ordered, falls=True)


def _leaky(evidence: Evidence) -> Iterator[Finding]:
    for family in part_families(evidence.points, "leaky_relu"):
        plain = next((p for p in family if not p.part("leaky_relu")), None)
        if plain is None or plain.sparsity.mean <= SPARSE_ENOUGH:
            continue
        for leaky in (point for point in family if point.part("leaky_relu")):
            floor = exactly(MINOR * plain.sparsity.mean)
            what = f"{describe(plain, 'variant')}, ReLU → {leaky.part('leaky_relu')}"
            numbers = f"{text(plain.sparsity)} → {text(leaky.sparsity)} %"
            yield Finding(what, numbers, greater(leaky.sparsity, floor, 0.0), (plain, leaky))


def _slow_gamma(evidence: Evidence) -> Iterator[Finding]:
    names = ("leaky_relu", "gamma_lr_scale=")
    for family in part_families(evidence.points, *names):
        parts = {tuple(point.part(name) for name in names): point for point in family}
        found = [parts.get(key) for key in (("", ""), ("leaky_relu_0.01", ""), ("", SLOW_GAMMA))]
        plain, leaky, slow = found
        if plain and leaky and slow and plain.sparsity.mean > SPARSE_ENOUGH:
            holds = every(
                greater(leaky.sparsity, slow.sparsity), greater(plain.sparsity, slow.sparsity)
            )
            numbers = " → ".join(text(point.sparsity) for point in (plain, leaky, slow)) + " %"
            what = f"{describe(plain, 'variant')}, ReLU → leaky → slow gamma"
            yield Finding(what, numbers, holds, (plain, leaky, slow))


SLOW_GAMMA, SLOW_BETA = "gamma_lr_scale=0.1", "beta_lr_scale=0.1"


def _unmoved(what: str, one: Point, other: Point) -> Finding:
    numbers = f"{text(one.sparsity)} → {text(other.sparsity)} %"
    return Finding(what, numbers, alike(one.sparsity, other.sparsity, SAME), (one, other))


def _beta_below(evidence: Evidence) -> Iterator[Finding]:
    yield from _parts(evidence.points, "beta_init=", "", "beta_init=-0.1", _unmoved)


def _beta_one(evidence: Evidence) -> Iterator[Finding]:
    yield from _parts(evidence.points, "beta_init=", "", "beta_init=1.0")


def _slow_beta(evidence: Evidence) -> Iterator[Finding]:
    yield from _parts(evidence.points, "beta_lr_scale=", "", SLOW_BETA)


def _most_of_vgg(dataset: str) -> Callable[[Evidence], Iterable[Finding]]:
    def test(evidence: Evidence) -> Iterator[Finding]:
        for point in evidence.points:
            if (point.dataset, point.network) == (dataset, "VGG-16") and point.optimizer == "adam":
                holds = greater(point.sparsity, exactly(MOST_OF_VGG), 0.0)
                yield Finding(describe(point), f"{text(point.sparsity)} %", holds, (point,))

    return test


CLAIMS = (
    Claim(
        "Harder tasks, less sparsity",
        "The extent of sparsity decreases on moving from the simple 10 class classification "
        "problem of CIFAR10 to the comparatively harder 100 class classification problem of "
        "CIFAR100",
        "Sec. 2.2 and 3, Table 1",
        (lambda evidence: _harder(evidence, "BasicNet"),),
        "BasicNet on two of CIFAR10, CIFAR100, TinyImageNet and ImageNet, all else equal",
        MOST,
    ),
    Claim(
        "VGG too is less sparse on harder tasks",
        "A similar trend is evident for VGG-16 in Tables 7 and 8",
        "Sec. 3, Tables 7 and 8",
        (lambda evidence: _harder(evidence, "VGG"),),
        "VGG on two of CIFAR10, CIFAR100, TinyImageNet and ImageNet, all else equal",
        MOST,
    ),
    Claim(
        "On ImageNet the sparsity vanishes",
        "70% sparsity on CIFAR10 decreases to 47% on CIFAR 100, and completely vanishes on "
        "ImageNet",
        "Sec. 3, Table 5",
        (_vanishes,),
        "BasicNet with Adam and L2 on ImageNet, and sparse on CIFAR with the same strength",
    ),
    Claim(
        "Clutter behind the objects, less sparsity",
        "there is a much higher sparsity (70%) with the clean BG set than with the more difficult "
        "cluttered set (57%)",
        "Sec. 3",
        (_clutter,),
        "runs with bg=clean and bg=cluttered, all else equal, one of them sparse",
    ),
    Claim(
        "Larger batches, less sparsity",
        "We see across datasets and networks that increasing the mini-batch size leads to a "
        "decrease in sparsity",
        "Sec. 5.1, Tables 3, 4, 7, 8 and 9",
        (_batch,),
        "runs of two batch sizes, all else equal, one of them sparse",
        MOST,
    ),
    Claim(
        "Narrower networks, less sparsity",
        "We see a consistent decrease in the extent of sparsity with decreasing network width",
        "Sec. 5.1, Table 6",
        (_width,),
        "runs of two widths, all else equal, one of them sparse",
    ),
    Claim(
        "Leaky ReLU barely lowers sparsity",
        "using Leaky ReLU has a minor overall impact on the emergent sparsity",
        "Supplement, Sec. 1, Table S2",
        (_leaky,),
        "runs with and without a leaky ReLU, the latter with more than 10 % inactive",
    ),
    Claim(
        "A slower gamma lowers it more",
        "Reducing the learning rate of BN parameter is much more effective (33% sparsity)",
        "Sec. 6, Tables S2 and S3",
        (_slow_gamma,),
        "three runs: plain with more than 10 % inactive, leaky_relu_0.01 and gamma_lr_scale=0.1",
    ),
    Claim(
        "Starting beta slightly below 0 changes nothing",
        "a slightly negative initialization value of 0.1 does not affect the level of sparsity",
        "Supplement, Sec. 3, Table S3",
        (_beta_below,),
        "runs with beta_init 0 and -0.1, one of them sparse",
    ),
    Claim(
        "Starting beta at 1 raises sparsity",
        "a positive initialization value of 1.0 results in higher sparsity",
        "Supplement, Sec. 3, Table S3",
        (_beta_one,),
        "runs with beta_init 0 and 1.0, one of them sparse",
    ),
    Claim(
        "A slower beta raises sparsity slightly",
        "scaling down the learning rate of s by a factor of 10 results in a slight increase in "
        "the extent of sparsity",
        "Supplement, Sec. 3, Table S3",
        (_slow_beta,),
        "runs with beta_lr_scale 1 and 0.1, one of them sparse",
    ),
    Claim(
        "VGG-16 on CIFAR loses 70 to 80 % of its filters",
        "The implicit sparsification process can remove 70-80% of the convolutional filters from "
        "VGG-16 on CIFAR10/100",
        "Sec. 1, Table 7",
        (_most_of_vgg("CIFAR10"), _most_of_vgg("CIFAR100")),
        "VGG-16 with Adam on both CIFAR10 and CIFAR100",
    ),
)
