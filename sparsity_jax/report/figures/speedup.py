"""Measured speed-up over the share of filters removed."""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from sparsity_jax.report.figures import style
from sparsity_jax.report.loading import Records
from sparsity_jax.storage.pruned import PrunedRecord


def timed_runs(records: Records) -> list[str]:
    """Runs whose dense and pruned networks were timed."""
    return [
        r.run for r in records.rows if r.run in records.pruned and records.pruned[r.run].latency
    ]


def removed_pct(record: PrunedRecord) -> float:
    """Filters removed, in percent."""
    return 100 * (1 - record.pruned.filters / record.dense.filters)


def _point(record: PrunedRecord, batch: int) -> tuple[float, float, float]:
    """Filters removed in percent, the speed-up there and its noise; NaN if it was not timed."""
    timing = next((timing for timing in record.latency if timing.batch == batch), None)
    if timing is None:
        return removed_pct(record), float("nan"), 0.0
    return removed_pct(record), timing.speedup, timing.speedup * timing.noise_pct / 100


@style.themed
def speedup_against_sparsity(records: Records, *, theme: style.Theme = style.LIGHT) -> Figure:
    """Dense over pruned time of a forward pass, a panel per batch size, a point per run.

    Bars: the noise of the measurement. The dotted line, multiply-adds before over after, is what a
    device would gain that did nothing but multiply.
    """
    runs, marks = timed_runs(records), style.marks(records.rows)
    batches = list(dict.fromkeys(t.batch for run in runs for t in records.pruned[run].latency))
    figure = style.figure(style.PAGE, 2.9)
    panels = figure.subplots(1, len(batches), squeeze=False, sharey=True, sharex=True)[0]
    for axes, batch in zip(panels, batches, strict=True):
        ideal = sorted(
            (removed_pct(record), record.dense.macs / record.pruned.macs)
            for record in (records.pruned[run] for run in runs)
        )
        axes.plot(*np.array(ideal).T, color=theme.faint, linestyle=":", linewidth=1.2, marker=".")
        for alike in style.alike([(run, marks[run]) for run in runs]):
            mark = marks[alike[0]]
            points = np.array([_point(records.pruned[run], batch) for run in alike])
            bars = axes.errorbar(
                *points.T[:2],
                yerr=points[:, 2],
                elinewidth=0.8,
                linestyle="none",
                **mark.point,
            )
            bars[0].set_clip_on(False)  # a point at zero is a whole one
        axes.axhline(1, color=theme.faint, linewidth=0.8)
        axes.set_title(f"batch {batch}")
        axes.set_xlabel("filters removed (%)")
    panels[0].set_ylabel("times as fast")
    panels[0].set_ylim(bottom=max(0.0, min(0.8, panels[0].get_ylim()[0])))
    panels[0].set_xlim(left=0, right=max(10.0, panels[0].get_xlim()[1]))
    shown = [row for row in records.rows if row.run in runs]
    handles = style.kind_handles(shown)
    handles.append(
        Line2D([], [], color=theme.faint, linestyle=":", marker=".", label="by multiply-adds")
    )
    words = [str(handle.get_label()) for handle in handles]
    figure.legend(handles=handles, loc="outside lower center", ncols=style.legend_columns(words))
    return figure
