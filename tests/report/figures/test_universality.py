"""Universality histograms: inactive filters stand apart, every filter is counted once."""

from __future__ import annotations

from pathlib import Path

import fake_workdir
import numpy as np
import pytest
from fake_workdir import Fake
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.axes import Axes

from sparsity_jax.report import loading
from sparsity_jax.report.figures import registry, universality, universality_by_batch
from sparsity_jax.report.loading import Records

FIGURE_3 = (
    *(Fake("adam", "l2", strength, dead) for strength, dead in ((1e-5, 0.2), (1e-4, 0.46))),
    *(Fake("sgd", "l2", strength, dead) for strength, dead in ((1e-4, 0.03), (5e-4, 0.08))),
    Fake("adam", "l2", 3e-5, 0.3),  # between the two
    Fake("adam", "l2", 1e-4, 0.4, seed=1),
)
FIGURE_5 = tuple(
    Fake("adam", "l2", 1e-4, 0.5 - batch / 1000, batch_size=batch, dataset=dataset)
    for dataset, batches in (("CIFAR10", (160, 40)), ("CIFAR100", (40, 160)), ("Tiny", (40, 120)))
    for batch in batches
)


def _records(folder: Path, fakes: tuple[Fake, ...]) -> Records:
    fake_workdir.write(folder, fakes, evaluations=4, universality=True)
    return loading.load(folder)


@pytest.fixture(scope="module")
def figure_3(tmp_path_factory: pytest.TempPathFactory) -> Records:
    return _records(tmp_path_factory.mktemp("figure3"), FIGURE_3)


@pytest.fixture(scope="module")
def figure_5(tmp_path_factory: pytest.TempPathFactory) -> Records:
    return _records(tmp_path_factory.mktemp("figure5"), FIGURE_5)


@given(st.lists(st.just(0.0) | st.floats(0, 100), min_size=1, max_size=60))
def test_every_filter_is_counted_once_and_zero_is_no_bin(values: list[float]) -> None:
    none, living = universality.shares(np.array(values))
    assert none + living.sum() == pytest.approx(100)
    assert none == pytest.approx(100 * values.count(0.0) / len(values))


def _printed(axes: Axes) -> list[str]:
    return [text.get_text() for text in axes.texts if "%" in text.get_text()]


def test_rows_are_strengths_and_columns_optimizers(figure_3: Records) -> None:
    panels = universality.universality_histograms(figure_3).axes
    titles = [axes.get_title() for axes in panels]
    assert [title.split()[0] for title in titles] == ["Adam", "SGD", "Adam", "SGD"]
    low, high = titles[0], titles[2]
    assert [float(title.split()[-1]) for title in (low, high)] == [1e-5, 1e-4]


def test_the_share_of_inactive_filters_is_printed_for_every_layer(figure_3: Records) -> None:
    panels = universality.universality_histograms(figure_3).axes
    runs = [row for row in figure_3.rows if (row.optimizer, row.strength) == ("adam", 1e-4)]
    expected = [
        np.concatenate([figure_3.measures[row.run].universality[layer] for row in runs])
        for layer in fake_workdir.LAYERS
    ]
    assert len(runs) == 2  # seeds, pooled
    assert _printed(panels[2]) == [f"{100 * np.mean(each == 0):.0f} %" for each in expected]


def test_the_caption_counts_the_runs_that_are_shown(figure_3: Records) -> None:
    (drawing,) = [each for each in registry.DRAWINGS if each.name == "universality"]
    assert "5 of 6 runs are shown." in registry.caption(drawing, figure_3)


def test_batches_are_overlaid_in_a_row_for_each_data_set(figure_5: Records) -> None:
    rows = universality_by_batch.batch_rows(figure_5)
    assert [[group.first.batch_size for group in row] for row in rows] == [
        [40, 160], [40, 160], [40, 120],
    ]  # fmt: skip
    made = universality_by_batch.universality_by_batch(figure_5)
    assert [axes.get_title() for axes in made.axes] == ["C4", "C5", "C6", "C7"] * 3
    assert [axes.get_ylabel().split("\n")[0] for axes in made.axes[::4]] == [
        "CIFAR10", "CIFAR100", "Tiny",
    ]  # fmt: skip
    legend = [text.get_text() for text in made.legends[0].get_texts()]
    assert legend == ["batch 40", "batch 120", "batch 160"]
    for axes in made.axes:
        assert _printed(axes)[0].count("%") == 2


def test_living_filters_stay_below_what_is_printed(figure_5: Records) -> None:
    for axes in universality_by_batch.universality_by_batch(figure_5).axes:
        top = axes.get_ylim()[1]
        living = [patch.get_data().values for patch in axes.patches if patch.get_data()[0].size > 1]
        assert max(np.max(values) for values in living) < 0.6 * top


def test_one_batch_size_is_no_comparison(figure_3: Records) -> None:
    assert universality_by_batch.batch_rows(figure_3) == []
