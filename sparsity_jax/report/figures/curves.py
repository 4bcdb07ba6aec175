"""How did training go, and what does sparsity cost in error? Curves and trade-off over runs."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedLocator, FuncFormatter, LogLocator, NullFormatter

from sparsity_jax.config.naming import strength_text
from sparsity_jax.report.aggregate import Group, groups, run_labels
from sparsity_jax.report.figures import style
from sparsity_jax.report.loading import Curves, Records

MOST_LABELS = 8  # with more runs than this, the legend names kinds of runs
MOST_STRENGTHS = 24  # with more groups than this, only the best trade-offs carry their names
MOST_NAMED = 6
MOST_LINES = 30  # with more runs than this, curves are thin and pale
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
    rows = [row for row in records.rows if row.run in records.curves]
    marks = style.marks(records.rows)
    figure = style.figure(style.PAGE, 3.0)
    panels = figure.subplots(1, 3)
    many = len(rows) > MOST_LINES
    bunches = _same_marks([row.run for row in rows], marks) if many else [[row.run] for row in rows]
    for axes, (name, word) in zip(panels, CURVES, strict=True):
        for bunch in bunches:
            curves, mark = [records.curves[run] for run in bunch], marks[bunch[0]]
            axes.plot(
                _joined([each.step for each in curves]),
                _joined([getattr(each, name) for each in curves]),
                color=mark.color, linestyle=mark.line, alpha=mark.alpha * (0.45 if many else 1.0),
                linewidth=0.7 if many else 1.4,
            )  # fmt: skip
        if name != "sparsity_gamma":
            _log(axes)
        axes.set_xlabel("step")
        axes.set_title(word)
        axes.xaxis.set_major_formatter(FuncFormatter(_thousands))
        axes.locator_params(axis="x", nbins=4)
        for step in _drops([records.curves[row.run] for row in rows]):
            axes.axvline(step, color=theme.faint, linewidth=0.8, linestyle=":")
    panels[2].set_ylim(min(-0.2, panels[2].get_ylim()[0]), max(5.0, panels[2].get_ylim()[1]))
    handles = _handles(records)
    columns = style.legend_columns([str(handle.get_label()) for handle in handles])
    figure.legend(handles=handles, loc="outside lower center", ncols=columns)
    return figure


def _same_marks(runs: list[str], marks: dict[str, style.Mark]) -> list[list[str]]:
    """Runs in bunches that look the same: one line for all of them is drawn much faster."""
    bunches: dict[str, list[str]] = {}
    for run in runs:
        bunches.setdefault(repr(marks[run]), []).append(run)
    return list(bunches.values())


def _joined(curves: list[np.ndarray]) -> np.ndarray:
    """Curves one after the other, with a gap between them; a single one stays as it is."""
    gap = np.array([np.nan])
    parts = [part for curve in curves for part in (gap, np.asarray(curve, float))]
    return np.concatenate(parts[1:])


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
    front = _front(shown)
    for path in _paths(shown):
        xs = [group.spread("sparsity_gamma").mean for group in path]
        ys = [group.spread("test_error").mean for group in path]
        axes.plot(xs, ys, color=marks[path[0].first.run].color, linewidth=0.8, alpha=0.5)
    by_run = {group.first.run: group for group in shown}
    for bunch in style.alike([(run, marks[run]) for run in by_run]):
        _points(axes, [by_run[run] for run in bunch], marks[bunch[0]], theme)
    for group in shown:
        x, y = group.spread("sparsity_gamma"), group.spread("test_error")
        if len(shown) <= MOST_STRENGTHS or group in front:
            word = _strength(group) if MOST_LABELS < len(shown) <= MOST_STRENGTHS else group.label
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
    _compress(axes, [group.spread("test_error").mean for group in shown])
    handles = [
        Line2D(
            [], [], color=style.color(optimizer), marker=style.MARKERS.get(regularizer, "D"),
            linestyle="none", markersize=6.5, label=word,
        )
        for (optimizer, regularizer), word in style.kinds([g.first for g in shown]).items()
    ]  # fmt: skip
    figure.legend(handles=handles, loc="outside lower center", ncols=4)
    return figure


def _points(axes: Axes, bunch: list[Group], mark: style.Mark, theme: style.Theme) -> None:
    """Points with bars of one standard deviation, where there are several seeds."""
    spreads = [[group.spread(name) for group in bunch] for name in ("sparsity_gamma", "test_error")]
    (xs, x_bars), (ys, y_bars) = (
        ([s.mean for s in column], [s.std if s.n > 1 else 0.0 for s in column])
        for column in spreads
    )
    axes.errorbar(
        xs, ys, xerr=x_bars if any(x_bars) else None, yerr=y_bars if any(y_bars) else None,
        color=mark.color, marker=mark.marker, markersize=6.5, markeredgecolor=theme.face,
        markeredgewidth=0.6, elinewidth=0.8, linestyle="none",
    )  # fmt: skip


def _front(shown: list[Group]) -> list[Group]:
    """Groups than which none is sparser at no more error: the sparsest few that err little."""
    bar = min(group.spread("test_error").mean for group in shown) + LEAST_ERROR_SPAN
    good = [group for group in shown if group.spread("test_error").mean <= bar]
    ranked = sorted(good, key=lambda group: -group.spread("sparsity_gamma").mean)
    found, lowest = list[Group](), float("inf")
    for group in ranked:
        error = group.spread("test_error").mean
        if error < lowest:
            found, lowest = [*found, group], error
    return found[:MOST_NAMED]


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


def _compress(axes: Axes, errors: list[float]) -> None:
    """Where few runs err far more than the others: logarithmic beyond where most of them are."""
    most = max(LEAST_ERROR_SPAN, 2 * float(np.median(errors)))
    top = max(axes.get_ylim()[1], 1.15 * max(errors))
    axes.set_ylim(max(axes.get_ylim()[0], -0.06 * min(top, most)), top)
    if max(errors) > 2 * most:
        axes.set_yscale("symlog", linthresh=most, linscale=1.5)
        axes.yaxis.set_major_locator(FixedLocator([0, 0.5, 1, 2, 3, 5, 10, 20, 50, 100]))
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        axes.yaxis.set_minor_formatter(NullFormatter())
        axes.set_ylabel(f"test error (%), logarithmic above {most:.2g}")


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
    rows = [row for row in records.rows if row.run in records.curves]
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


def _drops(curves: list[Curves]) -> list[float]:
    """Steps at which the learning rate falls to a fifth or less, when all runs agree on them."""
    found = set()
    for each in curves:
        rate = each.learning_rate
        with np.errstate(invalid="ignore", divide="ignore"):
            falls = np.flatnonzero(rate[1:] < 0.21 * rate[:-1]) + 1
        found.add(tuple(each.step[falls]))
    found.discard(())
    return list(found.pop()) if len(found) == 1 else []


def _thousands(value: float, _: object) -> str:
    return f"{value / 1000:g}k" if abs(value) >= 1000 else f"{value:g}"
