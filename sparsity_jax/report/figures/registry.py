"""Which figures does a workdir get, and how do they reach the disk?

Each `Drawing` says when it applies, what it is called and how it is drawn; figures are drawn,
encoded and dropped one after the other, so memory does not grow with their number.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from matplotlib.figure import Figure

from sparsity_jax.report.figures import style
from sparsity_jax.report.figures.curves import sparsity_against_error, training_curves
from sparsity_jax.report.figures.filters import alive_runs, filters_alive
from sparsity_jax.report.figures.gamma_beta import gamma_beta_maps, gamma_beta_ridges, ridge_runs
from sparsity_jax.report.figures.layers import filters_kept, finished_groups, sparsity_by_layer
from sparsity_jax.report.figures.phase import WORDS, phase_diagram
from sparsity_jax.report.figures.planes import SETTINGS, Setting, planes
from sparsity_jax.report.figures.speedup import speedup_against_sparsity, timed_runs
from sparsity_jax.report.figures.universality import universality_histograms, universality_runs
from sparsity_jax.report.loading import Records
from sparsity_jax.storage.io import write_atomically


@dataclasses.dataclass(frozen=True)
class Drawing:
    """A figure that a report may have: `draw(records, theme=...)`, if `applies(records)`."""

    name: str
    title: str
    caption: str
    draw: Callable[..., Figure]
    applies: Callable[[Records], bool]


@dataclasses.dataclass(frozen=True)
class Rendered:
    """A figure as the content of files: PNG on light and on dark ground, and PDF."""

    drawing: Drawing
    light: bytes
    dark: bytes
    pdf: bytes


def _some(records: Records) -> str:
    """Says so when figures with one panel per run leave runs out."""
    left_out = len(records.rows) - len(records.shown)
    return f" {len(records.shown)} of {len(records.rows)} runs are shown." if left_out else ""


def _phase_drawing(setting: Setting) -> Drawing:
    return Drawing(
        f"phase_{setting}",
        f"Where filters die: strength and {WORDS[setting]}",
        "Left: filters inactive by gamma, with lines of equal sparsity. Right: test error. Dashed: "
        "2 points of error above the lowest; star: the sparsest run on the better side of it. "
        "Triangle: the paper's default. Strengths are L2's or weight decay's, in thousandths.",
        functools.partial(phase_diagram, setting=setting),
        lambda records: bool(planes(records.rows, setting)),
    )


DRAWINGS = (
    *map(_phase_drawing, SETTINGS),
    Drawing(
        "sparsity_by_layer",
        "Sparsity by layer",
        "Share of each layer's filters whose |gamma| fell below the threshold; mean over seeds.",
        sparsity_by_layer,
        lambda records: bool(finished_groups(records)),
    ),
    Drawing(
        "sparsity_against_error",
        "Sparsity against test error",
        "Right is sparser, down is better. Numbers are regularization strengths.",
        sparsity_against_error,
        lambda records: bool(finished_groups(records)),
    ),
    Drawing(
        "gamma_beta_ridges",
        "Gamma and beta during training",
        "Distribution over the filters of one layer, time going up; heights are square roots of "
        "shares. A spike at zero is made of filters that died.",
        gamma_beta_ridges,
        lambda records: bool(ridge_runs(records)),
    ),
    Drawing(
        "gamma_beta_maps",
        "Gamma and beta, run by run",
        "The same as maps: colour is the square root of the share of filters.",
        gamma_beta_maps,
        lambda records: bool(ridge_runs(records)),
    ),
    Drawing(
        "training_curves",
        "Training",
        "Colour: optimizer. Line: solid L2, dashed weight decay, dotted no regularizer. Dotted "
        "vertical lines: the learning rate drops.",
        training_curves,
        lambda records: bool(records.curves),
    ),
    Drawing(
        "filters_kept",
        "Filters before and after pruning",
        "Outline: filters of the trained network. Filled: filters of the pruned one.",
        filters_kept,
        lambda records: any(run in records.pruned for run in records.shown),
    ),
    Drawing(
        "speedup_against_sparsity",
        "What the removed filters bring in time",
        "Forward passes of the dense network over those of the pruned one; 1 is no gain. Bars: "
        "noise of the measurement. Dotted: the ratio of their multiply-adds.",
        speedup_against_sparsity,
        lambda records: bool(timed_runs(records)),
    ),
    Drawing(
        "filters_alive",
        "Filters alive during training",
        "Share of each layer's filters with |gamma| of at least 1e-3. A rise is a filter that came "
        "back.",
        filters_alive,
        lambda records: bool(alive_runs(records)),
    ),
    Drawing(
        "universality",
        "Universality",
        "Percentage of training images that a filter answers to; dead filters stand at zero.",
        universality_histograms,
        lambda records: bool(universality_runs(records)),
    ),
)


def render(records: Records) -> Iterator[Rendered]:
    """Draws every figure that applies, one at a time."""
    for drawing in DRAWINGS:
        if not drawing.applies(records):
            continue
        figure = drawing.draw(records, theme=style.LIGHT)
        light, pdf = style.png(figure), style.pdf(figure)
        twin = drawing.draw(records, theme=style.DARK)
        style.same_places(twin, figure)
        dark = style.png(twin, style.DARK)
        per_run = drawing.name in {"gamma_beta_ridges", "gamma_beta_maps", "filters_kept"}
        caption = drawing.caption + (_some(records) if per_run else "")
        yield Rendered(dataclasses.replace(drawing, caption=caption), light, dark, pdf)


def write(rendered: Rendered, folder: Path) -> list[Path]:
    """Writes one figure as PNG and PDF into the folder."""
    paths = [folder / f"{rendered.drawing.name}.{kind}" for kind in ("png", "pdf")]
    for path, content in zip(paths, (rendered.light, rendered.pdf), strict=True):
        write_atomically(path, content)
    return paths


def remove_stale(folder: Path, rendered: Sequence[Rendered]) -> None:
    """Removes figures of ours that an earlier build left and that no longer apply.

    Files that a build which was killed had begun to write go too.
    """
    for path in folder.glob(".*.tmp"):
        path.unlink(missing_ok=True)
    made = {item.drawing.name for item in rendered}
    for drawing in DRAWINGS:
        if drawing.name not in made:
            for kind in ("png", "pdf"):
                (folder / f"{drawing.name}.{kind}").unlink(missing_ok=True)
