"""The page on time and death: numbers, a plain word when nothing is faster, figures."""

import dataclasses

import numpy as np
import pytest

from sparsity_jax.report import loading, tables
from sparsity_jax.report.figures import filters, speedup, style
from sparsity_jax.report.page import gains, page, sections
from sparsity_jax.storage.pruned import FileSizes, Latency


@pytest.fixture
def records(built):
    """The made-up workdir with timings: `factor` is how many times faster pruning made it."""
    loaded = loading.load(built)

    def with_speedup(factor, noise=1.0):
        timings = tuple(Latency(batch, 2.0 * factor, 2.0, noise) for batch in (1, 256))
        pruned = {
            run: dataclasses.replace(
                record, latency=timings, file_bytes=FileSizes(1_300_000, 650_000)
            )
            for run, record in loaded.pruned.items()
        }
        return dataclasses.replace(loaded, pruned=pruned)

    return with_speedup


def test_the_table_shows_sizes_and_times(records):
    text = tables.as_text(gains.gains_table(records(1.5))).replace(gains.NO_BREAK, " ")
    assert "3 → 2 1.50×" in text
    assert "1.3 M → 650 k -50 %" in text
    assert "batch 1, ms" in text
    assert "batch 256, ms" in text
    assert "1.5 times as fast" in gains.said(records(1.5))


@pytest.mark.parametrize(("factor", "noise"), [(1.0, 1.0), (0.8, 1.0), (1.04, 1.0), (1.2, 25.0)])
def test_no_speedup_is_called_none(records, factor, noise):
    made = records(factor, noise)
    lines = gains.gains_table(made).lines
    assert lines
    assert all(cell.note.startswith("none (") for line in lines for cell in line[-2:])
    assert "No speed-up was measured" in gains.said(made)


def test_a_network_that_lost_nothing_gains_nothing(records):
    made = records(2.3)
    whole = {run: dataclasses.replace(r, pruned=r.dense) for run, r in made.pruned.items()}
    made = dataclasses.replace(made, pruned=whole)
    lines = gains.gains_table(made).lines
    assert lines
    assert all(cell.note == "none (2.30×)" for line in lines for cell in line[-2:])
    assert "No speed-up was measured" in gains.said(made)


def test_without_timings_there_is_no_table_and_no_figure(built):
    loaded = loading.load(built)
    untimed = {run: dataclasses.replace(r, latency=()) for run, r in loaded.pruned.items()}
    loaded = dataclasses.replace(loaded, pruned=untimed)
    assert gains.gains_table(loaded).lines == ()
    assert speedup.timed_runs(loaded) == []
    assert 'id="gains"' not in page.page(loaded, [])
    assert 'id="deaths"' in page.page(loaded, [])


def test_the_page_has_the_section(records):
    assert 'id="gains"' in page.page(records(1.5), [])


def test_the_figure_stands_where_the_numbers_say(records):
    made = records(1.5)
    figure = speedup.speedup_against_sparsity(made)
    assert [axes.get_title() for axes in figure.axes] == ["batch 1", "batch 256"]
    run = speedup.timed_runs(made)[0]
    points = [tuple(np.ravel(line.get_xydata())) for line in figure.axes[0].lines]
    assert (pytest.approx(speedup.removed_pct(made.pruned[run])), 1.5) in points
    assert style.png(figure)


def test_alive_curves_end_at_the_measured_sparsity(records):
    made = records(1.0)
    runs = filters.alive_runs(made)
    assert runs
    figure = filters.filters_alive(made)
    for axes, run in zip(figure.axes, runs, strict=True):
        masks = made.measures[run].inactive_gamma.values()
        ends = [line.get_ydata()[-1] for line in axes.lines]
        assert ends == pytest.approx([100 - 100 * mask.mean() for mask in masks])
    assert len(sections.deaths(made)) == len(runs)
