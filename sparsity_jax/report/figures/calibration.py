"""Calibration candidates around the published row: training loss, test error and sparsity.

No figure of the paper: what its 32-0.25x rows look like among the readings of its text.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

from sparsity_jax.config.calibration import CANDIDATES
from sparsity_jax.report.figures import style
from sparsity_jax.report.figures.labels import BESIDE, PLACES, write_labels
from sparsity_jax.report.paper.calibration import (
    FULL_STEPS,
    LOG2_TRAIN_LOSS,
    TEST_ERROR,
    Entry,
    targets,
)
from sparsity_jax.report.paper.candidates import Score, scores
from sparsity_jax.storage.results import RunResult

MOST_SPARSE = 50.0  # percent of the filters; sparser runs have the same colour
SIZES = {"published": 13.0, "full": 9.0, "shortened": 5.5}
CAPTION = (
    "Test error over training loss of the calibration candidates, the colour says how many filters "
    "are inactive. The star is the published row, the box around it the tolerance of either "
    "number; the test loss, which counts too, is not shown. Large: "
    f"{FULL_STEPS:,} steps, the paper's length; small: shorter, which decides nothing; a line "
    "joins the two of one candidate."
)


@style.themed
def calibration_planes(lines: Sequence[Entry], *, theme: style.Theme = style.LIGHT) -> Figure:
    """Test error over training loss, a panel per data set, a point per candidate and length.

    Args:
      lines: runs of candidates; of unfinished ones nothing is shown.
      theme: of the background.
    """
    ranked = scores(lines)
    numbers = _numbers(ranked)
    figure = style.figure(style.PAGE, 5.4 + 0.15 * -(-len(numbers) // 3))
    panels = figure.subplots(len(targets()), squeeze=False)[:, 0]
    for axes, (dataset, published) in zip(panels, targets().items(), strict=True):
        _published(axes, published.row, theme)
        _candidates(axes, dataset, ranked, theme)
        axes.set_title(dataset)
        axes.set_ylabel("test error (%)")
        axes.set_xscale("log")
        axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        axes.xaxis.set_minor_locator(NullLocator())
        axes.margins(0.06, 0.12)
    panels[-1].set_xlabel("training loss")
    scale = ScalarMappable(Normalize(0, MOST_SPARSE), theme.heat_map)
    bar = figure.colorbar(scale, ax=list(panels), extend="max", aspect=40)
    bar.set_label("inactive filters (%)")
    _legend(figure, numbers, theme)
    style.settle(figure)  # the labels' places are chosen in pixels
    for axes, (dataset, published) in zip(panels, targets().items(), strict=True):
        found = _points(dataset, ranked)
        points = [*(at for _, at in found), (published.row.train_loss, published.row.test_error)]
        words = {index: str(numbers[score.candidate]) for index, (score, _) in enumerate(found)}
        write_labels(axes, points, words, places=(*BESIDE, *PLACES))
    return figure


def _numbers(ranked: Sequence[Score]) -> dict[str, int]:
    """Candidate -> its number, in the order in which they are listed."""
    shown = {score.candidate for score in ranked}
    known = [each.name for each in CANDIDATES if each.name in shown]
    names = [*known, *sorted(shown.difference(known))]
    return {name: number for number, name in enumerate(names, start=1)}


def _points(dataset: str, ranked: Sequence[Score]) -> list[tuple[Score, tuple[float, float]]]:
    """What can stand on the axes: runs on this data set with a loss above 0, full ones first."""
    found = []
    for score in ranked:
        means: Mapping[str, float] = score.fits[dataset].means if dataset in score.fits else {}
        at = means.get("train_loss", math.nan), means.get("test_error", math.nan)
        if all(map(math.isfinite, at)) and at[0] > 0:
            found.append((score, at))
    return found


def _published(axes: Axes, row: RunResult, theme: style.Theme) -> None:
    factor, tolerance = 2**LOG2_TRAIN_LOSS, TEST_ERROR * row.test_error
    low, high = row.train_loss / factor, row.train_loss * factor
    axes.add_patch(
        Rectangle(
            (low, row.test_error - tolerance),
            high - low,
            2 * tolerance,
            fill=False,
            edgecolor=theme.ink,
            linestyle="--",
            linewidth=0.8,
        )
    )
    _mark(axes, (row.train_loss, row.test_error), row.sparsity_gamma, "published", theme)


def _candidates(axes: Axes, dataset: str, ranked: Sequence[Score], theme: style.Theme) -> None:
    found = _points(dataset, ranked)
    for candidate in dict.fromkeys(score.candidate for score, _ in found):
        places = [at for score, at in found if score.candidate == candidate]
        axes.plot(*zip(*places, strict=True), color=theme.faint, linewidth=0.8, zorder=1)
    for score, at in found:
        kind = "full" if score.length >= FULL_STEPS else "shortened"
        _mark(axes, at, score.fits[dataset].means["sparsity_gamma"], kind, theme)


def _mark(
    axes: Axes, at: tuple[float, float], sparsity: float, kind: str, theme: style.Theme
) -> None:
    color = theme.heat_map(sparsity / MOST_SPARSE)
    axes.plot([at[0]], [at[1]], markerfacecolor=color, **_look(kind, theme))


def _look(kind: str, theme: style.Theme) -> dict[str, Any]:
    return {
        "marker": "*" if kind == "published" else "o",
        "markersize": SIZES[kind],
        "markeredgecolor": theme.ink,
        "markeredgewidth": 0.7,
        "linestyle": "none",
    }


def _legend(figure: Figure, numbers: Mapping[str, int], theme: style.Theme) -> None:
    words = {"published": "published", "full": "full length", "shortened": "shortened"}
    kinds = [
        Line2D([], [], label=word, markerfacecolor=theme.face, **_look(kind, theme))
        for kind, word in words.items()
    ]
    names = [
        Line2D([], [], linestyle="none", label=f"{number}  {name}")
        for name, number in numbers.items()
    ]
    handles = [*kinds, *names]
    figure.legend(handles=handles, loc="outside lower center", ncols=3, fontsize=7)
