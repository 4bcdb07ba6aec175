"""The distance of our numbers from the published ones, cell by cell, with a verdict on each.

A cell `agrees` when |ours - published| <= max(half a unit of the last printed digit, the tolerance
of its kind); it is `close` within twice that, and `differs` beyond. The paper publishes no
deviations, so a tolerance stands in for the spread of its few runs. Spread among our seeds never
widens it: a mean that is not known to within the tolerance is `too noisy`. Runs of another length
than the paper's are shown and never judged: `shortened`, `lengthened`. Where more than half of the
runs of a row diverged, its verdict is `diverged`, whatever the others gave.
"""

from __future__ import annotations

import csv
import dataclasses
import io
import math
from collections.abc import Sequence
from typing import Any, Literal

from sparsity_jax.report.aggregate import Group, Spread
from sparsity_jax.report.paper.length import is_full, length_text, share
from sparsity_jax.report.paper.published import Published, matched, published
from sparsity_jax.storage.results import RunResult

Verdict = Literal[
    "agrees", "close", "differs", "too noisy", "shortened", "lengthened", "diverged", "not run"
]
TOLERANCES = {  # in points; losses and counts are relative, see `tolerance`
    "train_loss": 0.01,
    "test_loss": 0.01,
    "test_error": 1.0,
    "top5_error": 1.0,
    "sparsity_act": 3.0,
    "sparsity_gamma": 3.0,
    "features_pruned": 15.0,
    "features_pruned_pct": 3.0,
    "params_pruned_pct": 3.0,
    "pruned_test_error": 1.0,
    "pruned_top5_error": 1.0,
}
RELATIVE = {"train_loss": 0.25, "test_loss": 0.25, "features_pruned": 0.2}
IDENTITY = (
    "table",
    "dataset",
    "network",
    "optimizer",
    "regularizer",
    "strength",
    "batch_size",
    "variant",
)
COLUMNS = (
    *IDENTITY,
    "column",
    "published",
    "ours",
    "std",
    "n",
    "difference",
    "verdict",
    "survivors",
    "length",
)
LAYER_TOLERANCE = 6.0
NOTHING = Spread(math.nan, math.nan, 0)
BELOW_ONE = 0.99  # where 0 % is published
CLOSE = 2.0  # tolerances within which a cell is close
RULE = (
    "agrees: |ours - published| is at most the larger of half a unit of the last printed digit and "
    "a tolerance (errors 1 point, sparsity 3 points, one layer's sparsity 6 points, losses 25 % "
    "and at least 0.01, filters pruned 20 % and at least 15; where 0 % is published, ours is below "
    "1 %); close: within twice that; differs: beyond; too noisy: two standard errors over our "
    "seeds exceed the tolerance; diverged: more than half of our runs did."
)


@dataclasses.dataclass(frozen=True)
class CellComparison:
    """One published number beside ours."""

    column: str
    published: float
    ours: Spread
    verdict: Verdict

    @property
    def difference(self) -> float:
        """Ours minus published; NaN where there is none of ours."""
        return self.ours.mean - self.published


@dataclasses.dataclass(frozen=True)
class RowComparison:
    """One published row beside our runs of it.

    Attributes:
      published: the row.
      group: our runs of it, None where nobody ran it.
      cells: its numbers that were printed.
      length: 'shortened to 12 %' and the like; '' for full-length runs.
    """

    published: Published
    group: Group | None
    cells: tuple[CellComparison, ...]
    length: str = ""

    @property
    def survivors(self) -> str:
        """'1 of 3 finished' where some of our runs diverged; '' where all finished.

        Example:
          >>> gone = RunResult("r", "CIFAR10", "BasicNet", "sgd", "wd", 1e-2, 40, status="diverged")
          >>> [row.survivors for row in compare([gone]) if row.group]
          ['0 of 1 finished']
        """
        if self.group is None or len(self.group.finished) == len(self.group.rows):
            return ""
        return f"{len(self.group.finished)} of {len(self.group.rows)} finished"


def compare(
    rows: Sequence[RunResult],
    *,
    scale: float = 1.0,
    against: Sequence[Published] | None = None,
) -> list[RowComparison]:
    """Every published row beside our runs of it.

    Args:
      rows: rows of results.csv.
      scale: the config's scale: how long runs are whose full length the paper does not say.
      against: the published rows; the paper's by default.

    Returns:
      A comparison for each row of `against`, in its order.

    Example:
      >>> ours = RunResult("r", "CIFAR10", "BasicNet", "adam", "l2", 1e-4, 40, test_error=10.9)
      >>> found = [row for row in compare([ours]) if row.group]
      >>> found[0].cells[0].column, found[0].cells[0].verdict, found[0].published.table
      ('test_error', 'agrees', '1')
    """
    ours = matched(rows, scale)
    known = published() if against is None else against
    return [_row(item, ours.get(item.key), scale) for item in known]


