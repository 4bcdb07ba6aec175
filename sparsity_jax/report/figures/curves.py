"""Training curves: loss, test error and sparsity of every run."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from sparsity_jax.report.aggregate import run_labels
from sparsity_jax.report.figures import style
from sparsity_jax.report.loading import Curves, Records

MOST_LABELS = 8  # with more runs than this, the legend names kinds of runs
MOST_LINES = 30  # with more runs than this, curves are thin and pale
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
                color=mark.color,
                linestyle=mark.line,
                alpha=mark.alpha * (0.45 if many else 1.0),
                linewidth=0.7 if many else 1.2,
                marker=None if many else mark.marker,
                fillstyle=mark.fill,
                markersize=4,
                markevery=max(1, len(bunch) * len(curves[0].step) // 4),
                clip_on=name != "sparsity_gamma",
            )
        if name != "sparsity_gamma":
            _log(axes)
        axes.set_xlabel("step")
        axes.set_xlim(left=0)
        axes.set_title(word)
        axes.xaxis.set_major_formatter(FuncFormatter(_thousands))
        axes.locator_params(axis="x", nbins=4)
        for step in _drops([records.curves[row.run] for row in rows]):
            axes.axvline(step, color=theme.faint, linewidth=0.8, linestyle=":")
    panels[2].set_ylim(0, max(5.0, panels[2].get_ylim()[1]))
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


def _handles(records: Records) -> list[Line2D]:
    rows = [row for row in records.rows if row.run in records.curves]
    marks = style.marks(records.rows)
    if len(rows) <= MOST_LABELS:
        labels = run_labels(records.rows)
        ended = {row.run: "" if row.status == "finished" else f" ({row.status})" for row in rows}
        return [
            Line2D(
                [],
                [],
                color=marks[row.run].color,
                linestyle=marks[row.run].line,
                alpha=marks[row.run].alpha,
                marker=marks[row.run].marker,
                fillstyle=marks[row.run].fill,
                markersize=4,
                label=style.plain(labels[row.run]) + ended[row.run],
            )
            for row in rows
        ]
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
