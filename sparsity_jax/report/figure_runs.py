"""How did training go, and what does sparsity cost in error? Curves and trade-off over runs."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from sparsity_jax.report import style
from sparsity_jax.report.groups import Group, groups, run_labels
from sparsity_jax.report.workdir import Course, Records
from sparsity_jax.storage.records import strength_text

MOST_LABELS = 8  # with more runs than this, the legend names kinds of runs
LEAST_ERROR_SPAN = 3.0  # percentage points: a smaller axis makes noise look like a difference
CURVES = (
    ("train_loss", "training loss"),
    ("test_error", "test error (%)"),
    ("sparsity_gamma", "inactive filters (%)"),
)


@style.themed
def training_curves(records: Records, *, theme: style.Theme = style.LIGHT) -> Figure:
    """Training loss and test error (log scale) and sparsity by gamma over the steps of every run.

    Dotted vertical lines: the learning rate drops.
    """
    rows = [row for row in records.rows if row.run in records.courses]
    marks = style.marks(records.rows)
    figure = style.figure(style.PAGE, 3.0)
    panels = figure.subplots(1, 3)
    faint = 1.0 if len(rows) <= 30 else 0.45
    for axes, (name, word) in zip(panels, CURVES, strict=True):
        for row in rows:
            course, mark = records.courses[row.run], marks[row.run]
            axes.plot(
                course.step, getattr(course, name), color=mark.color, linestyle=mark.line,
                alpha=faint * mark.alpha, linewidth=1.4 if len(rows) <= 30 else 0.7,
            )  # fmt: skip
        if name != "sparsity_gamma":
            _log(axes)
        axes.set_xlabel("step")
        axes.set_title(word)
        axes.xaxis.set_major_formatter(FuncFormatter(_thousands))
        axes.locator_params(axis="x", nbins=4)
        for step in _drops([records.courses[row.run] for row in rows]):
            axes.axvline(step, color=theme.faint, linewidth=0.8, linestyle=":")
    panels[2].set_ylim(min(-0.2, panels[2].get_ylim()[0]), max(5.0, panels[2].get_ylim()[1]))
    figure.legend(handles=_handles(records), loc="outside lower center", ncols=3)
    return figure


@style.themed
def sparsity_against_error(records: Records, *, theme: style.Theme = style.LIGHT) -> Figure:
    """Test error over sparsity by gamma, a point per group of runs (bars: ± std over seeds).

    Lines join the strengths of one optimizer and regularizer that agree in all else.
    """
    shown = [group for group in groups(records.rows) if group.spread("test_error").n]
    marks = style.marks(records.rows)
    figure = style.figure(style.PAGE * 0.75, 3.9)
    axes = figure.subplots()
    most = max(group.spread("sparsity_gamma").mean for group in shown)
    for path in _paths(shown):
        xs = [group.spread("sparsity_gamma").mean for group in path]
        ys = [group.spread("test_error").mean for group in path]
        axes.plot(xs, ys, color=marks[path[0].first.run].color, linewidth=0.8, alpha=0.5)
    for group in shown:
        x, y, mark = (
            group.spread("sparsity_gamma"), group.spread("test_error"), marks[group.first.run],
        )  # fmt: skip
        axes.errorbar(
            x.mean, y.mean, xerr=x.std if x.n > 1 else None, yerr=y.std if y.n > 1 else None,
            color=mark.color, marker=mark.marker, markersize=6.5, markeredgecolor=theme.face,
            markeredgewidth=0.6, elinewidth=0.8, linestyle="none",
        )  # fmt: skip
        if len(shown) <= 24:
            word = group.label if len(shown) <= MOST_LABELS else _strength(group)
            left, below = x.mean > 0.6 * most, _has_neighbour_above(group, shown)
            axes.annotate(
                style.plain(word, 40), (x.mean, y.mean), xytext=(-6 if left else 6, 4 - 8 * below),
                textcoords="offset points", fontsize=7, ha="right" if left else "left",
                va="top" if below else "bottom",
            )  # fmt: skip
    axes.set_xlabel("inactive filters (%)")
    axes.set_ylabel("test error (%)")
    axes.margins(x=0.08, y=0.15)
    axes.set_xlim(min(-1.0, axes.get_xlim()[0]), max(5.0, axes.get_xlim()[1]))
    _widen(axes, LEAST_ERROR_SPAN)
    handles = [
        Line2D(
            [], [], color=style.color(optimizer), marker=style.MARKERS.get(regularizer, "D"),
            linestyle="none", markersize=6.5, label=word,
        )
        for (optimizer, regularizer), word in style.kinds([g.first for g in shown]).items()
    ]  # fmt: skip
    figure.legend(handles=handles, loc="outside lower center", ncols=4)
    return figure


def _strength(group: Group) -> str:
    return strength_text(group.first.strength) if group.first.strength else ""


def _has_neighbour_above(group: Group, shown: list[Group]) -> bool:
    """True when another point stands close above, where the label would go."""
    errors = [other.spread("test_error").mean for other in shown]
    mine = group.spread("test_error").mean
    close = 0.08 * max(LEAST_ERROR_SPAN, max(errors) - min(errors))
    x = group.spread("sparsity_gamma").mean
    return any(
        abs(other.spread("sparsity_gamma").mean - x) < 8 and 0 < error - mine < close
        for other, error in zip(shown, errors, strict=True)
    )


def _widen(axes: Axes, span: float) -> None:
    """Makes the y axis span this much at least, around its middle and not below zero."""
    low, high = axes.get_ylim()
    if high - low < span:
        low = max(0.0, (low + high - span) / 2)
        axes.set_ylim(low, low + span)


def _paths(shown: list[Group]) -> list[list[Group]]:
    """Groups that differ in strength alone, by strength; paths of one point are left out."""
    paths: dict[tuple[object, ...], list[Group]] = {}
    for group in shown:
        row = group.first
        same = (row.dataset, row.network, row.optimizer, row.regularizer, row.batch_size)
        paths.setdefault((*same, row.variant), []).append(group)
    ordered = (sorted(path, key=lambda group: group.first.strength) for path in paths.values())
    return [path for path in ordered if len(path) > 1]


def _handles(records: Records) -> list[Line2D]:
    rows = [row for row in records.rows if row.run in records.courses]
    marks = style.marks(records.rows)
    if len(rows) <= MOST_LABELS:
        labels = run_labels(records.rows)
        ended = {row.run: "" if row.status == "finished" else f" ({row.status})" for row in rows}
        return [
            Line2D(
                [], [], color=marks[row.run].color, linestyle=marks[row.run].line,
                alpha=marks[row.run].alpha, label=style.plain(labels[row.run]) + ended[row.run],
            )
            for row in rows
        ]  # fmt: skip
    return [
        Line2D([], [], color=style.color(o), linestyle=style.LINES.get(r, "-"), label=word)
        for (o, r), word in style.kinds(rows).items()
    ]


def _log(axes: Axes) -> None:
    """A log scale where the positive values span more than a factor of ten."""
    values = np.concatenate([np.asarray(line.get_ydata(), float) for line in axes.lines] or [[]])
    positive = values[np.isfinite(values) & (values > 0)]
    if len(positive) and positive.max() > 10 * positive.min():
        axes.set_yscale("log", nonpositive="clip")
        axes.set_ylim(bottom=max(positive.min() * 0.8, positive.max() * 1e-5))
        axes.yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0), numticks=12))
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        axes.yaxis.set_minor_formatter(NullFormatter())


def _drops(courses: list[Course]) -> list[float]:
    """Steps at which the learning rate falls to a fifth or less, when all runs agree on them."""
    found = set()
    for course in courses:
        rate = course.learning_rate
        with np.errstate(invalid="ignore", divide="ignore"):
            falls = np.flatnonzero(rate[1:] < 0.21 * rate[:-1]) + 1
        found.add(tuple(course.step[falls]))
    found.discard(())
    return list(found.pop()) if len(found) == 1 else []


def _thousands(value: float, _: object) -> str:
    return f"{value / 1000:g}k" if abs(value) >= 1000 else f"{value:g}"
