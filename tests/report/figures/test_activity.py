"""Figures and sentences of what filters do while they train."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from sparsity_jax.report import loading
from sparsity_jax.report.figures import activity, style
from sparsity_jax.report.page import page, sections


@pytest.fixture(scope="module")
def records(built) -> loading.Records:
    return loading.load(built)


def test_firing_rates_are_the_layers_means_and_cut_filters_fire_no_more(records):
    run = activity.watched_runs(records)[0]
    measure = records.measures[run]
    fired = {name: values.copy() for name, values in measure.fired.items()}
    fired["C5"][3:, :4] = np.nan
    steps = {name: np.full(values.shape[1], -1) for name, values in fired.items()}
    steps["C5"][:4] = measure.step[2]
    changed = dataclasses.replace(measure, fired=fired, cut_step=steps)
    made = dataclasses.replace(records, measures={**records.measures, run: changed})
    axes = activity.firing_rate(made).axes[0]
    for line, values in zip(axes.lines, fired.values(), strict=False):
        whole = np.where(np.isnan(values), 0, values)
        np.testing.assert_allclose(line.get_ydata(), 100 * whole.mean(1), rtol=1e-5)
    marks = [line.get_xdata()[0] for line in axes.lines[len(fired) :]]
    assert marks == [measure.step[2]]


def test_the_ratio_is_drawn_around_the_first_crossing(records):
    run = activity.death_runs(records)[0]
    measure = records.measures[run]
    line = activity.balance_at_death(records).axes[0].lines[0]
    around: dict[int, list[float]] = {}
    for name, gamma in measure.gamma.items():
        for c in np.flatnonzero(np.abs(gamma[-1]) < 1e-3):
            first = int(np.argmax(np.abs(gamma[:, c]) < 1e-3))
            for k in range(-activity.BEFORE, activity.AFTER + 1):
                if 0 <= first + k < len(gamma):
                    t = first + k
                    value = measure.decay[name][t, c] / measure.pull[name][t, c]
                    around.setdefault(k, []).append(value)
    expected = [
        np.quantile(values, 0.5, method="nearest").clip(*activity.SHOWN)
        for _, values in sorted(around.items())
        if len(values) >= activity.LEAST_DEATHS
    ]
    np.testing.assert_allclose(line.get_ydata(), expected, rtol=1e-5)
    assert 0 in line.get_xdata()


def test_the_page_says_what_moved_gamma(records):
    lines = sections.balances(records)
    assert len(lines) == len(activity.watched_runs(records))
    assert any("before" in line and "the ratio was" in line for line in lines)
    assert any("rank correlation with selectivity" in line for line in lines)
    assert "What moved gamma" in page.page(records, [])


def test_older_files_have_neither_figure_nor_sentence(records):
    older = {run: loading.without_activity(m) for run, m in records.measures.items()}
    made = dataclasses.replace(records, measures=older)
    assert activity.watched_runs(made) == activity.death_runs(made) == []
    assert sections.balances(made) == []
    assert "What moved gamma" not in page.page(made, [])


@pytest.mark.parametrize("draw", [activity.firing_rate, activity.balance_at_death])
@pytest.mark.parametrize("theme", [style.LIGHT, style.DARK], ids=["light", "dark"])
def test_it_can_be_drawn(records, draw, theme):
    assert style.png(draw(records, theme=theme), theme)
