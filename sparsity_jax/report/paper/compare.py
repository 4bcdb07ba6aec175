"""How far are our numbers from the published ones, cell by cell?

The rule: a cell `agrees` when |ours - published| <= max(half a unit of the last printed digit, two
standard deviations over our seeds, the tolerance of its kind); it is `close` within three times
that, and `differs` beyond. The paper publishes no deviations, so a tolerance stands in for the
spread of its few runs. Shortened runs are never judged: their verdict is `shortened`.
"""

from __future__ import annotations

import csv
import dataclasses
import io
import math
from collections.abc import Sequence
from typing import Literal

from sparsity_jax.report.aggregate import Group, Spread
from sparsity_jax.report.paper.published import Published, matched, published
from sparsity_jax.storage.results import RunResult

Verdict = Literal["agrees", "close", "differs", "shortened", "not run"]
TOLERANCES = {
    "train_loss": 0.1, "test_loss": 0.15, "test_error": 1.0, "top5_error": 1.0,
    "sparsity_act": 3.0, "sparsity_gamma": 3.0, "features_pruned_pct": 3.0,
    "params_pruned_pct": 3.0, "pruned_test_error": 1.0, "pruned_top5_error": 1.0,
}  # fmt: skip
LAYER_TOLERANCE = 6.0
RULE = (
    "agrees: |ours - published| is at most the largest of half a unit of the last printed digit, "
    "two standard deviations over our seeds, and a tolerance (errors 1 point, sparsity 3 points, "
    "one layer's sparsity 6 points, training loss 0.1, test loss 0.15); close: within three times "
    "that; differs: beyond."
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
    """One published row beside our runs of it; `group` is None where nobody ran it."""

    published: Published
    group: Group | None
    cells: tuple[CellComparison, ...]


def compare(
    rows: Sequence[RunResult],
    *,
    scale: float = 1.0,
    against: Sequence[Published] | None = None,
) -> list[RowComparison]:
    """Every published row beside our runs of it.

    Args:
      rows: rows of results.csv.
      scale: the config's scale; below 1 the runs were shortened and nothing is judged.
      against: the published rows; the paper's by default.
    """
    ours = matched(rows)
    known = published() if against is None else against
    return [_row(item, ours.get(item.key), scale) for item in known]


def judge(published_text: str, ours: Spread, tolerance: float) -> Verdict:
    """The verdict on one cell by the stated rule.

    Example:
      >>> judge("36.6", Spread(37.4, 0.2, 3), 1.0)
      'agrees'
      >>> judge("36.6", Spread(39.4, 0.2, 3), 1.0)
      'close'
    """
    if not ours.n:
        return "not run"
    spread = 0.0 if math.isnan(ours.std) else 2 * ours.std
    allowed = max(rounding(published_text), spread, tolerance)
    apart = abs(ours.mean - float(published_text))
    if apart <= allowed + 1e-9:
        return "agrees"
    return "close" if apart <= 3 * allowed + 1e-9 else "differs"


def rounding(printed: str) -> float:
    """Half a unit of the last printed digit: '36.6' -> 0.05, '70' -> 0.5."""
    return 0.5 * 10.0 ** -len(printed.partition(".")[2])


def encode(comparisons: Sequence[RowComparison]) -> str:
    """compare.csv: a line for each published number of the rows that we ran."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow((
        "table", "dataset", "network", "optimizer", "regularizer", "strength", "batch_size",
        "variant", "column", "published", "ours", "std", "n", "difference", "verdict",
    ))  # fmt: skip
    for item in comparisons:
        if item.group is None:
            continue
        printed = item.published.printed
        identity = [printed[name] for name in (
            "table", "dataset", "network", "optimizer", "regularizer", "strength", "batch_size",
            "variant",
        )]  # fmt: skip
        for cell in item.cells:
            numbers = (cell.ours.mean, cell.ours.std, cell.difference)
            mean, std, apart = ("" if math.isnan(value) else f"{value:.2f}" for value in numbers)
            writer.writerow((
                *identity, cell.column, printed[cell.column], mean, std, cell.ours.n, apart,
                cell.verdict,
            ))  # fmt: skip
    return text.getvalue()


def _row(item: Published, group: Group | None, scale: float) -> RowComparison:
    cells = []
    layers = group.layers() if group else []
    for column, tolerance in TOLERANCES.items():
        if item.printed[column]:
            ours = group.spread(column) if group else Spread(math.nan, math.nan, 0)
            cells.append(_cell(item, column, ours, tolerance, scale))
    for i in range(len(item.row.layers)):
        ours = layers[i] if i < len(layers) else Spread(math.nan, math.nan, 0)
        if item.printed[f"c{i + 1}"]:
            cells.append(_cell(item, f"c{i + 1}", ours, LAYER_TOLERANCE, scale))
    return RowComparison(item, group, tuple(cells))


def _cell(
    item: Published, column: str, ours: Spread, tolerance: float, scale: float
) -> CellComparison:
    text = item.printed[column]
    verdict = judge(text, ours, tolerance)
    if scale < 1 and ours.n:
        verdict = "shortened"
    return CellComparison(column, float(text), ours, verdict)
