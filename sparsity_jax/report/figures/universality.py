"""Figures 3 and S2: histograms of universality by layer, strengths as rows, optimizers as columns.

A bar of its own, left of the others, stands for universality of exactly 0 %: inactive filters.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import PatchCollection
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from sparsity_jax.report.aggregate import Group, groups
from sparsity_jax.report.figures import style
from sparsity_jax.report.loading import Records

BINS = np.linspace(0, 100, 11)
INACTIVE = (-16.0, -6.0)  # where the bar of the inactive filters stands
TICKS = {-11.0: "0", 0.0: "", 50.0: "50", 100.0: "100"}
MOST_KINDS = 4  # columns
FILLED = 0.62  # of a layer's row; the rest keeps rows apart


def measured(records: Records) -> list[Group]:
    """Groups of runs whose universality was measured, in the table's order."""
    return [group for group in groups(records.rows) if pooled(records, group)]


def pooled(records: Records, group: Group) -> dict[str, np.ndarray]:
    """Layer -> universality in percent of its filters, in all the group's seeds together."""
    found: dict[str, list[np.ndarray]] = {}
    for row in group.finished:
        if row.run in records.measures:
            for layer, values in records.measures[row.run].universality.items():
                found.setdefault(layer, []).append(values[np.isfinite(values)])
    joined = {layer: np.concatenate(parts) for layer, parts in found.items()}
    return {layer: values for layer, values in joined.items() if len(values)}


def shares(values: np.ndarray) -> tuple[float, np.ndarray]:
    """Percent of the filters at universality 0, and of those above it in each bin.

    Example:
      >>> none, living = shares(np.array([0.0, 0.0, 5.0, 100.0]))
      >>> none, living.tolist()
      (50.0, [25.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 25.0])
    """
    counts, _ = np.histogram(values[values > 0], BINS)
    return 100.0 * float(np.mean(values <= 0)), 100.0 * counts / len(values)


def strength_rows(records: Records) -> dict[tuple[str, str], list[Group]]:
    """(optimizer, regularizer) -> its groups: of the lowest and of the highest strength measured.

    Data set, network, batch size and variant are those of most groups; `MOST_KINDS` kinds at most,
    those with several strengths first.
    """
    found = measured(records)
    settings = Counter(_setting(group) for group in found)
    if not settings:
        return {}
    (common, _), *_ = settings.most_common(1)
    kinds: dict[tuple[str, str], list[Group]] = {}
    for group in found:
        if _setting(group) == common:
            kinds.setdefault((group.first.optimizer, group.first.regularizer), []).append(group)
    ends = {}
    for kind, listed in kinds.items():
        ordered = sorted(listed, key=lambda group: group.first.strength)
        ends[kind] = ordered if len(ordered) == 1 else [ordered[0], ordered[-1]]
    ranked = sorted(ends, key=lambda kind: -len(ends[kind]))[:MOST_KINDS]
    return {kind: ends[kind] for kind in ends if kind in ranked}


def shown_runs(records: Records) -> int:
    """Number of runs that the figure shows."""
    return sum(len(group.finished) for ends in strength_rows(records).values() for group in ends)


def _setting(group: Group) -> tuple[str, str, int, str]:
    row = group.first
    return row.dataset, row.network, row.batch_size, row.variant


@style.themed
def universality_histograms(records: Records, *, theme: style.Theme = style.LIGHT) -> Figure:
    """Share of a layer's filters over their universality, both in percent; seeds are pooled.

    Rows of panels: low and high strength; columns: optimizer and regularizer. In a panel a row per
    layer, whose vertical scale is common to all panels. The bar of the inactive filters is cut at
    its top; their share is printed.
    """
    kinds = strength_rows(records)
    lines = max(len(ends) for ends in kinds.values())
    values = {group.key: pooled(records, group) for ends in kinds.values() for group in ends}
    layers = list(dict.fromkeys(layer for each in values.values() for layer in each))
    tops = {
        layer: _top([each[layer] for each in values.values() if layer in each]) for layer in layers
    }
    row = 0.39 if len(layers) <= 8 else 0.3
    figure = style.figure(style.PAGE, 0.5 + lines * (0.35 + row * len(layers)))
    panels = figure.subplots(lines, len(kinds), squeeze=False, sharex=True, sharey=True)
    for column, ends in zip(panels.T, kinds.values(), strict=True):
        for axes, group in zip(column, ends, strict=False):
            _panel(axes, values[group.key], tops, style.color(group.first.optimizer), theme)
            axes.set_title(style.wrapped(_title(group), style.PAGE / len(kinds)))
        for axes in column[len(ends) :]:
            axes.set_axis_off()
        last = column[len(ends) - 1]
        last.set_xlabel("universality (%)")
        last.tick_params(labelbottom=True)
    for axes in panels[:, 0]:
        _name_rows(axes, tops)
    return figure


def _title(group: Group) -> str:
    return group.label.partition(",")[0] if group.first.regularizer != "none" else group.label


def _top(many: Sequence[np.ndarray]) -> float:
    """Where a layer's vertical scale ends: above the bars of living filters, a round number."""
    highest = max(float(shares(values)[1].max()) for values in many)
    return next(top for top in (5.0, 10.0, 20.0, 30.0, 50.0, 70.0, 101.0) if highest <= top)


def _panel(
    axes: Axes,
    values: Mapping[str, np.ndarray],
    tops: Mapping[str, float],
    color: str,
    theme: style.Theme,
) -> None:
    living, inactive = [], []
    for place, (layer, top) in enumerate(tops.items()):
        axes.axhline(-place, color=theme.faint, linewidth=0.6)
        if layer not in values:
            continue
        none, heights = shares(values[layer])
        living += [
            Rectangle((left, -place), right - left, FILLED * height / top)
            for left, right, height in zip(BINS[:-1], BINS[1:], heights, strict=True)
        ]
        tall = FILLED * min(none / top, 1.0)
        inactive.append(Rectangle((INACTIVE[0], -place), INACTIVE[1] - INACTIVE[0], tall))
        axes.text(-17, -place + FILLED + 0.03, f"{none:.0f} %", fontsize=6.2, va="bottom")
    axes.add_collection(
        PatchCollection(living, facecolor=color, edgecolor=theme.face, linewidth=0.5)
    )
    axes.add_collection(
        PatchCollection(
            inactive, facecolor=theme.face, edgecolor=theme.ink, hatch="//////", linewidth=0.6
        )
    )
    axes.grid(visible=False)
    axes.set_xlim(-19, 102)
    axes.set_ylim(1 - len(tops), 1.0)
    axes.set_xticks(list(TICKS), list(TICKS.values()))


def _name_rows(axes: Axes, tops: Mapping[str, float]) -> None:
    """Ticks on every layer's row: its base, and the top of its scale; its name beside them."""
    bases = [-place for place in range(len(tops))]
    axes.set_yticks(
        [base + part for base in bases for part in (0, FILLED)],
        [word for top in tops.values() for word in ("0", f"{min(top, 100):.0f}")],
        fontsize=6,
    )
    for base, layer in zip(bases, tops, strict=True):
        axes.annotate(
            layer,
            (0, base + FILLED / 2),
            xycoords=axes.get_yaxis_transform(),
            xytext=(-24, 0),
            textcoords="offset points",
            ha="right",
            va="center",
            fontweight="bold",
            fontsize=7.5,
        )
    axes.set_ylabel("filters (%)", labelpad=26)
