"""Figure S1: where gamma and beta of two late layers end up, run by run."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import PolyCollection
from matplotlib.figure import Figure

from sparsity_jax.report.aggregate import panel_labels
from sparsity_jax.report.figures import style
from sparsity_jax.report.figures.gamma_beta import WORDS, map_runs, shares, value_range
from sparsity_jax.report.loading import Records

BINS = 44
FILLED = 0.85  # of a run's row
INACTIVE = 1e-3  # |gamma| below it: an inactive filter


def final_layers(records: Records) -> tuple[str, ...]:
    """The two layers before the last, C5 and C6 of BasicNet; fewer in smaller networks."""
    layers = records.measures[map_runs(records)[0]].layers
    return layers[-3:-1] or layers[-1:]


@style.themed
def gamma_beta_final(records: Records, *, theme: style.Theme = style.LIGHT) -> Figure:
    """Histograms of the last gamma (left) and beta (right), a row per run, a line per layer.

    Heights are square roots of shares, so that one filter remains visible beside a spike of
    inactive ones. Beside a row: the share of inactive filters, and of those with beta above 0.
    """
    runs = map_runs(records)
    layers = final_layers(records)
    labels = panel_labels(records.rows)
    height = 0.35 + 0.3 * len(runs)
    figure = style.figure(style.PAGE, 0.3 + height * len(layers))
    panels = figure.subplots(len(layers), 2, squeeze=False, sharex="col", sharey="row")
    for line, layer in zip(panels, layers, strict=True):
        for axes, kind in zip(line, WORDS, strict=True):
            last = [getattr(records.measures[run], kind).get(layer, _NONE)[-1] for run in runs]
            colors = [style.color(records.row(run).optimizer) for run in runs]
            _rows(axes, last, colors, theme)
            _print(axes, kind, last)
            axes.set_title(f"{layer}: {WORDS[kind]}")
        words = [style.wrapped(labels[run], 1.25, 7) for run in runs]
        line[0].set_yticks([-place for place in range(len(runs))], words, fontsize=7)
        line[0].set_ylim(0.9 - len(runs), 1.0)
    return figure


_NONE = np.zeros((1, 0))  # of a layer that a run lacks


def _rows(
    axes: Axes, last: Sequence[np.ndarray], colors: Sequence[str], theme: style.Theme
) -> None:
    low, high = value_range(last)
    edges = np.linspace(low, high, BINS + 1)
    heights = [np.sqrt(shares(values[None], low, high, BINS)[0]) for values in last]
    tallest = max(1e-9, float(np.max(heights)))
    for place, (height, color) in enumerate(zip(heights, colors, strict=True)):
        tops = -place + FILLED * np.repeat(height / tallest, 2)
        outline = np.column_stack((np.repeat(edges, 2)[1:-1], tops))
        outline = np.vstack(([low, -place], outline, [high, -place]))
        axes.add_collection(
            PolyCollection([outline], facecolors=color, edgecolors=color, linewidths=0.5)
        )
        axes.axhline(-place, color=theme.faint, linewidth=0.5)
    axes.axvline(0, color=theme.ink, linewidth=0.7, linestyle=":")
    axes.grid(visible=False)
    axes.set_xlim(low, high)
    axes.tick_params(axis="y", length=0)


def _print(axes: Axes, kind: str, last: Sequence[np.ndarray]) -> None:
    where = {"fontsize": 6.5, "transform": axes.get_yaxis_transform(), "va": "bottom"}
    axes.text(1.02, 0.85, "inactive" if kind == "gamma" else "above 0", **where)
    for place, values in enumerate(last):
        if len(values):
            share = np.mean(np.abs(values) < INACTIVE if kind == "gamma" else values > INACTIVE)
            axes.text(1.02, -place + 0.05, f"{100 * share:.0f} %", **where)
