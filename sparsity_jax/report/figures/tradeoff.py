"""Sparsity against test error: what sparsity costs, a point per group of runs."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from sparsity_jax.report.aggregate import Group, groups
from sparsity_jax.report.figures import style
from sparsity_jax.report.figures.labels import write_labels
from sparsity_jax.report.loading import Records

MOST_LABELS = 8  # with more groups than this, points carry their strengths alone
MOST_STRENGTHS = 24  # with more groups than this, only the best trade-offs carry their names
MOST_NAMED = 6
TOLERATED = 3.0  # points of test error above the lowest: the best trade-offs lie within
LEAST_SPANS = (4.0, 0.5)  # of the axes, in points: smaller ones make noise look like a difference
FAR = 4.0  # times the median error: such errors stand at the top, their value beside them


@style.themed
def sparsity_against_error(records: Records, *, theme: style.Theme = style.LIGHT) -> Figure:
    """Test error over sparsity by gamma, a point per group of runs (bars: ± std over seeds).

    The axes fit the points. Errors of more than `FAR` times the median stand as triangles at the
    top, each with its value. Lines join strengths of runs that agree in all else.
    """
    shown = [group for group in groups(records.rows) if group.spread("test_error").n]
    marks = style.marks(records.rows)
    figure = style.figure(style.PAGE, 3.6)
    axes = figure.subplots()
    near, far = _near_and_far(shown)
    _limits(axes, shown, near)
    for path in _paths(near):
        xs, ys = zip(*map(_at, path), strict=True)
        axes.plot(xs, ys, color=marks[path[0].first.run].color, linewidth=0.8, alpha=0.5)
    by_run = {group.first.run: group for group in near}
    for bunch in style.alike([(run, marks[run]) for run in by_run]):
        _points(axes, [by_run[run] for run in bunch], marks[bunch[0]])
    _outliers(axes, far, marks)
    axes.set_xlabel("inactive filters (%)")
    axes.set_ylabel("test error (%)")
    handles = style.kind_handles([group.first for group in shown])
    columns = style.legend_columns([str(handle.get_label()) for handle in handles])
    figure.legend(handles=handles, loc="outside lower center", ncols=columns)
    front = _front(near)
    named = [*front, *(g for g in near if g not in front and len(shown) <= MOST_STRENGTHS)]
    short = MOST_LABELS < len(shown) <= MOST_STRENGTHS
    style.settle(figure)  # the labels' places are chosen in pixels
    words = {near.index(g): _strength(g) if short else g.label for g in named}
    write_labels(axes, [_at(group) for group in near], words)
    return figure


def _at(group: Group) -> tuple[float, float]:
    return group.spread("sparsity_gamma").mean, group.spread("test_error").mean


def _near_and_far(shown: Sequence[Group]) -> tuple[list[Group], list[Group]]:
    """The groups that the axis of the error is made for, and those that err far more."""
    errors = [_at(group)[1] for group in shown]
    bar = max(FAR * float(np.median(errors)), min(errors) + 2 * TOLERATED)
    near = [group for group, error in zip(shown, errors, strict=True) if error <= bar]
    return near, [group for group, error in zip(shown, errors, strict=True) if error > bar]


def _limits(axes: Axes, shown: Sequence[Group], near: Sequence[Group]) -> None:
    """Fits both axes to the points and their bars, with a margin, none of them below zero."""
    for name, column, fitted, least in zip(
        "xy", ("sparsity_gamma", "test_error"), (shown, near), LEAST_SPANS, strict=True
    ):
        spreads = [group.spread(column) for group in fitted]
        bars = [spread.std if spread.n > 1 else 0.0 for spread in spreads]
        low = min(spread.mean - bar for spread, bar in zip(spreads, bars, strict=True))
        high = max(spread.mean + bar for spread, bar in zip(spreads, bars, strict=True))
        missing = max(0.0, least - (high - low)) / 2
        margin = 0.12 * max(least, high - low)
        low, high = max(0.0, low - margin - missing), high + margin + missing
        getattr(axes, f"set_{name}lim")(low, high)
        getattr(axes, f"{name}axis").set_major_locator(MaxNLocator(6, steps=[1, 2, 5, 10]))


def _points(axes: Axes, bunch: Sequence[Group], mark: style.Mark) -> None:
    """Points with bars of one standard deviation, where there are several seeds."""
    spreads = [[group.spread(name) for group in bunch] for name in ("sparsity_gamma", "test_error")]
    (xs, x_bars), (ys, y_bars) = (
        ([s.mean for s in column], [s.std if s.n > 1 else 0.0 for s in column])
        for column in spreads
    )
    made = axes.errorbar(
        xs,
        ys,
        xerr=x_bars if any(x_bars) else None,
        yerr=y_bars if any(y_bars) else None,
        elinewidth=0.8,
        linestyle="none",
        **mark.point,
    )
    made[0].set_clip_on(False)  # a point at zero is a whole one


def _outliers(axes: Axes, far: Sequence[Group], marks: dict[str, style.Mark]) -> None:
    """Triangles at the top edge for errors beyond it; their values beside those with room."""
    last = -np.inf
    for group in sorted(far, key=_at):
        x, y = _at(group)
        axes.plot(
            [x],
            [1.0],
            transform=axes.get_xaxis_transform(),
            clip_on=False,
            linestyle="none",
            marker="^",
            markersize=6,
            color=marks[group.first.run].color,
        )
        if x - last > 0.035 * np.diff(axes.get_xlim())[0]:
            axes.annotate(
                f"{y:.0f} %",
                (x, 1.0),
                xycoords=axes.get_xaxis_transform(),
                xytext=(0, 5),
                textcoords="offset points",
                fontsize=6.5,
                rotation=90,
                ha="center",
                va="bottom",
            )
            last = x


def _front(shown: Sequence[Group]) -> list[Group]:
    """Groups than which none is sparser at no more error: the sparsest few that err little."""
    bar = min(_at(group)[1] for group in shown) + TOLERATED
    ranked = sorted((g for g in shown if _at(g)[1] <= bar), key=lambda group: -_at(group)[0])
    found, lowest = list[Group](), float("inf")
    for group in ranked:
        if _at(group)[1] < lowest:
            found, lowest = [*found, group], _at(group)[1]
    return found[:MOST_NAMED]


def _strength(group: Group) -> str:
    return style.strength(group.first.strength) if group.first.strength else ""


def _paths(shown: Sequence[Group]) -> list[list[Group]]:
    """Groups that differ in strength alone, by strength; paths of one point are left out."""
    paths: dict[tuple[object, ...], list[Group]] = {}
    for group in shown:
        row = group.first
        same = (row.dataset, row.network, row.optimizer, row.regularizer, row.batch_size)
        paths.setdefault((*same, row.variant), []).append(group)
    ordered = (sorted(path, key=lambda group: group.first.strength) for path in paths.values())
    return [path for path in ordered if len(path) > 1]
