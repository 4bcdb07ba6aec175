"""Labels tell all runs of a grid apart, and say no more than what differs in it."""

from __future__ import annotations

import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sparsity_jax.report.aggregate import groups, representatives, usual
from sparsity_jax.report.figures import style
from sparsity_jax.report.figures.layers import sparsity_by_layer
from sparsity_jax.report.loading import Records
from sparsity_jax.report.page import sections
from sparsity_jax.storage.results import RunResult

ROW = RunResult(
    "r", "renderings", "BasicNet", "adam", "l2", 1e-3, 40, variant="width=0.25+bg=clean",
    test_error=1.0, sparsity_gamma=20.0, layers=(10.0, 30.0),
)  # fmt: skip


def _row(**changes: object) -> RunResult:
    return dataclasses.replace(ROW, **changes)  # pyright: ignore[reportArgumentType]


@pytest.fixture(scope="module")
def grid() -> tuple[RunResult, ...]:
    """Like Table 1's in miniature: many strengths, and a run or two that differ in something else.

    Strengths are as many as Table 1 has.
    """
    others = (
        {"batch_size": 80}, {"variant": "width=0.125+bg=clean"},
        {"variant": "width=0.25+bg=cluttered"},
        {"variant": "width=0.25+gamma_lr_scale=0.1+bg=clean"},
    )  # fmt: skip
    usual_ones = [_row(run=f"u{i}", strength=1e-4 * (i + 1)) for i in range(35)]
    return (*usual_ones, *(_row(run=f"o{i}", **each) for i, each in enumerate(others)))


def test_labels_say_what_differs_and_only_that(grid: tuple[RunResult, ...]) -> None:
    labels = [group.label for group in groups(grid)]
    assert labels[9] == "Adam L2 1e-3"
    assert labels[-4:] == [
        "Adam L2 1e-3, batch 80",
        "Adam L2 1e-3, width=0.125",
        "Adam L2 1e-3, bg=cluttered",
        "Adam L2 1e-3, gamma_lr_scale=0.1",
    ]


def test_the_page_says_what_goes_without_saying(grid: tuple[RunResult, ...]) -> None:
    assert usual(grid) == {"batch 40", "width=0.25", "bg=clean"}
    assert "Unless said otherwise: batch 40, bg=clean, width=0.25." in sections.lede(
        Records("x", grid)
    )
    assert "Unless" not in sections.lede(Records("x", grid[:30]))


def test_names_in_the_heat_map_are_whole(grid: tuple[RunResult, ...]) -> None:
    axes = sparsity_by_layer(Records("x", grid)).axes[0]
    shown = [text.get_text() for text in axes.get_yticklabels()]
    assert shown == [style.plain(group.label) for group in groups(grid)]
    assert not any("…" in text for text in shown)


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["", "width=0.5", "width=0.25"]),
            st.sampled_from(["", "bg=clean", "bg=cluttered"]),
            st.sampled_from(["", "leaky_relu_0.1"]),
            st.sampled_from([20, 40]),
            st.sampled_from(["A", "B"]),
        ),
        min_size=1,
        max_size=12,
    )
)
def test_no_two_groups_share_a_label(settings: list[tuple[str, str, str, int, str]]) -> None:
    rows = [
        _row(variant="+".join(part for part in parts if part), batch_size=batch, dataset=data)
        for *parts, batch, data in settings
    ]
    labels = [group.label for group in groups(rows)]
    assert len(set(labels)) == len(labels)


def test_one_of_each_kind_stands_for_many_alike() -> None:
    """Forty runs without a dead filter do not hide the few others, nor other kinds of runs."""
    rows = [_row(run=f"a{i:02}", strength=1e-6 * (i + 1), sparsity_gamma=0.0) for i in range(40)]
    rows += [_row(run=f"s{i}", strength=i + 1.0, sparsity_gamma=20.0 * (i + 1)) for i in range(3)]
    rows += [_row(run="sgd", optimizer="sgd", sparsity_gamma=0.1)]
    picked = representatives(rows, 6)
    assert {"s0", "s1", "s2", "sgd"} <= set(picked)
