"""Which runs differ in one thing only? Pairs of groups of runs, for claims to judge.

Every function yields what is compared and the two sparsities in percent. Small differences are
noise: pairs in which neither side is sparser than `MARGIN` points are left out.
"""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections.abc import Iterable, Sequence

from sparsity_jax.config.naming import strength_text
from sparsity_jax.report.aggregate import Group, variant_parts
from sparsity_jax.report.paper.published import matched
from sparsity_jax.storage.results import RunResult

MARGIN = 3.0  # points of sparsity
ERROR_BAND = 1.5  # points of test error within which two runs perform alike
Pairs = Iterable[tuple[str, float, float]]  # what is compared, then the two sparsities


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


def points(rows: Sequence[RunResult]) -> list[Point]:
    """One point for each group of finished runs whose sparsity is known."""
    found = [_point(group) for group in matched(rows).values()]
    return [point for point in found if not math.isnan(point.sparsity)]


def _point(group: Group) -> Point:
    layers = tuple(spread.mean for spread in group.layers())
    return Point(
        *group.key, group.spread("sparsity_gamma").mean,
        group.spread("test_error").mean, group.spread("pruned_test_error").mean, layers,
    )  # fmt: skip


def along(known: Sequence[Point], field: str, order: Sequence[object]) -> Pairs:
    """Neighbouring values of one field, in this order, all else equal, unless neither is sparse."""
    families: dict[tuple[object, ...], dict[object, Point]] = {}
    for point in known:
        if getattr(point, field) in order:
            families.setdefault(point.but(field), {})[getattr(point, field)] = point
    for family in families.values():
        present = [family[value] for value in order if value in family]
        for a, b in itertools.pairwise(present):
            sparsities = (a.sparsity, b.sparsity)
            if max(sparsities) > MARGIN:
                yield f"{describe(a, field)}, {_word(a, field)} → {_word(b, field)}", *sparsities


def along_parts(known: Sequence[Point], prefix: str, order: Sequence[str]) -> Pairs:
    """As `along`, over one part of the variants: the one with this prefix, '' where there is none.

    'width=0.25+bg=clean' is compared with 'width=0.25+bg=cluttered': the rest must agree.
    """
    made = []
    for point in known:
        parts = variant_parts(point.variant)
        mine = "".join(part for part in parts if part.startswith(prefix))
        rest = "+".join(part for part in parts if not part.startswith(prefix))
        made.append(dataclasses.replace(point, variant=mine, dataset=_join(point.dataset, rest)))
    return along(made, "variant", order)


def _join(*words: str) -> str:
    return " ".join(word for word in words if word)


def parts_with(known: Sequence[Point], prefix: str) -> list[str]:
    """Every part with this prefix, each once, in alphabetical order."""
    parts = {part for point in known for part in variant_parts(point.variant)}
    return sorted(part for part in parts if part.startswith(prefix))


def width_of(part: str) -> float:
    """The multiplier of a width: '' -> 1, 'width=64-0.5x' -> 0.5, 'width=0.25' -> 0.25."""
    try:
        return float(part.removeprefix("width=").rpartition("-")[2].removesuffix("x") or 1)
    except ValueError:
        return 1.0


def describe(point: Point, without: str = "") -> str:
    """A point in words, without the field that a comparison varies."""
    parts = ("dataset", "optimizer", "regularizer", "strength")
    words = [_word(point, part) for part in parts if part != without]
    return " ".join([*words, *([point.variant] if point.variant and without != "variant" else [])])


def _word(point: Point, field: str) -> str:
    value = getattr(point, field)
    if field == "batch_size":
        return f"batch {value}"
    return strength_text(value) if field == "strength" else str(value or "default")


def best_at_equal_error(known: Sequence[Point], field: str, values: tuple[str, str]) -> Pairs:
    """The largest sparsity on either side within ERROR_BAND of the lowest error of both."""
    settings: dict[tuple[object, ...], list[Point]] = {}
    for point in known:
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
