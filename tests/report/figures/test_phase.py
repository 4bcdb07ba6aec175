"""Phase planes: found in rows of results.csv, and their maps show what the rows hold."""

from __future__ import annotations

import dataclasses
import math
import runpy
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.collections import QuadMesh
from matplotlib.patches import Rectangle

from sparsity_jax.config.run_config import RunConfig
from sparsity_jax.config.sweep import expand
from sparsity_jax.optimizers import default_learning_rate
from sparsity_jax.report.figures import contours, style
from sparsity_jax.report.figures.phase import ERROR_SPAN, TOLERATED, phase_diagram
from sparsity_jax.report.figures.planes import LEAST, SETTINGS, Setting, planes
from sparsity_jax.report.figures.registry import DRAWINGS
from sparsity_jax.report.loading import Records
from sparsity_jax.storage.results import RunResult

CONFIG = runpy.run_path(str(Path(__file__).parents[3] / "configs" / "phase_diagram.py"))


def _result(run: RunConfig) -> RunResult:
    """A made-up outcome: sparsity grows with strength and rate, and so does the error in the end"""
    pull = math.log10(run.strength * run.learning_rate / default_learning_rate(run.optimizer))
    share = 1 / (1 + math.exp(-3 * (pull + (2.9 if run.optimizer == "adam" else 1.6))))
    error = 1.5 + 70 / (1 + math.exp(-6 * (pull + 1.8)))
    return RunResult(
        run.name, "renderings", run.network, run.optimizer, run.regularizer, run.strength,
        run.batch_size, variant=run.variant, seed=run.seed, test_error=error,
        sparsity_gamma=90 * share,
    )  # fmt: skip


def _rows(setting: Setting) -> tuple[RunResult, ...]:
    return tuple(_result(run) for run in expand(CONFIG["get_config"](setting)))


@pytest.fixture(scope="module")
def rows() -> tuple[RunResult, ...]:
    return _rows("learning_rate")


@pytest.mark.parametrize("setting", SETTINGS)
def test_the_grid_of_the_config_spans_one_plane_an_optimizer(setting: Setting) -> None:
    rows = _rows(setting)
    found = planes(rows, setting)
    assert [plane.optimizer for plane in found] == ["adam", "sgd"]
    assert sum(len(plane.cells) for plane in found) == len(rows)
    for other in set(SETTINGS) - {setting}:
        assert planes(rows, other) == []


def test_values_are_what_the_runs_were_trained_with(rows: tuple[RunResult, ...]) -> None:
    runs = expand(CONFIG["get_config"]("learning_rate"))
    for plane in planes(rows, "learning_rate"):
        theirs = [run for run in runs if run.optimizer == plane.optimizer]
        assert plane.values == tuple(sorted({run.learning_rate for run in theirs}))
        assert plane.papers == default_learning_rate(plane.optimizer)
        for run in theirs:
            assert plane.cells[run.learning_rate, run.strength].first.run == run.name


@given(st.integers(1, 6), st.integers(1, 5))
def test_a_plane_needs_three_strengths_and_three_values(strengths: int, values: int) -> None:
    rows = [
        RunResult(f"{i} {j}", "d", "n", "adam", "l2", 10.0**-i, 10 * j)
        for i in range(strengths)
        for j in range(1, values + 1)
    ]
    assert bool(planes(rows, "batch_size")) == (min(strengths, values) >= LEAST)


def test_runs_on_other_data_span_a_plane_of_their_own(rows: tuple[RunResult, ...]) -> None:
    fewer = [dataclasses.replace(row, dataset="mine") for row in rows if row.strength < 1e-2]
    assert {plane.dataset for plane in planes([*fewer, *rows], "learning_rate")} == {"renderings"}
    assert {plane.dataset for plane in planes(fewer, "learning_rate")} == {"mine"}


def test_seeds_share_a_cell_and_a_line_of_a_plane_is_none(rows: tuple[RunResult, ...]) -> None:
    twice = [*rows, *(dataclasses.replace(row, run=row.run + "b", seed=1) for row in rows)]
    found = planes(twice, "learning_rate")
    assert {len(group.rows) for plane in found for group in plane.cells.values()} == {2}
    line = [row for row in rows if row.strength == 1e-3 or "lr=" not in row.variant]
    assert planes(line, "learning_rate") == []


def test_maps_show_the_numbers_and_hatch_what_is_missing(rows: tuple[RunResult, ...]) -> None:
    diverged = dataclasses.replace(
        rows[0], status="diverged", sparsity_gamma=math.nan, test_error=math.nan
    )
    records = Records("x", (diverged, *rows[3:]))  # two were not run
    made = phase_diagram(records, setting="learning_rate")
    panels = made.axes[:4]
    hatched = [
        sum(isinstance(patch, Rectangle) and bool(patch.get_hatch()) for patch in axes.patches)
        for axes in panels
    ]
    assert hatched == [3, 3, 0, 0]
    words = [text.get_text() for text in made.legends[0].get_texts()]
    assert words == ["diverged", "not run"]
    found = planes(records.rows, "learning_rate")
    for axes, plane in zip(panels[::2], found, strict=True):
        shown = next(item for item in axes.collections if isinstance(item, QuadMesh)).get_array()
        expected = np.ma.masked_invalid(plane.means("sparsity_gamma"))
        np.testing.assert_array_equal(np.ma.getmaskarray(shown), expected.mask)
        np.testing.assert_allclose(np.ma.compressed(shown), expected.compressed())


