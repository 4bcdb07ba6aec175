"""Filters alive over training, layer by layer: when they become inactive, which come back."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from sparsity_jax.report.aggregate import panel_labels
from sparsity_jax.report.figures import style
from sparsity_jax.report.figures.gamma_beta import ridge_runs
from sparsity_jax.report.loading import Records
from sparsity_jax.sparsity.dynamics import alive_pct, fates
from sparsity_jax.storage.measurements import Measurements

DASHES = ("-", (0, (5, 1.2)), (0, (1.2, 1.2)), (0, (5, 1.2, 1.2, 1.2)))


def alive_runs(records: Records) -> list[str]:
    """Up to four runs, of those in which a filter was ever inactive."""
    return [
        run
        for run in ridge_runs(records)
        if any((alive_pct(gamma) < 100).any() for gamma in records.measures[run].gamma.values())
    ]


@style.themed
def filters_alive(records: Records, *, theme: style.Theme = style.LIGHT) -> Figure:
    """Share of each layer's filters with |gamma| at or above 1e-3 over steps, a panel per run."""
    runs, labels = alive_runs(records), panel_labels(records.rows)
    looks = layer_looks([records.measures[run] for run in runs], theme)
    figure = style.figure(style.PAGE, 2.9)
    panels = figure.subplots(1, len(runs), squeeze=False, sharey=True, sharex=True)[0]
    for axes, run in zip(panels, runs, strict=True):
        measure = records.measures[run]
        for name, gamma in measure.gamma.items():
            axes.plot(measure.step, alive_pct(gamma), linewidth=1.4, **looks[name])
        mark_cuts(axes, measure, theme)
        axes.set_xlabel("step")
        axes.locator_params(axis="x", nbins=4)
        style.panel_title(axes, labels[run], f"{fates(measure.gamma, measure.step).dead} inactive")
    panels[0].set_ylabel("filters alive (%)")
    panels[0].set_ylim(min(90.0, panels[0].get_ylim()[0]), 101)
    handles = [Line2D([], [], label=name, **look) for name, look in looks.items()]
    figure.legend(handles=handles, loc="outside lower center", ncols=min(8, len(handles)))
    return figure


def layer_looks(measures: Sequence[Measurements], theme: style.Theme) -> dict[str, dict[str, Any]]:
    """Layer -> colour and dashes of its line, over all layers of these runs.

    Early layers are paler; neighbours differ in their dashes too, for whom colours say nothing.
    """
    names = list(dict.fromkeys(name for measure in measures for name in measure.layers))
    # The ramp's ends would vanish against the ground or look alike.
    tones = theme.heat_map(np.linspace(0.28, 1.0, max(2, len(names))))
    return {
        name: {"color": tone, "linestyle": DASHES[i % len(DASHES)]}
        for i, (name, tone) in enumerate(zip(names, tones, strict=False))
    }


def mark_cuts(axes: Axes, measure: Measurements, theme: style.Theme) -> None:
    """Draw a tick at the top for each step at which filters were cut out of the training."""
    steps = [steps[steps >= 0] for steps in measure.cut_step.values()]
    for step in np.unique(np.concatenate(steps)) if steps else ():
        axes.axvline(step, ymin=0.93, color=theme.ink, linewidth=1.0)
