"""Figures show what the records hold, in one set of colours, and leave no state behind."""

from __future__ import annotations

import io
import subprocess
import sys
from pathlib import Path

import fake_workdir
import matplotlib as mpl
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from sparsity_jax.report import loading
from sparsity_jax.report.figures import style
from sparsity_jax.report.figures.curves import training_curves
from sparsity_jax.report.figures.gamma_beta import gamma_beta_maps, ridge_runs, shares
from sparsity_jax.report.figures.layers import MOST_BARS, sparsity_by_layer
from sparsity_jax.report.figures.tradeoff import sparsity_against_error
from sparsity_jax.report.loading import Records
from sparsity_jax.storage.results import RunResult


@pytest.fixture(scope="module")
def records(built: Path) -> Records:
    return loading.load(built)


def test_bars_are_as_high_as_the_layers_are_sparse(records: Records) -> None:
    bars = sparsity_by_layer(records).axes[0].containers
    heights = [patch.get_height() for patch in bars[0]]
    row = records.rows[0]
    assert heights == pytest.approx([*row.layers, row.sparsity_gamma])
    assert len(bars) == 4  # the diverged run has no layers


def test_many_groups_become_a_heat_map_with_the_same_numbers() -> None:
    rows = tuple(
        RunResult(str(i), "d", "n", "adam", "l2", 1e-3 * (i + 1), 40, layers=(i, 2 * i),
                  sparsity_gamma=1.5 * i) for i in range(MOST_BARS + 3)
    )  # fmt: skip
    image = sparsity_by_layer(Records("x", rows)).axes[0].images[0]
    expected = [[row.layers[0], row.layers[1], row.sparsity_gamma] for row in rows]
    np.testing.assert_allclose(np.asarray(image.get_array()), expected)


def test_points_stand_at_sparsity_and_error(records: Records) -> None:
    axes = sparsity_against_error(records).axes[0]
    points = {tuple(line.get_xydata()[0]) for line in axes.lines if line.get_marker() != "None"}
    rows = [row for row in records.rows if row.status == "finished"]
    assert points == {(row.sparsity_gamma, row.test_error) for row in rows}


def test_curves_are_the_history_and_the_drop_is_marked(records: Records) -> None:
    error = training_curves(records).axes[1]
    curves = records.curves[records.rows[0].run]
    np.testing.assert_array_equal(error.lines[0].get_ydata(), curves.test_error)
    rate = curves.learning_rate
    drop = curves.step[1:][rate[1:] < rate[:-1]]
    marked = [line.get_xdata()[0] for line in error.lines if line.get_linestyle() == ":"]
    assert marked == list(drop)


def test_the_error_axis_fits_the_errors_not_the_marks_of_drops(records: Records) -> None:
    low, high = training_curves(records).axes[1].get_ylim()
    errors = np.concatenate([curves.test_error for curves in records.curves.values()])
    assert low > 0.5 * np.nanmin(errors)
    assert high < 3 * np.nanmax(errors)


def test_an_optimizer_has_one_color_everywhere(records: Records) -> None:
    marks = style.marks(records.rows)
    for row in records.rows:
        assert marks[row.run].color == style.COLORS[row.optimizer]
    lines = training_curves(records).axes[0].lines
    assert [line.get_color() for line in lines[: len(records.rows)]] == [
        style.COLORS[row.optimizer] for row in records.rows
    ]
    assert len(set(style.COLORS.values())) == len(style.COLORS)


def test_runs_differ_without_colour_too(records: Records) -> None:
    marks = style.marks(records.rows)
    kinds = {(row.optimizer, row.regularizer) for row in records.rows}
    assert len({(mark.marker, mark.fill) for mark in marks.values()}) == len(kinds)
    assert set(style.MARKERS) == set(style.COLORS)
    assert len(set(style.MARKERS.values())) == len(style.MARKERS)


def test_regularizers_differ_in_line_filling_and_hatch(records: Records) -> None:
    marks = style.marks(records.rows)
    adam = [marks[row.run] for row in records.rows if row.optimizer == "adam"]
    for part in ("line", "fill", "hatch"):
        assert len({str(getattr(mark, part)) for mark in adam}) == 3


@given(st.lists(st.floats(-3, 3) | st.just(float("nan")), min_size=1, max_size=40))
def test_shares_count_every_number_once(values: list[float]) -> None:
    row = shares(np.array([values]), -1.0, 1.0, 10)[0]
    known = [value for value in values if not np.isnan(value)]
    assert row.sum() == pytest.approx(1.0 if known else 0.0)
    low = sum(value < -0.8 for value in known) / max(1, len(known))
    assert row[0] == pytest.approx(low, abs=1e-9 + sum(abs(v + 0.8) < 1e-9 for v in known))


