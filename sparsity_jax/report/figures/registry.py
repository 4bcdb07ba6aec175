"""The figures of a report as data: when each applies, its name, its caption, how it is drawn.

Figures are drawn, encoded and dropped one after the other, so memory does not grow with their
number.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from matplotlib.figure import Figure

from sparsity_jax.optimizers import OPTIMIZERS
from sparsity_jax.report.figures import (
    activity,
    low_gradient,
    style,
    universality,
    universality_by_batch,
)
from sparsity_jax.report.figures.confusions import (
    confusions,
    error_by_class,
    few_classes,
    many_classes,
)
from sparsity_jax.report.figures.curves import training_curves
from sparsity_jax.report.figures.filters import alive_runs, filters_alive
from sparsity_jax.report.figures.final_norms import gamma_beta_final
from sparsity_jax.report.figures.gamma_beta import (
    gamma_beta_maps,
    gamma_beta_ridges,
    map_runs,
    ridge_runs,
)
from sparsity_jax.report.figures.layers import (
    filters_kept,
    finished_groups,
    pruned_runs,
    sparsity_by_layer,
)
from sparsity_jax.report.figures.phase import WORDS, phase_diagram
from sparsity_jax.report.figures.planes import SETTINGS, Setting, planes
from sparsity_jax.report.figures.speedup import speedup_against_sparsity, timed_runs
from sparsity_jax.report.figures.tradeoff import sparsity_against_error
from sparsity_jax.report.figures.universality import strength_rows, universality_histograms
from sparsity_jax.report.loading import Records
from sparsity_jax.storage.io import write_atomically


@dataclasses.dataclass(frozen=True)
class Drawing:
    """A figure that a report may have: `draw(records, theme=...)`, if `applies(records)`.

    Attributes:
      name: of its files.
      title, caption: on the page.
      draw: makes it.
      applies: whether the records hold what it shows.
      runs: how many runs it shows, where it may leave some out; the caption then says so.
    """

    name: str
    title: str
    caption: str
    draw: Callable[..., Figure]
    applies: Callable[[Records], bool]
    runs: Callable[[Records], int] | None = None


@dataclasses.dataclass(frozen=True)
class Rendered:
    """A figure as the content of files: PNG on light and on dark ground, and PDF."""

    drawing: Drawing
    light: bytes
    dark: bytes
    pdf: bytes


def caption(drawing: Drawing, records: Records) -> str:
    """The figure's caption, with how many of the workdir's runs it shows if not all."""
    shown = drawing.runs(records) if drawing.runs else len(records.rows)
    left_out = len(records.rows) - shown
    return drawing.caption + (f" {shown} of {len(records.rows)} runs are shown." * (left_out > 0))


def _phase_drawing(setting: Setting) -> Drawing:
    return Drawing(
        f"phase_{setting}",
        f"Where filters become inactive: strength and {WORDS[setting]}",
        "Left: filters inactive by gamma, with lines at 10, 30, 50, 70 and 90 %. Right: test "
        "error, in one colour beyond 20 times the lowest. Dashed: 2 points of error above the "
        "lowest; star: the sparsest run on the better side of it. Triangle: the paper's default. "
        "Strengths are L2's or weight decay's, in thousandths.",
        functools.partial(phase_diagram, setting=setting),
        lambda records: bool(planes(records.rows, setting)),
    )


# Name of a config -> the optimizers whose simulation its report shows.
LOW_GRADIENT = {"figure4": low_gradient.FIGURE_4, "figure_s3": OPTIMIZERS}


def _config_name(records: Records) -> str:
    return str(records.config.config.get("name")) if records.config else ""


def _low_gradient(records: Records, *, theme: style.Theme) -> Figure:
    return low_gradient.low_gradient(LOW_GRADIENT[_config_name(records)], theme=theme)


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
        "Right is sparser, down is better; bars: standard deviation over seeds. Lines join the "
        "strengths of one optimizer and regularizer. A triangle at the top: an error beyond the "
        "axis, written beside it.",
        sparsity_against_error,
        lambda records: bool(finished_groups(records)),
    ),
    Drawing(
        "gamma_beta_ridges",
        "Gamma and beta during training",
        "Distribution over the filters of one layer, time going up; heights are square roots of "
        "shares. A spike at zero is made of inactive filters.",
        gamma_beta_ridges,
        lambda records: bool(ridge_runs(records)),
        lambda records: len(ridge_runs(records)),
    ),
    Drawing(
        "gamma_beta_maps",
        "Gamma and beta, run by run",
        "The same as maps: colour is the square root of the share of filters.",
        gamma_beta_maps,
        lambda records: bool(ridge_runs(records)),
        lambda records: len(map_runs(records)),
    ),
    Drawing(
        "gamma_beta_final",
        "Gamma and beta in the end",
        "Two late layers, a row per run; heights are square roots of shares. Printed: filters "
        "whose gamma is inactive, and filters whose beta lies above zero.",
        gamma_beta_final,
        lambda records: bool(map_runs(records)),
        lambda records: len(map_runs(records)),
    ),
    Drawing(
        "training_curves",
        "Training",
        "Colour and mark: optimizer. Line: solid L2, dashed weight decay, dotted no regularizer. "
        "Dotted vertical lines: the learning rate drops.",
        training_curves,
        lambda records: bool(records.curves),
    ),
    Drawing(
        "confusions",
        "Which classes are taken for which",
        "A row per class, a column per class that its test images were taken for; numbers are of "
        "images, all seeds together. Bold: right answers. Colour: wrong ones in percent of the "
        "class.",
        confusions,
        lambda records: bool(few_classes(records)),
        lambda records: sum(len(each.group.finished) for each in few_classes(records)),
    ),
    Drawing(
        "error_by_class",
        "Test error by class",
        "Each line: the classes of one group of runs, from the hardest to the easiest, all seeds "
        "together. Horizontal: their mean.",
        error_by_class,
        lambda records: bool(many_classes(records)),
        lambda records: sum(len(each.group.finished) for each in many_classes(records)),
    ),
    Drawing(
        "filters_kept",
        "Filters before and after pruning",
        "Outline: filters of the trained network. Filled: filters of the pruned one.",
        filters_kept,
        lambda records: bool(pruned_runs(records)),
        lambda records: len(pruned_runs(records)),
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
        "back. A tick at the top: filters were cut out of the training.",
        filters_alive,
        lambda records: bool(alive_runs(records)),
        lambda records: len(alive_runs(records)),
    ),
    Drawing(
        "firing_rate",
        "How often filters fire",
        "Share of the training images since the evaluation before on which a filter is active "
        "anywhere, mean over each layer's filters; one that was cut fires on none.",
        activity.firing_rate,
        lambda records: bool(activity.watched_runs(records)),
        lambda records: len(activity.watched_runs(records)),
    ),
    Drawing(
        "balance_at_death",
        "What moves gamma before a filter dies",
        "The regularizer's part of gamma's gradient over the loss's, means over the steps since "
        "the evaluation before, aligned where |gamma| of a filter that is inactive in the end "
        "first fell below 1e-3; clipped to 0.001 and 100. Above 1 the regularizer outweighs the "
        "loss.",
        activity.balance_at_death,
        lambda records: bool(activity.death_runs(records)),
        lambda records: len(activity.death_runs(records)),
    ),
    Drawing(
        "universality",
        "Universality",
        "Percentage of training images that a filter answers to. The hatched bar on the left of "
        "each row: filters with universality 0, inactive, their share printed; where it leaves the "
        "row it is cut. Seeds are pooled.",
        universality_histograms,
        lambda records: bool(strength_rows(records)),
        universality.shown_runs,
    ),
    Drawing(
        "universality_by_batch",
        "Universality by batch size",
        "Percentage of training images that a filter of one of the last layers answers to, a row "
        "per data set. The steps apart on the left: filters with universality 0, inactive, their "
        "share printed; where they leave the panel they are cut. Seeds are pooled.",
        universality_by_batch.universality_by_batch,
        lambda records: bool(universality_by_batch.batch_rows(records)),
        universality_by_batch.shown_runs,
    ),
    Drawing(
        "low_gradient",
        "The regularizer alone",
        low_gradient.Regime().caption,
        _low_gradient,
        lambda records: _config_name(records) in LOW_GRADIENT,
    ),
)


def render(records: Records) -> Iterator[Rendered]:
    """Draw every figure that applies, one at a time."""
    for drawing in DRAWINGS:
        if not drawing.applies(records):
            continue
        figure = drawing.draw(records, theme=style.LIGHT)
        light, pdf = style.png(figure), style.pdf(figure)
        twin = drawing.draw(records, theme=style.DARK)
        style.same_places(twin, figure)
        dark = style.png(twin, style.DARK)
        captioned = dataclasses.replace(drawing, caption=caption(drawing, records))
        yield Rendered(captioned, light, dark, pdf)


def write(rendered: Rendered, folder: Path) -> list[Path]:
    """Write one figure as PNG and PDF into the folder."""
    paths = [folder / f"{rendered.drawing.name}.{kind}" for kind in ("png", "pdf")]
    for path, content in zip(paths, (rendered.light, rendered.pdf), strict=True):
        write_atomically(path, content)
    return paths


def remove_stale(folder: Path, rendered: Sequence[Rendered]) -> None:
    """Remove figures of ours that an earlier build left and that no longer apply.

    Files that a build which was killed had begun to write go too.
    """
    for path in folder.glob(".*.tmp"):
        path.unlink(missing_ok=True)
    made = {item.drawing.name for item in rendered}
    for drawing in DRAWINGS:
        if drawing.name not in made:
            for kind in ("png", "pdf"):
                (folder / f"{drawing.name}.{kind}").unlink(missing_ok=True)