def judge(published_text: str, ours: Spread, tolerance: float) -> Verdict:
    """The verdict on one cell of full-length runs by the stated rule.

    Args:
      published_text: the number as printed: its decimals say how far it was rounded.
      ours: mean, standard deviation and number of our runs.
      tolerance: in the cell's unit.

    Example:
      >>> judge("36.6", Spread(37.4, 0.2, 3), 1.0)
      'agrees'
      >>> judge("36.6", Spread(38.4, 0.2, 3), 1.0)
      'close'
      >>> judge("70", Spread(70.0, 40.0, 3), 3.0)
      'too noisy'
    """
    if not ours.n:
        return "not run"
    allowed = max(rounding(published_text), tolerance)
    if not math.isnan(ours.std) and 2 * ours.std / math.sqrt(ours.n) > allowed:
        return "too noisy"
    apart = abs(ours.mean - float(published_text))
    if apart <= allowed + 1e-9:
        return "agrees"
    return "close" if apart <= CLOSE * allowed + 1e-9 else "differs"


def tolerance(column: str, printed: str) -> float:
    """Largest distance from a published number that agrees with it, in the column's unit.

    Example:
      >>> tolerance("test_error", "36.6"), tolerance("train_loss", "1.06"), tolerance("c6", "0")
      (1.0, 0.265, 0.99)
    """
    value = abs(float(printed))
    if not value and column.startswith(("sparsity", "c", "features", "params")):
        return BELOW_ONE
    return max(TOLERANCES.get(column, LAYER_TOLERANCE), RELATIVE.get(column, 0.0) * value)


def rounding(printed: str) -> float:
    """Half a unit of the last printed digit: '36.6' -> 0.05, '70' -> 0.5."""
    return 0.5 * 10.0 ** -len(printed.partition(".")[2])


def encode(comparisons: Sequence[RowComparison]) -> str:
    """compare.csv: a line for each published number of the rows that we ran."""
    text = io.StringIO()
    writer: csv.DictWriter[str] = csv.DictWriter(text, COLUMNS, lineterminator="\n")
    writer.writeheader()
    for line in lines(comparisons):
        rounded = {name: _two_decimals(line[name]) for name in ("ours", "std", "difference")}
        writer.writerow({**line, **rounded})
    return text.getvalue()


def lines(comparisons: Sequence[RowComparison]) -> list[dict[str, Any]]:
    """The lines of compare.csv; its numbers unrounded, NaN where there is none."""
    return [
        {
            **{name: item.published.printed[name] for name in IDENTITY},
            "column": cell.column,
            "published": item.published.printed[cell.column],
            "ours": cell.ours.mean,
            "std": cell.ours.std,
            "n": cell.ours.n,
            "difference": cell.difference,
            "verdict": cell.verdict,
            "survivors": item.survivors,
            "length": item.length,
        }
        for item in comparisons
        if item.group is not None
        for cell in item.cells
    ]


def _two_decimals(value: float) -> str:
    return "" if math.isnan(value) else f"{value:.2f}"


def _row(item: Published, group: Group | None, scale: float) -> RowComparison:
    layers = group.layers() if group else []
    lengths = [share(row, scale) for row in group.finished] if group else []
    shortest = min(lengths, key=lambda length: (is_full(length), length), default=1.0)
    cells = []
    for column in (*TOLERANCES, *(f"c{i + 1}" for i in range(len(item.row.layers)))):
        if text := item.printed[column]:
            if column in TOLERANCES:
                ours = group.spread(column) if group else NOTHING
            else:
                ours = layers[int(column[1:]) - 1] if len(layers) >= int(column[1:]) else NOTHING
            verdict = _verdict(text, ours, tolerance(column, text), group, shortest)
            cells.append(CellComparison(column, float(text), ours, verdict))
    return RowComparison(item, group, tuple(cells), length_text(lengths))


def _verdict(
    text: str, ours: Spread, allowed: float, group: Group | None, length: float
) -> Verdict:
    if group is not None and 2 * len(group.finished) < len(group.rows):
        return "diverged"
    if not ours.n:
        return "not run"
    if not is_full(length):
        return "shortened" if length < 1 else "lengthened"
    return judge(text, ours, allowed)
