"""Tables say what the rows say, in every form, and average seeds as stated."""

from __future__ import annotations

import dataclasses
import math
import statistics

import fake_workdir
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sparsity_jax.report import tables
from sparsity_jax.report.aggregate import groups, representatives, run_labels, spread
from sparsity_jax.report.loading import load
from sparsity_jax.report.page.html import render
from sparsity_jax.report.page.sections import pruning_table
from sparsity_jax.storage.results import RunResult

numbers = st.lists(st.floats(0, 100), min_size=2, max_size=6)


def _row(seed: int = 0, **changes: object) -> RunResult:
    base = RunResult(
        f"adam_l2_1e-03_b40_seed{seed}", "CIFAR10", "BasicNet", "adam", "l2", 1e-3, 40, seed=seed,
        test_error=10.0 + seed, sparsity_gamma=30.0, layers=(10.0, 50.0), seconds=12.0,
    )  # fmt: skip
    return dataclasses.replace(base, **changes)  # pyright: ignore[reportArgumentType]


@given(numbers)
def test_spread_is_the_sample_mean_and_deviation(values: list[float]) -> None:
    found = spread([*values, math.nan])
    assert found.n == len(values)
    assert found.mean == pytest.approx(statistics.mean(values), abs=1e-9)
    assert found.std == pytest.approx(statistics.stdev(values), abs=1e-6)


def test_one_seed_has_a_line_per_run_and_no_deviation() -> None:
    text = tables.text([_row(), _row(run="b", optimizer="sgd")])
    assert len(text.splitlines()) == 7
    assert "±" not in text


def test_seeds_become_mean_and_deviation_with_their_number() -> None:
    made = tables.result_table([_row(0), _row(1), _row(2), _row(0, run="sgd", optimizer="sgd")])
    cells = dict(zip(made.titles, made.lines[0], strict=True))
    assert (cells["n"].text, cells["error %"].text) == ("3", "11.00 ± 1.00")
    assert (cells["run"].text, cells["run"].help) == ("Adam L2 1e-3", "adam_l2_1e-03_b40")
    assert len(made.lines) == 2


def test_diverged_runs_are_counted_but_not_averaged() -> None:
    lost = _row(1, status="diverged", test_error=90.0)
    made = tables.result_table([_row(0), lost])
    cells = dict(zip(made.titles, made.lines[0], strict=True))
    assert (cells["n"].text, cells["error %"].text) == ("1", "10.00")
    assert cells["status"].text == "1 finished, 1 diverged"


def test_unknown_numbers_are_dashes_in_all_forms() -> None:
    rows = [_row(test_error=math.nan, layers=())]
    made = tables.result_table(rows)
    cell = dict(zip(made.titles, made.lines[0], strict=True))["error %"]
    assert cell.text == "-"
    assert "nan" not in (tables.text(rows) + tables.as_markdown(made) + as_html(made)).lower()


def test_text_columns_line_up() -> None:
    lines = tables.text([_row(), _row(run="x" * 40, optimizer="sgd")]).splitlines()[2:5]
    rule = [i for i, character in enumerate(lines[0]) if character == " "]
    assert all(line[i] == " " for line in lines[1:] for i in rule if i < len(line))


def test_markdown_and_html_escape_names() -> None:
    made = tables.result_table([_row(optimizer="a|b<i>")])
    assert "a\\|b&lt;i&gt; L2" in tables.as_markdown(made)
    assert "a|b&lt;i&gt; L2" in as_html(made)
    column, cell = tables.Column("x", help='"><script>'), tables.Cell("y", help="'\"><script>")
    assert "<script>" not in as_html(tables.Table((column,), ((cell,),)))


def as_html(made: tables.Table) -> str:
    """The table as the page has it."""
    return render("claims.html", made=made, untested="", length="", other="")


def test_what_all_runs_share_is_said_once_above() -> None:
    rows = [_row(variant="width=0.25+bg=clean"), _row(1, run="b", variant="width=0.25+bg=clean")]
    first, *others = tables.text(rows).splitlines()
    assert first == "BasicNet on CIFAR10, batch 40, bg=clean, width=0.25."
    assert not any("clean" in line or "BasicNet" in line for line in others)