def test_panels_of_a_column_share_their_colours(rows: tuple[RunResult, ...]) -> None:
    panels = phase_diagram(Records("x", rows), setting="learning_rate").axes[:4]
    limits = [
        next(item for item in axes.collections if isinstance(item, QuadMesh)).get_clim()
        for axes in panels
    ]
    assert limits[0] == limits[2]
    low = min(row.test_error for row in rows)
    assert limits[1] == limits[3] == (low, ERROR_SPAN * low)
    assert max(row.test_error for row in rows) > ERROR_SPAN * low


def test_cells_carry_their_numbers(rows: tuple[RunResult, ...]) -> None:
    panels = phase_diagram(Records("x", rows), setting="learning_rate").axes[:4]
    for (left, right), plane in zip(
        (panels[:2], panels[2:]), planes(rows, "learning_rate"), strict=True
    ):
        sparsities = [f"{value:.0f}" for value in plane.means("sparsity_gamma").ravel()]
        assert [text.get_text() for text in left.texts] == sparsities
        errors = [float(text.get_text()) for text in right.texts]
        np.testing.assert_allclose(errors, plane.means("test_error").ravel(), atol=0.5001)


def test_two_tenths_and_two_percent_have_colours_far_apart() -> None:
    rows = tuple(
        RunResult(f"{i} {j}", "d", "n", "adam", "l2", 10.0**-i, 10 * j, sparsity_gamma=1.0 * i,
                  test_error=(0.2, 2.0, 90.0)[j - 1])
        for i in (1, 2, 3) for j in (1, 2, 3)
    )  # fmt: skip
    axes = phase_diagram(Records("x", rows), setting="batch_size").axes[1]
    mesh = next(item for item in axes.collections if isinstance(item, QuadMesh))
    assert mesh.norm(2.0) - mesh.norm(0.2) > 0.5


def test_the_star_is_the_sparsest_run_that_errs_little_more(rows: tuple[RunResult, ...]) -> None:
    panels = phase_diagram(Records("x", rows), setting="learning_rate", theme=style.DARK).axes
    bar = min(row.test_error for row in rows) + TOLERATED
    for axes, plane in zip(panels[:4:2], planes(rows, "learning_rate"), strict=True):
        group = max(
            (g for g in plane.cells.values() if g.first.test_error <= bar),
            key=lambda g: g.first.sparsity_gamma,
        )
        star = next(line for line in axes.lines if line.get_marker() == "*")
        at = [10 ** float(np.squeeze(place)) for place in star.get_data()]
        assert plane.cells[min(plane.values, key=lambda v: abs(v - at[1])),
                           min(plane.strengths, key=lambda s: abs(s - at[0]))] == group  # fmt: skip


def test_a_plane_of_lost_runs_draws(rows: tuple[RunResult, ...]) -> None:
    lost = tuple(
        dataclasses.replace(row, status="diverged", sparsity_gamma=math.nan, test_error=math.nan)
        for row in rows
    )
    assert style.png(phase_diagram(Records("x", lost), setting="learning_rate"))


def test_a_report_draws_a_plane_only_where_there_is_one(rows: tuple[RunResult, ...]) -> None:
    def drawn(some: tuple[RunResult, ...]) -> set[str]:
        records = Records("x", some)
        return {d.name for d in DRAWINGS if d.name.startswith("phase") and d.applies(records)}

    assert drawn(rows) == {"phase_learning_rate"}
    assert drawn(tuple(row for row in rows if row.strength > 1e-3)) == {"phase_learning_rate"}
    assert drawn(tuple(row for row in rows if row.strength > 2e-3)) == set()


@given(st.lists(st.floats(0, 30), min_size=3, max_size=6), st.integers(0, 8), st.booleans())
def test_between_cells_a_map_is_monotone_and_masked_where_unknown(
    steps: list[float], unknown: int, turned: bool
) -> None:
    along, across = tuple(np.geomspace(0.1, 2.0, len(steps))), (1e-4, 1e-3, 1e-2)
    values = np.repeat(np.cumsum(steps)[:, None], 3, axis=1)

    def mapped(cells: np.ndarray) -> np.ma.MaskedArray:
        if turned:
            return contours.fine(cells.T, across, along)[2].T
        return contours.fine(cells, along, across)[2]

    whole = mapped(values)
    assert (np.diff(whole, axis=0) > -1e-6).all()
    assert np.abs(np.diff(whole, axis=1)).max() < 1e-6
    values[np.unravel_index(unknown, values.shape)] = np.nan
    share = np.ma.getmaskarray(mapped(values)).mean()
    assert 0 < share < 0.5


@given(st.lists(st.floats(0, 60), min_size=9, max_size=9))
def test_a_map_runs_through_the_numbers_of_its_cells(numbers: list[float]) -> None:
    values = np.array(numbers).reshape(3, 3)
    places = (1e-4, 1e-3, 1e-2)
    xs, ys, mapped = contours.fine(values, places, places)
    at = [np.abs(ys - np.log10(place)).argmin() for place in places]
    np.testing.assert_allclose(xs[at], np.log10(places), atol=1e-9)
    np.testing.assert_allclose(mapped[np.ix_(at, at)], values, rtol=1e-9, atol=1e-9)
