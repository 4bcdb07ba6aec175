"""Filters while they train: how often they fire, and what moves gamma before they die."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from sparsity_jax.report.aggregate import panel_labels
from sparsity_jax.report.figures import style
from sparsity_jax.report.figures.filters import layer_looks, mark_cuts
from sparsity_jax.report.figures.gamma_beta import ridge_runs
from sparsity_jax.report.loading import Records
from sparsity_jax.sparsity.balance import first_below, pull_ratio, ratio_at_death
from sparsity_jax.sparsity.dynamics import NEVER
from sparsity_jax.storage.measurements import Measurements

LEAST_DEATHS = 5  # of a run whose ratio at death is drawn
BEFORE, AFTER = 8, 3  # moments around a death
SHOWN = 1e-3, 1e2  # of the ratio: beyond, a dead gamma's decay and pull are rounding


def ratios(measure: Measurements) -> dict[str, np.ndarray]:
    """Layer -> (T, filters) mean |strength * gamma| over mean |d loss / d gamma|."""
    return {layer: pull_ratio(decay, measure.pull[layer]) for layer, decay in measure.decay.items()}


def watched_runs(records: Records) -> list[str]:
    """Up to four runs, the most and the least sparse among them, whose activity was kept."""
    return [run for run in ridge_runs(records) if records.measures[run].fired]


def death_runs(records: Records) -> list[str]:
    """Those in which filters died, with what moved their gamma."""
    return [run for run in watched_runs(records) if _deaths(records.measures[run]) >= LEAST_DEATHS]


def _deaths(measure: Measurements) -> int:
    return sum(int((first_below(gamma) != NEVER).sum()) for gamma in measure.gamma.values())


@style.themed
def firing_rate(records: Records, *, theme: style.Theme = style.LIGHT) -> Figure:
    """Share of training images on which a layer's filters fire, over steps, a panel per run."""
    runs, labels = watched_runs(records), panel_labels(records.rows)
    looks = layer_looks([records.measures[run] for run in runs], theme)
    figure = style.figure(style.PAGE, 2.9)
    panels = figure.subplots(1, len(runs), squeeze=False, sharey=True, sharex=True)[0]
    for axes, run in zip(panels, runs, strict=True):
        measure = records.measures[run]
        for name, fired in measure.fired.items():
            shares = 100 * np.nan_to_num(fired).mean(axis=1)  # what was cut fires no more
            axes.plot(measure.step, shares, linewidth=1.4, **looks[name])
        mark_cuts(axes, measure, theme)
        axes.set_xlabel("step")
        axes.locator_params(axis="x", nbins=3)
        last = np.concatenate([np.nan_to_num(fired[-1]) for fired in measure.fired.values()])
        style.panel_title(axes, labels[run], f"{100 * last.mean():.0f} % in the end")
    panels[0].set_ylabel("images that a filter\nfires on (%, mean)")
    panels[0].set_ylim(0, 102)
    handles = [Line2D([], [], label=name, **look) for name, look in looks.items()]
    figure.legend(handles=handles, loc="outside lower center", ncols=min(8, len(handles)))
    return figure


@style.themed
def balance_at_death(records: Records, *, theme: style.Theme = style.LIGHT) -> Figure:
    """Decay over pull of gamma around the death of filters, beside that of the survivors."""
    runs, labels = death_runs(records), panel_labels(records.rows)
    figure = style.figure(style.PAGE, 2.9)
    panels = figure.subplots(1, len(runs), squeeze=False, sharey=True)[0]
    for axes, run in zip(panels, runs, strict=True):
        measure = records.measures[run]
        _around_death(axes, measure, style.marks(records.rows)[run].color, theme)
        style.panel_title(axes, labels[run], f"{_deaths(measure)} filters died")
    panels[0].set_ylabel("|λγ| over |∂L/∂γ|")
    handles = [
        Line2D([], [], color=theme.ink, label="filters that die: median and quartiles"),
        Line2D([], [], color=theme.faint, linestyle="--", label="their layer's survivors then"),
    ]
    figure.legend(handles=handles, loc="outside lower center", ncols=2)
    return figure


def _around_death(axes: Axes, measure: Measurements, color: str, theme: style.Theme) -> None:
    around = ratio_at_death(measure.gamma, ratios(measure), before=BEFORE, after=AFTER)
    apart = float(np.median(np.diff(measure.step))) if len(measure.step) > 1 else 1.0
    steps = apart * np.arange(-BEFORE, AFTER + 1)
    known = [~np.isnan(column) for column in around[0].T]
    times = np.array([mask.sum() >= LEAST_DEATHS for mask in known])
    quartiles = np.array(
        [
            np.quantile(column[mask], (0.25, 0.5, 0.75), method="nearest")
            for column, mask, shown in zip(around[0].T, known, times, strict=True)
            if shown
        ]
    ).clip(*SHOWN)
    axes.fill_between(steps[times], quartiles[:, 0], quartiles[:, 2], color=color, alpha=0.25)
    axes.plot(steps[times], quartiles[:, 1], color=color, marker="o", markersize=3)
    survivors = [column[~np.isnan(column)] for column in around[1].T[times]]
    middle = [np.median(each) if len(each) else np.nan for each in survivors]
    axes.plot(steps[times], middle, color=theme.faint, linestyle="--")
    axes.axhline(1, color=theme.faint, linewidth=0.8, linestyle=":")
    axes.axvline(0, color=theme.faint, linewidth=0.8, linestyle=":")
    axes.set(yscale="log", ylim=SHOWN)
    axes.set_xlabel("steps from |γ| < 1e-3")
    axes.locator_params(axis="x", nbins=4)