def test_drawing_leaves_matplotlib_as_it_was_and_needs_no_pyplot() -> None:
    code = (
        "import sys, sparsity_jax.report, matplotlib; "
        "from sparsity_jax.report.figures import style; "
        "before = matplotlib.rcParams.copy(); "
        "draw = style.themed(lambda *, theme: style.figure(2, 2)); draw(theme=style.DARK); "
        "assert matplotlib.rcParams.copy() == before; assert 'matplotlib.pyplot' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=Path(__file__).parents[3])


def test_light_and_dark_differ_in_ground_only_in_the_settings(records: Records) -> None:
    for theme in (style.LIGHT, style.DARK):
        made = training_curves(records, theme=theme)
        pixel = Image.open(io.BytesIO(style.png(made, theme))).convert("RGB")
        ground = tuple(int(theme.face[i : i + 2], 16) for i in (1, 3, 5))
        corner = pixel.getpixel((1, 1))
        assert np.abs(np.subtract(corner, ground)).max() <= 2
    assert mpl.rcParams["axes.facecolor"] != style.DARK.face


def test_ridges_keep_the_most_and_the_least_sparse_run(records: Records) -> None:
    runs = ridge_runs(records, limit=2)
    rows = [records.row(run) for run in records.shown]
    expected = {max, min}
    assert set(runs) == {pick(rows, key=lambda r: r.sparsity_gamma).run for pick in expected}


def test_diverged_measures_draw(tmp_path: Path) -> None:
    fake_workdir.write(tmp_path, fake_workdir.QUICKSTART[:1], evaluations=1)
    loaded = loading.load(tmp_path)
    for layers in loaded.measures.values():
        for values in layers.gamma.values():
            values[:] = np.nan
    assert gamma_beta_maps(loaded).axes


@given(st.integers(1, 400), st.integers(2, 60))
def test_thinning_keeps_both_ends(count: int, times: int) -> None:
    made = loading.Measurements(
        step=np.arange(count), epoch=np.arange(count) / 10,
        gamma={"C1": np.zeros((count, 2))}, beta={"C1": np.zeros((count, 2))},
    )  # fmt: skip
    thinned = loading.thin(made, times)
    assert len(thinned.step) == min(count, times) == len(thinned.gamma["C1"])
    assert (thinned.step[0], thinned.step[-1]) == (0, count - 1)


def test_curves_of_many_runs_are_all_there_with_gaps_between_them(tmp_path: Path) -> None:
    fakes = tuple(
        fake_workdir.Fake("adam", "l2", 1e-3, 0.01 * seed, seed=seed) for seed in range(31)
    )
    fake_workdir.write(tmp_path, fakes, evaluations=5, filters=(4,))
    loaded = loading.load(tmp_path)
    (line,) = [line for line in training_curves(loaded).axes[1].lines if len(line.get_xydata()) > 2]
    drawn = np.asarray(line.get_ydata(), float)
    curves = [loaded.curves[fake.run].test_error for fake in fakes]
    np.testing.assert_array_equal(drawn[np.isfinite(drawn)], np.concatenate(curves))
    assert np.isnan(drawn).sum() == len(fakes) - 1


def _many(worst: float) -> Records:
    rows = tuple(
        RunResult(str(i), "d", "n", "adam", "l2", 1e-3 * (i + 1), 40, layers=(2.0 * i,),
                  sparsity_gamma=2.0 * i, test_error=worst if i == 0 else 1.0 + i / 40)
        for i in range(30)
    )  # fmt: skip
    return Records("x", rows)


@pytest.mark.parametrize("worst", [2.0, 60.0])
def test_points_of_many_runs_fill_the_axes_and_bad_ones_are_labelled(worst: float) -> None:
    records = _many(worst)
    axes = sparsity_against_error(records).axes[0]
    drawn = [line for line in axes.lines if line.get_marker() not in ("None", "^")]
    points = {tuple(point) for line in drawn for point in np.asarray(line.get_xydata())}
    near = [row for row in records.rows if row.test_error < 10]
    assert points == {(row.sparsity_gamma, row.test_error) for row in near}
    height = np.diff(axes.transData.transform([(0, 1.0), (0, 1.7)])[:, 1])[0]
    assert height > 0.4 * axes.bbox.height
    outliers = [line for line in axes.lines if line.get_marker() == "^"]
    labels = {text.get_text() for text in axes.texts}
    assert len(outliers) == ("60 %" in labels) == (worst > 10)
    assert any(label.startswith("Adam L2 3e-") for label in labels)  # the sparsest
    assert not any(label.startswith("Adam L2 1e-") for label in labels)  # the worst


@settings(max_examples=15, deadline=None)
@given(st.lists(st.tuples(st.floats(0, 100), st.floats(0.1, 90)), min_size=1, max_size=9))
def test_no_axis_is_negative_and_no_label_covers_another(
    points: list[tuple[float, float]],
) -> None:
    rows = tuple(
        RunResult(str(i), "d", "n", "adam", "l2", 1e-3, 10 * (i + 1), layers=(x,),
                  sparsity_gamma=x, test_error=y)
        for i, (x, y) in enumerate(points)
    )  # fmt: skip
    axes = sparsity_against_error(Records("x", rows)).axes[0]
    assert axes.get_xlim()[0] >= 0
    assert axes.get_ylim()[0] >= 0
    boxes = [t.get_window_extent() for t in axes.texts if t.get_text().startswith("Adam")]
    for i, box in enumerate(boxes):
        assert not any(box.overlaps(other) for other in boxes[:i])
