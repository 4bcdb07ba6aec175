"""Confusions between classes as matrices, and errors by class as curves where there are many."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure

from sparsity_jax.report.aggregate import representatives
from sparsity_jax.report.classes import ClassErrors, class_errors
from sparsity_jax.report.figures import style
from sparsity_jax.report.loading import Records

MOST_CLASSES = 20  # whose matrix has room for its numbers
MOST_SIDE_BY_SIDE = 12  # classes of matrices that stand two in a row
MOST_MATRICES, MOST_CURVES = 4, 8
_LONGEST_NAME = 14


def few_classes(records: Records) -> list[ClassErrors]:
    """The groups whose confusions are shown as matrices."""
    return _shown(
        records, [e for e in class_errors(records) if len(e.names) <= MOST_CLASSES], MOST_MATRICES
    )


def many_classes(records: Records) -> list[ClassErrors]:
    """The groups whose errors by class are shown as curves."""
    return _shown(
        records, [e for e in class_errors(records) if len(e.names) > MOST_CLASSES], MOST_CURVES
    )


@style.themed
def confusions(records: Records, *, theme: style.Theme = style.LIGHT) -> Figure:
    """Images of each class (rows) by the class that they were taken for, a panel per group.

    Colour: wrong answers in percent of the class. A number is of images; none is left empty.
    """
    shown = few_classes(records)
    most = max(len(each.names) for each in shown)
    columns = min(len(shown), 2 if most <= MOST_SIDE_BY_SIDE else 1)
    lines = -(-len(shown) // columns)
    side = (style.PAGE - 0.9) / columns
    figure = style.figure(style.PAGE, 0.9 + (min(side, 4.0) + 0.35) * lines)
    panels = figure.subplots(lines, columns, squeeze=False)
    top = max(1.0, max(float(_shares(each).max()) for each in shown))
    for axes in panels.ravel()[len(shown) :]:
        axes.set_axis_off()
    scale = ScalarMappable(Normalize(0, top), theme.heat_map)
    for place, (axes, each) in enumerate(zip(panels.ravel(), shown, strict=False)):
        axes.imshow(_shares(each), cmap=scale.cmap, norm=scale.norm)
        _numbers(axes, each, top, theme)
        _names(axes, each, left=place % columns == 0, below=place + columns >= len(shown))
        total = each.images.sum()
        wrong = total - np.trace(each.matrix)
        style.panel_title(axes, each.group.label, f"{wrong:,} of {total:,} wrong")
    figure.colorbar(
        scale, ax=panels, label="wrong answers (% of the class)", location="bottom", aspect=45,
        fraction=0.03, pad=0.02,
    )  # fmt: skip
    return figure


@style.themed
def error_by_class(records: Records, *, theme: style.Theme = style.LIGHT) -> Figure:
    """Error of every class, from the hardest to the easiest, a line per group of runs."""
    shown, marks = many_classes(records), style.marks(records.rows)
    figure = style.figure(style.PAGE, 3.2)
    axes = figure.subplots()
    for each in shown:
        errors = np.sort(each.pct[np.isfinite(each.pct)])[::-1]
        mark = marks[each.group.first.run]
        axes.plot(
            np.arange(1, len(errors) + 1),
            errors,
            color=mark.color,
            alpha=mark.alpha,
            linestyle=mark.line,
            marker=mark.marker,
            fillstyle=mark.fill,
            markersize=4,
            markevery=max(1, len(errors) // 10),
            label=style.plain(each.group.label),
        )
        axes.axhline(
            float(np.mean(errors)), color=mark.color, alpha=0.5 * mark.alpha, linewidth=0.7
        )
    axes.set_xlabel("classes, from the hardest to the easiest")
    axes.set_ylabel("test error (%)")
    axes.set_xlim(left=0)
    axes.set_ylim(bottom=0)
    columns = style.legend_columns([each.group.label for each in shown])
    figure.legend(loc="outside upper center", ncols=columns)
    return figure


def _shown(records: Records, found: list[ClassErrors], most: int) -> list[ClassErrors]:
    """At most so many of the groups, those that stand for the others."""
    runs = {row.run for each in found for row in each.group.rows}
    rows = [row for row in records.rows if row.run in runs]
    chosen = set(representatives(rows, most))
    return [each for each in found if chosen & {row.run for row in each.group.rows}]


def _shares(each: ClassErrors) -> np.ndarray:
    """Wrong answers in percent of the class; right ones are not coloured."""
    shares = 100 * each.matrix / np.maximum(1, each.images)[:, None]
    np.fill_diagonal(shares, 0)
    return shares


def _numbers(axes: Axes, each: ClassErrors, top: float, theme: style.Theme) -> None:
    shares, size = _shares(each), 6.0 if len(each.names) <= MOST_SIDE_BY_SIDE else 5.5
    for (i, j), count in np.ndenumerate(each.matrix):
        if count:
            ink = theme.face if shares[i, j] > 0.55 * top else theme.ink
            weight = "normal" if i != j else "bold"
            axes.text(
                j, i, str(count), ha="center", va="center", fontsize=size, color=ink, weight=weight
            )


def _names(axes: Axes, each: ClassErrors, *, left: bool, below: bool) -> None:
    names = [style.plain(name, _LONGEST_NAME) for name in each.names]
    axes.grid(visible=False)
    axes.tick_params(length=0, labelsize=6.5)
    axes.set_yticks(range(len(names)), names if left else [])
    axes.set_xticks(range(len(names)), names if below else [], rotation=90)
    if left:
        axes.set_ylabel("class", fontsize=7)
    if below:
        axes.set_xlabel("taken for", fontsize=7)