def test_no_column_stands_twice_and_each_says_what_it_means() -> None:
    made = tables.result_table([_row(), _row(1)])
    assert len(set(made.titles)) == len(made.titles)
    assert all(column.help for column in made.columns)
    page = tables.result_table([_row(), _row(1)], pruning=False)
    assert set(page.titles) < set(made.titles)


def test_zeroing_by_activation_stands_beside_zeroing_by_gamma(tmp_path) -> None:
    """In the text and on the page; older files have no such number, and the text no such column."""
    fake_workdir.write(tmp_path, evaluations=4)
    records = load(tmp_path)
    run, record = next(iter(records.pruned.items()))
    record = dataclasses.replace(record, masked_test_error=3.21, masked_act_error=4.56)
    made = tables.result_table(records.rows, {run: record})
    cells = dict(zip(made.titles, made.lines[0], strict=True))
    assert (cells["zeroed %"].text, cells["zeroed act %"].text) == ("3.21", "4.56")
    assert "zeroed act:" in tables.text(records.rows, {run: record})
    page = pruning_table(dataclasses.replace(records, pruned={run: record}))
    cells = dict(zip(page.titles, page.lines[0], strict=True))
    assert (cells["error zeroed %"].text, cells["error zeroed by act %"].text) == ("3.21", "4.56")
    older = dataclasses.replace(record, masked_act_error=math.nan)
    assert "zeroed act" not in tables.text(records.rows, {run: older})


def test_the_text_says_that_runs_are_shortened() -> None:
    said = "These runs are shortened to 12 % of full length: no number is judged."
    assert tables.text([_row()], length="shortened to 12 %").splitlines()[1] == said
    assert "length" not in tables.text([_row()])


def test_no_rows_say_so() -> None:
    assert tables.text([]) == "no runs yet"


def test_labels_mention_what_varies_and_nothing_else() -> None:
    rows = [_row(), _row(run="b", batch_size=160), _row(run="c", regularizer="none", strength=0.0)]
    assert list(run_labels(rows).values()) == [
        "Adam L2 1e-3, batch 40",
        "Adam L2 1e-3, batch 160",
        "Adam, no regularizer, batch 40",
    ]
    assert run_labels(rows[:1]) == {rows[0].run: "Adam L2 1e-3"}


def test_labels_leave_out_the_parts_of_variants_that_all_runs_share() -> None:
    rows = [_row(variant="width=0.25+bg=clean"), _row(run="b", variant="width=0.25+bg=cluttered")]
    labels = list(run_labels(rows).values())
    assert labels == ["Adam L2 1e-3, bg=clean", "Adam L2 1e-3, bg=cluttered"]
    assert run_labels(rows[:1]) == {rows[0].run: "Adam L2 1e-3"}


def test_labels_tell_all_runs_of_a_grid_apart() -> None:
    rows = [
        _row(seed, run=f"{seed}{size}{variant}", batch_size=size, variant=variant)
        for seed in (0, 1)
        for size in (20, 40)
        for variant in ("", "leaky_relu_0.01")
    ]
    assert len(set(run_labels(rows).values())) == len(rows)
    assert len(groups(rows)) == 4


@given(st.integers(1, 40), st.integers(1, 12))
def test_representatives_span_the_sparsities_in_the_rows_order(count: int, limit: int) -> None:
    rng = np.random.default_rng(count)
    rows = [
        _row(run=str(i), strength=1e-3 * (i + 1), sparsity_gamma=float(pct))
        for i, pct in enumerate(rng.permutation(count))
    ]
    picked = representatives(rows, limit)
    assert len(picked) == min(count, limit)
    assert sorted(picked, key=int) == list(picked)
    if limit > 1:
        sparsities = {rows[int(run)].sparsity_gamma for run in picked}
        assert {0.0, float(count - 1)} <= sparsities


def test_the_fake_workdir_is_like_the_quick_start(tmp_path) -> None:
    rows = fake_workdir.write(tmp_path, evaluations=4)
    assert [row.status for row in rows] == ["finished"] * 4 + ["diverged"]
    assert 25 < rows[0].sparsity_gamma < 40
    assert rows[3].sparsity_gamma == 0
