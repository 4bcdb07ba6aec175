"""Figure 2: gamma and beta of a layer's filters during training, as ridges and as maps.

A filter is inactive once its gamma has decayed to zero: in the ridges a spike grows at zero, in the
maps a line.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import PolyCollection
from matplotlib.colors import to_rgba
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from sparsity_jax.report.aggregate import panel_labels
from sparsity_jax.report.figures import style
from sparsity_jax.report.loading import Records
from sparsity_jax.storage.measurements import Measurements

RIDGES = 22  # slices of a ridge plot
BINS = 110
WORDS = {"gamma": "gamma (scale)", "beta": "beta (shift)"}


def chosen_layer(measure: Measurements) -> str:
    """The layer shown unless asked otherwise: the last but one, C6 of BasicNet, as in the paper."""
    return tuple(measure.layers)[-2:][0]


def value_range(values: Sequence[np.ndarray]) -> tuple[float, float]:
    """Range of an axis: nearly all values and zero, with a margin."""
    flat = np.concatenate([array.ravel() for array in values]) if values else np.zeros(0)
    flat = flat[np.isfinite(flat)]
    if not len(flat):
        return -1.0, 1.0
    low, high = np.percentile(flat, [0.3, 99.7])
    low, high = min(0.0, float(low)), max(0.0, float(high))
    margin = 0.06 * (high - low) or 0.5
    return low - margin, high + margin


def shares(values: np.ndarray, low: float, high: float, bins: int) -> np.ndarray:
    """(T, filters) values -> (T, bins) shares of the filters; outliers go to the outermost bins.

    Values that are not numbers are left out, so a row sums to 1 or, without any number, to 0.
    """
    rows = np.zeros((len(values), bins))
    for row, slice_ in zip(rows, values, strict=True):
        known = slice_[np.isfinite(slice_)]
        at = ((np.clip(known, low, high) - low) / (high - low) * bins).astype(int)
        row += np.bincount(np.minimum(at, bins - 1), minlength=bins) / max(1, len(known))
    return rows


def _series(records: Records, runs: Sequence[str], kind: str) -> dict[str, np.ndarray]:
    made = {}
    for run in runs:
        measure = records.measures[run]
        values: Mapping[str, np.ndarray] = getattr(measure, kind)
        made[run] = values[chosen_layer(measure)]
    return made


def ridge_runs(records: Records, limit: int = 4) -> list[str]:
    """The runs of the ridge plot: the most and the least sparse among those shown, in order."""
    runs = [run for run in records.shown if run in records.measures]
    ranked = sorted(runs, key=lambda run: -records.row(run).sparsity_gamma)
    spread = np.unique(np.linspace(0, len(ranked) - 1, min(limit, len(ranked))).round().astype(int))
    picked = {ranked[i] for i in spread}
    return [run for run in runs if run in picked]


@style.themed
def gamma_beta_ridges(records: Records, *, theme: style.Theme = style.LIGHT) -> Figure:
    """Distribution of gamma and beta over the filters of one layer, a slice per moment.

    Time goes up. The height of a slice is the square root of the smoothed share of filters, so that
    a spike of inactive filters at zero does not flatten everything else.
    """
    runs = ridge_runs(records)
    labels, marks = panel_labels(records.rows), style.marks(records.rows)
    figure = style.figure(style.PAGE, 5.6)
    panels = figure.subplots(2, len(runs), squeeze=False, sharex="row")
    for line, kind in zip(panels, ("gamma", "beta"), strict=True):
        series = _series(records, runs, kind)
        low, high = value_range(list(series.values()))
        for axes, run in zip(line, runs, strict=True):
            epochs = records.measures[run].epoch
            _ridge(axes, series[run], epochs, (low, high), marks[run].color, theme)
            axes.set_xlabel(WORDS[kind])
            if kind == "gamma":
                style.panel_title(axes, labels[run], _inactive(records, run))
    for line in panels:
        line[0].set_ylabel("epoch")
        for axes in line[1:]:
            axes.tick_params(labelleft=False)
    return figure


def _ridge(
    axes: Axes,
    values: np.ndarray,
    epochs: np.ndarray,
    span: tuple[float, float],
    color: str,
    theme: style.Theme,
) -> None:
    kept = np.unique(np.linspace(0, len(values) - 1, min(RIDGES, len(values))).round().astype(int))
    heights = np.sqrt(_smooth(shares(values[kept], *span, BINS)))
    middles = span[0] + (np.arange(BINS) + 0.5) * (span[1] - span[0]) / BINS
    tall = heights / max(1e-9, heights.max()) * 4.2
    backwards = range(len(kept) - 1, -1, -1)  # what is above stands behind
    outlines = [
        np.column_stack(
            (
                np.concatenate(([span[0]], middles, [span[1]])),
                rank + np.concatenate(([0.0], tall[rank], [0.0])),
            )
        )
        for rank in backwards
    ]
    tones = [to_rgba(color, 0.3 + 0.6 * rank / max(1, len(kept) - 1)) for rank in backwards]
    axes.add_collection(
        PolyCollection(outlines, facecolors=tones, edgecolors=theme.face, linewidths=0.7),
        autolim=False,
    )
    axes.axvline(0, color=theme.ink, linewidth=0.7, linestyle=":")
    marks = [mark for mark in MaxNLocator(4).tick_values(0, epochs[-1]) if mark <= epochs[-1]]
    axes.set_yticks(
        np.interp(marks, epochs[kept], range(len(kept))), [f"{mark:g}" for mark in marks]
    )
    axes.grid(visible=False)
    axes.set_xlim(*span)
    axes.set_ylim(-0.3, len(kept) + 3.6)


def _smooth(rows: np.ndarray) -> np.ndarray:
    """Each row blurred by one bin, so that few filters still make a readable curve."""
    kernel = np.exp(-0.5 * (np.arange(-4, 5) / 1.3) ** 2)
    kernel /= kernel.sum()
    return np.stack([np.convolve(row, kernel, mode="same") for row in rows])


def _inactive(records: Records, run: str) -> str:
    measure = records.measures[run]
    layer = chosen_layer(measure)
    mask = measure.inactive_gamma.get(layer)
    return layer if mask is None else f"{layer}: {100 * float(np.mean(mask)):.0f} % inactive"


def map_runs(records: Records) -> list[str]:
    """The runs of the maps: all that figures with a panel per run show."""
    return [run for run in records.shown if run in records.measures]


@style.themed
def gamma_beta_maps(records: Records, *, theme: style.Theme = style.LIGHT) -> Figure:
    """The same over time for up to eight runs: colour is the square root of the filters' share."""
    runs = map_runs(records)
    labels = panel_labels(records.rows)
    columns = min(4, len(runs))
    lines = -(-len(runs) // columns)
    figure = style.figure(style.PAGE, 0.4 + 2.75 * lines)
    panels = figure.subplots(2 * lines, columns, squeeze=False)
    for offset, kind in enumerate(("gamma", "beta")):
        series = _series(records, runs, kind)
        span = value_range(list(series.values()))
        for i, run in enumerate(runs):
            axes = panels[2 * (i // columns) + offset, i % columns]
            _map(axes, series[run], records.measures[run].epoch, span, theme)
            if kind == "gamma":
                style.panel_title(axes, labels[run], _inactive(records, run))
                axes.tick_params(labelbottom=False)
            else:
                axes.set_xlabel("epoch")
            if i % columns == 0:
                axes.set_ylabel(kind)
            else:
                axes.tick_params(labelleft=False)
    for rest in range(len(runs), columns * lines):
        for offset in (0, 1):
            panels[2 * (rest // columns) + offset, rest % columns].set_axis_off()
    return figure


def _map(
    axes: Axes,
    values: np.ndarray,
    epochs: np.ndarray,
    span: tuple[float, float],
    theme: style.Theme,
) -> None:
    picture = np.sqrt(shares(values, *span, 70)).T
    end = float(epochs[-1]) or 1.0
    axes.imshow(
        picture,
        origin="lower",
        aspect="auto",
        cmap=theme.heat_map,
        vmin=0,
        vmax=0.75,
        extent=(0, end, *span),
        interpolation="nearest",
    )
    axes.axhline(0, color=theme.faint, linewidth=0.6, linestyle=":")
    axes.grid(visible=False)
