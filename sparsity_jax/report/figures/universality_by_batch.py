"""Figure 5: universality of the last four layers, a row per data set, batch sizes overlaid."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from sparsity_jax.report.aggregate import Group, shared_parts, variant_parts
from sparsity_jax.report.figures import style
from sparsity_jax.report.figures.universality import BINS, TICKS, measured, pooled, shares
from sparsity_jax.report.loading import Records

LAYERS = 4  # the last ones: C4 to C7 of BasicNet
LINES = ("-", (0, (4, 1.5)), (0, (1, 1.2)), (0, (5, 1.2, 1, 1.2)))  # of the batch sizes
ROOM = 1.8
TONES = ("#0072B2", "#D55E00", "#009E73", "#CC79A7")


def batch_rows(records: Records) -> list[list[Group]]:
    """Groups that differ in their batch size alone, smallest first: a row of panels each."""
    rows: dict[tuple[object, ...], list[Group]] = {}
    for group in measured(records):
        row = group.first
        same = (row.dataset, row.network, row.variant, row.optimizer, row.regularizer, row.strength)
        rows.setdefault(same, []).append(group)
    ordered = [sorted(row, key=lambda group: group.first.batch_size) for row in rows.values()]
    return [row for row in ordered if len(row) > 1]


def shown_runs(records: Records) -> int:
    """Number of runs that the figure shows."""
    return sum(len(group.finished) for row in batch_rows(records) for group in row)


@style.themed
def universality_by_batch(records: Records, *, theme: style.Theme = style.LIGHT) -> Figure:
    """Share of a layer's filters over their universality (percent), seeds pooled.

    A row of panels per data set, the last four layers as columns, a line per batch size. The steps
    at the left, apart from the others, are the inactive filters: universality of exactly 0; they
    may leave the panel, and their share is printed.
    """
    rows = batch_rows(records)
    batches = sorted({group.first.batch_size for row in rows for group in row})
    depth = min(LAYERS, max(len(pooled(records, row[0])) for row in rows))
    figure = style.figure(style.PAGE, 0.55 + 1.5 * len(rows))
    panels = figure.subplots(len(rows), depth, squeeze=False, sharex=True, sharey="row")
    for line, row, name in zip(panels, rows, _names(records, rows), strict=True):
        values = [pooled(records, group) for group in row]
        for axes, layer in zip(line, list(values[0])[-depth:], strict=True):
            for group, found in zip(row, values, strict=True):
                _steps(axes, found[layer], batches.index(group.first.batch_size))
            _print_inactive(axes, row, [found[layer] for found in values], batches)
            axes.set_title(layer)
            axes.set_xlim(-19, 102)
            axes.set_xticks(list(TICKS), list(TICKS.values()))
            axes.tick_params(labelbottom=True)
        living = [shares(each[layer])[1] for each in values for layer in list(each)[-depth:]]
        line[0].set_ylim(0, ROOM * float(np.max(living)))  # what is printed stands above the lines
        line[0].set_ylabel(f"{style.wrapped(name, 1.3)}\nfilters (%)")
    for axes in panels[-1]:
        axes.set_xlabel("universality (%)", fontsize=7.5)
    handles = [
        Line2D([], [], color=TONES[i % 4], linestyle=LINES[i % 4], label=f"batch {batch}")
        for i, batch in enumerate(batches)
    ]
    figure.legend(handles=handles, loc="outside lower center", ncols=4)
    return figure


def _names(records: Records, rows: Sequence[Sequence[Group]]) -> list[str]:
    """What tells the rows of panels apart: data set, and variant or strength where they differ."""
    common = shared_parts(records.rows)
    firsts = [row[0].first for row in rows]
    names = []
    for first in firsts:
        parts = [first.dataset, *(p for p in variant_parts(first.variant) if p not in common)]
        if len({(f.optimizer, f.regularizer, f.strength) for f in firsts}) > 1:
            parts.append(f"{first.optimizer} {first.regularizer} {first.strength:g}")
        names.append(" ".join(parts))
    return names


def _steps(axes: Axes, values: np.ndarray, place: int) -> None:
    none, living = shares(values)
    look = {"color": TONES[place % 4], "linestyle": LINES[place % 4], "linewidth": 1.2}
    axes.stairs([none], [-16, -6], baseline=0, **look)
    axes.stairs(living, BINS, baseline=0, **look)
    axes.stairs(living, BINS, color=TONES[place % 4], fill=True, alpha=0.12)


def _print_inactive(
    axes: Axes, row: Sequence[Group], values: Sequence[np.ndarray], batches: Sequence[int]
) -> None:
    lines = [
        f"{group.first.batch_size}: {shares(found)[0]:.0f} %"
        for group, found in zip(row, values, strict=True)
    ]
    axes.text(
        0.5,
        0.97,
        "\n".join(["inactive", *lines]),
        transform=axes.transAxes,
        ha="center",
        va="top",
        fontsize=6.5,
    )
