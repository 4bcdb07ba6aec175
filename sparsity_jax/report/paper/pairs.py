"""Groups of runs as points, and the families of points that differ in one setting alone."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

from sparsity_jax.config.naming import strength_text
from sparsity_jax.report.aggregate import OPTIMIZER_NAMES, Group, Spread, spread, variant_parts
from sparsity_jax.report.paper.length import share
from sparsity_jax.report.paper.published import matched
from sparsity_jax.storage.results import RunResult

MARGIN = 3.0  # points of sparsity up to which nothing counts as sparse
ERROR_BAND = 1.5  # points of test error within which two runs perform alike
NOT_THE_METHOD = ("baseline=", "finetune=", "gamma_l1=")  # parts of a variant
_FILTERS = {"VGG-11": 2752, "VGG-16": 4224, "VGG-19": 5504}
# Classes of equal size: a run that errs on all but one of them guesses.
_CLASSES = {
    "CIFAR10": 10,
    "CIFAR100": 100,
    "TinyImageNet": 200,
    "ImageNet": 1000,
    "ObjectNet3D-30": 30,
    "renderings": 10,
}
_TEST_IMAGES = 10_000
_FIELDS = ("dataset", "network", "optimizer", "regularizer", "strength", "batch_size", "variant")


@dataclasses.dataclass(frozen=True)
class Point:
    """One group of runs, reduced to what claims are about.

    Attributes:
      sparsity, act: inactive filters in percent, by gamma and by activation.
      error, pruned_error, params_pruned: in percent; NaN where not measured.
      cost: what pruning added to the error, run by run, in points.
      layers: sparsity by gamma of C1 ... CN, means in percent.
      runs: the runs' names.
      length: share of the full length.
    """

    dataset: str
    network: str
    optimizer: str
    regularizer: str
    strength: float
    batch_size: int
    variant: str
    sparsity: Spread
    act: Spread
    error: Spread
    pruned_error: Spread
    cost: Spread
    params_pruned: float
    layers: tuple[float, ...]
    runs: tuple[str, ...]
    length: float

    def but(self, *names: str) -> tuple[object, ...]:
        """Its identity without these fields: what points share that differ in them alone."""
        kept = (getattr(self, name) for name in _FIELDS if name not in names)
        return (*kept, round(self.length, 2))

    def part(self, prefix: str) -> str:
        """The part of its variant with this prefix; '' without one."""
        return next((p for p in variant_parts(self.variant) if p.startswith(prefix)), "")

    def without(self, *prefixes: str) -> str:
        """Its variant without the parts that have one of these prefixes."""
        return "+".join(p for p in variant_parts(self.variant) if not p.startswith(prefixes))

    @property
    def sparse(self) -> bool:
        """Whether more than `MARGIN` percent of its filters are inactive."""
        return self.sparsity.mean > MARGIN


def points(
    rows: Sequence[RunResult],
    notes: Mapping[str, Sequence[str]] | None = None,
    scale: float = 1.0,
) -> list[Point]:
    """One point for each group of finished runs that learned and whose sparsity is known.

    Args:
      rows: rows of results.csv.
      notes: run -> what its seal notes; a run noted to be at chance level is left out.
      scale: of the config.
    """
    told = notes or {}
    fair = [row for row in rows if row.status == "finished" and learned(row, told.get(row.run, ()))]
    found = [_point(group, scale) for group in matched(fair, scale).values()]
    return [point for point in found if point.sparsity.n]


def learned(row: RunResult, notes: Sequence[str] = ()) -> bool:
    """Whether a run's error is below that of guessing.

    Example:
      >>> row = RunResult("r", "CIFAR10", "BasicNet", "sgd", "wd", 1e-2, 40, test_error=90.0)
      >>> learned(row), learned(dataclasses.replace(row, test_error=82.3))
      (False, True)
    """
    if any("chance level" in note for note in notes):
        return False
    classes = _CLASSES.get(row.dataset)
    if not classes or math.isnan(row.test_error):
        return True
    right = 1 / classes
    error = 2 * math.sqrt(right * (1 - right) / _TEST_IMAGES)
    return row.test_error < 100 * (1 - right - error)


def _point(group: Group, scale: float) -> Point:
    rows = group.finished
    pruned = group.spread("params_pruned_pct").mean
    cost = spread([row.pruned_test_error - row.test_error for row in rows])
    return Point(
        *group.key,
        _sparsity(group),
        group.spread("sparsity_act"),
        group.spread("test_error"),
        group.spread("pruned_test_error"),
        cost,
        pruned,
        tuple(layer.mean for layer in group.layers()),
        tuple(row.run for row in rows),
        min(share(row, scale) for row in rows),
    )


def _sparsity(group: Group) -> Spread:
    """By gamma; from the count of pruned filters where only that is known, as in Table 9.

    Of a baseline, what its criterion pruned.
    """
    if any(part.startswith(NOT_THE_METHOD) for part in variant_parts(group.first.variant)):
        return group.spread("features_pruned_pct")
    found, filters = group.spread("sparsity_gamma"), _FILTERS.get(group.first.network)
    if found.n or not filters:
        return found
    count = group.spread("features_pruned")
    return Spread(100 * count.mean / filters, 100 * count.std / filters, count.n)


def families(known: Iterable[Point], *fields: str) -> Iterator[list[Point]]:
    """Points that agree in all but these fields, two or more of them at a time."""
    yield from _gathered(known, lambda point: point.but(*fields))


def part_families(known: Iterable[Point], *prefixes: str) -> Iterator[list[Point]]:
    """Points that agree in all but the parts of their variants with these prefixes."""
    yield from _gathered(known, lambda p: (*p.but("variant"), p.without(*prefixes)))


def _gathered(
    known: Iterable[Point], identity: Callable[[Point], tuple[object, ...]]
) -> Iterator[list[Point]]:
    found: dict[tuple[object, ...], list[Point]] = {}
    for point in known:
        found.setdefault(identity(point), []).append(point)
    yield from (members for members in found.values() if len(members) > 1)


def width_of(part: str) -> float:
    """The multiplier of a width: '' -> 1, 'width=64-0.5x' -> 0.5, 'width=0.25' -> 0.25."""
    try:
        return float(part.removeprefix("width=").rpartition("-")[2].removesuffix("x") or 1)
    except ValueError:
        return 1.0


def describe(point: Point, *without: str) -> str:
    """A point in words, without the fields that a comparison varies.

    Example:
      >>> describe(points([RunResult("r", "CIFAR10", "BasicNet", "sgd", "l2", 1e-3, 40,
      ...                            sparsity_gamma=27.0)])[0], "strength")
      'CIFAR10 SGD L2'
    """
    words = {
        "dataset": point.dataset,
        "network": "" if point.network == "BasicNet" else point.network,
        "optimizer": OPTIMIZER_NAMES.get(point.optimizer, point.optimizer),
        "regularizer": {"none": "no regularizer"}.get(point.regularizer, point.regularizer.upper()),
        "strength": strength_text(point.strength) if point.strength else "",
        "batch_size": "" if point.batch_size == 40 else f"batch {point.batch_size}",
        "variant": point.variant,
    }
    return " ".join(word for field, word in words.items() if word and field not in without)


def in_band(members: Sequence[Point], among: Sequence[Point]) -> list[Point]:
    """Those of the members within `ERROR_BAND` of the lowest error among all of `among`."""
    errors = [point.error.mean for point in among if point.error.n]
    if not errors:
        return []
    return [p for p in members if p.error.mean <= min(errors) + ERROR_BAND]  # NaN is not
