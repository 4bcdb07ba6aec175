"""Sparsity by layer, and what layers keep after pruning (Tables 2 and S1 as pictures)."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from sparsity_jax.report.aggregate import Group, groups, panel_labels
from sparsity_jax.report.figures import style
from sparsity_jax.report.loading import Records

MOST_BARS = 8  # with more groups than this, bars give way to a heat map
MOST_NUMBERS = 60  # rows of the heat map that still carry numbers; the page's table has them all
MOST_ZEROS = 25  # rows of the heat map in which even zeros are written
MOST_NAMES = 80  # rows of the heat map that still carry their names


def finished_groups(records: Records) -> list[Group]:
    """Groups with layers to show."""
    return [group for group in groups(records.rows) if group.layers()]


@style.themed
def sparsity_by_layer(records: Records, *, theme: style.Theme = style.LIGHT) -> Figure:
    """Share of inactive filters (|gamma| < threshold, percent) in C1 ... CN and in total.

    Bars (mean over seeds, whiskers ± std) for a few groups of runs, a heat map for many.
    """
    shown = finished_groups(records)
    return (_bars if len(shown) <= MOST_BARS else _heat)(records, shown, theme)


def _bars(records: Records, shown: list[Group], theme: style.Theme) -> Figure:
    figure = style.figure(style.PAGE, 2.7 + 0.17 * ((len(shown) + 3) // 4))
    axes = figure.subplots()
    marks = style.marks(records.rows)
    depth = max(len(group.layers()) for group in shown)
    width = 0.82 / len(shown)
    for i, group in enumerate(shown):
        spreads = [*group.layers(), group.spread("sparsity_gamma")]
        at = np.array([*range(len(spreads) - 1), depth + 0.4]) + (i - (len(shown) - 1) / 2) * width
        mark = marks[group.first.run]
        axes.bar(
            at,
            [s.mean for s in spreads],
            width * 0.94,
            color=mark.color,
            alpha=mark.alpha,
            hatch=mark.hatch,
            edgecolor=theme.face,
            linewidth=0.3,
            label=style.plain(group.label),
        )
        for x, s in zip(at, spreads, strict=True):
            if s.n > 1:
                axes.errorbar(x, s.mean, s.std, color="0.5", linewidth=0.9, capsize=1.5)
        axes.text(
            at[-1],
            max(0.0, spreads[-1].mean),
            f"{spreads[-1].mean:.0f}",
            ha="center",
            va="bottom",
            fontsize=7.5,
        )
    axes.axvline(depth - 0.3, linewidth=0.8, color="0.6", linestyle=":")
    axes.set_xticks([*range(depth), depth + 0.4], [*(f"C{i + 1}" for i in range(depth)), "all"])
    axes.grid(visible=False, axis="x")
    axes.set_ylabel("inactive filters (%)")
    axes.set_ylim(0, max(5, min(105, axes.get_ylim()[1] * 1.06)))
    columns = style.legend_columns([group.label for group in shown])
    figure.legend(loc="outside upper center", ncols=columns)
    return figure


def _heat(_: Records, shown: list[Group], theme: style.Theme) -> Figure:
    depth = max(len(group.layers()) for group in shown)
    cells = np.full((len(shown), depth + 1), np.nan)
    for i, group in enumerate(shown):
        means = [s.mean for s in group.layers()]
        cells[i, : len(means)] = means
        cells[i, depth] = group.spread("sparsity_gamma").mean
    named = len(shown) <= MOST_NAMES
    row = 0.19 if named else max(0.04, 11 / len(shown))
    figure = style.figure(style.PAGE, min(16.0, 1.0 + row * len(shown)))
    axes = figure.subplots()
    image = axes.imshow(cells, aspect="auto", cmap=theme.heat_map, vmin=0, vmax=100)
    axes.grid(visible=False)
    axes.set_xticks(range(depth + 1), [*(f"C{i + 1}" for i in range(depth)), "all"])
    axes.xaxis.tick_top()
    if named:
        axes.set_yticks(range(len(shown)), [style.plain(group.label, 44) for group in shown])
    else:
        axes.set_ylabel(f"{len(shown)} groups of runs, in the table's order")
    for i, (before, after) in enumerate(pairwise(shown)):
        if (before.key[2:4]) != (after.key[2:4]):  # another optimizer or regularizer
            axes.axhline(i + 0.5, color=theme.faint, linewidth=0.6)
    if len(shown) <= MOST_NUMBERS:
        _numbers(axes, cells, theme)
    axes.tick_params(length=0)
    figure.colorbar(
        image,
        ax=axes,
        label="inactive filters (%)",
        location="bottom",
        aspect=45,
        pad=0.01,
        fraction=0.03,
    )
    return figure


def _numbers(axes: Axes, cells: np.ndarray, theme: style.Theme) -> None:
    for (i, j), value in np.ndenumerate(cells):
        if np.isfinite(value) and (value >= 0.5 or len(cells) <= MOST_ZEROS):
            ink = theme.ink if value < 45 else theme.face
            axes.text(j, i, f"{value:.0f}", ha="center", va="center", fontsize=7, color=ink)


def pruned_runs(records: Records) -> list[str]:
    """The runs whose filters before and after pruning are shown."""
    return [run for run in records.shown if run in records.pruned and records.pruned[run].layers]


@style.themed
def filters_kept(records: Records, *, theme: style.Theme = style.LIGHT) -> Figure:
    """Filters of every layer before pruning (outline) and after it (filled), a panel per run."""
    runs = pruned_runs(records)
    labels, marks = panel_labels(records.rows), style.marks(records.rows)
    columns = min(4, len(runs))
    lines = -(-len(runs) // columns)
    figure = style.figure(style.PAGE, 0.5 + 1.55 * lines)
    panels = figure.subplots(lines, columns, squeeze=False, sharey=True).ravel()
    for panel in panels[len(runs) :]:
        panel.set_axis_off()
    for axes, run in zip(panels, runs, strict=False):
        pruned = records.pruned[run]
        names = list(pruned.layers)
        before = [pruned.layers[name]["filters"] for name in names]
        after = [pruned.layers[name]["kept"] for name in names]
        axes.bar(names, before, color="none", edgecolor=theme.faint, linewidth=0.9)
        axes.bar(names, after, color=marks[run].color)
        axes.grid(visible=False, axis="x")
        axes.tick_params(axis="x", labelsize=6.5 if len(names) < 10 else 5, length=0)
        style.panel_title(axes, labels[run], f"{sum(before):,} → {sum(after):,} filters")
    for axes in panels[:: max(1, columns)]:
        axes.set_ylabel("filters")
    outline = Patch(facecolor="none", edgecolor=theme.faint, label="before pruning")
    filled = Patch(facecolor=theme.faint, label="after pruning")
    figure.legend(handles=[outline, filled], loc="outside lower center", ncols=2)
    return figure
