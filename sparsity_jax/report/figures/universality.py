"""How many training images does a filter answer to? (Figs. 3 and 5: universality histograms)"""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from sparsity_jax.report.aggregate import run_labels
from sparsity_jax.report.figures import style
from sparsity_jax.report.figures.gamma_beta import ridge_runs
from sparsity_jax.report.loading import Records

BINS = np.linspace(0, 100, 11)


def universality_runs(records: Records) -> list[str]:
    """Up to four runs whose universality was measured."""
    return [run for run in ridge_runs(records) if records.measures[run].universality]


@style.themed
def universality_histograms(records: Records, *, theme: style.Theme = style.LIGHT) -> Figure:
    """Share of filters (percent) over their universality, a panel per layer, runs overlaid.

    Dead filters have universality 0 and stand in the first bin.
    """
    runs = universality_runs(records)
    labels, marks = run_labels(records.rows), style.marks(records.rows)
    layers = list(dict.fromkeys(n for run in runs for n in records.measures[run].universality))
    columns = min(4, len(layers))
    lines = -(-len(layers) // columns)
    figure = style.figure(style.PAGE, 0.6 + 1.5 * lines)
    panels = figure.subplots(lines, columns, squeeze=False, sharex=True, sharey=True).ravel()
    for axes in panels[len(layers) :]:
        axes.set_axis_off()
    for axes, layer in zip(panels, layers, strict=False):
        for run in runs:
            values = records.measures[run].universality.get(layer)
            if values is None:
                continue
            counts, _ = np.histogram(values, BINS)
            share = 100 * counts / max(1, len(values))
            mark = marks[run]
            line = {"color": mark.color, "linestyle": mark.line, "alpha": mark.alpha}
            axes.stairs(share, BINS, linewidth=1.3, **line)
            axes.stairs(share, BINS, color=mark.color, fill=True, alpha=0.14 * mark.alpha)
        axes.set_title(layer)
        axes.set_xlim(0, 100)
    for axes in panels[:: max(1, columns)]:
        axes.set_ylabel("filters (%)")
    for axes in panels[max(0, len(layers) - columns) : len(layers)]:
        axes.set_xlabel("universality (%)")
        axes.tick_params(labelbottom=True)
    handles = [
        Line2D(
            [], [], color=marks[run].color, linestyle=marks[run].line, alpha=marks[run].alpha,
            label=style.plain(labels[run]),
        )
        for run in runs
    ]  # fmt: skip
    columns = style.legend_columns([labels[run] for run in runs])
    figure.legend(handles=handles, loc="outside lower center", ncols=columns)
    return figure
