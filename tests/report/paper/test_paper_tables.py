"""The paper's tables in their own form: every published number in its place, ours under it."""

from __future__ import annotations

import html
import re
from pathlib import Path

import pytest

from sparsity_jax import report
from sparsity_jax.errors import UserError
from sparsity_jax.report.loading import Records
from sparsity_jax.report.paper.layouts import LAYOUTS
from sparsity_jax.report.paper.paper_tables import write_tables
from sparsity_jax.report.paper.published import published
from sparsity_jax.storage.results import RunResult, write_results

ROW = RunResult(
    "a", "CIFAR100", "BasicNet", "adam", "l2", 1e-4, 40, steps=406_250, test_error=36.94,
    sparsity_gamma=48.04, train_loss=0.123, layers=(41.0, 20.0, 9.0, 33.0, 34.0, 67.0, 55.0),
)  # fmt: skip


@pytest.mark.parametrize("number", LAYOUTS)
def test_every_published_number_has_its_place(number: str) -> None:
    made = report.paper_table(Records("x"), number)
    columns = [column for _, column in LAYOUTS[number].columns]
    printed = [
        item.printed[column]
        for item in published() for column in columns
        if item.table == number and item.printed[column]
    ]  # fmt: skip
    shown = [entry.published for line in made.lines for entry in line.entries if entry.published]
    assert sorted(shown) == sorted(printed)
    assert not made.was_run


def test_no_column_of_a_published_table_is_forgotten() -> None:
    """Numbers that the paper prints once under 'sparsity or filters pruned' have one column."""
    same = {"features_pruned_pct", "sparsity_gamma"}
    for item in published():
        if item.table not in LAYOUTS:
            continue
        columns = {column for _, column in LAYOUTS[item.table].columns}
        numbers = {
            name for name, text in item.printed.items()
            if text and re.fullmatch(r"[\d.]+", text)
            and name not in ("table", "batch_size", "n_runs", "note", "strength")
        }  # fmt: skip
        assert numbers - same <= columns


def test_ours_stand_under_the_published_with_their_decimals() -> None:
    made = report.paper_table(Records("x", (ROW,)), "2")
    rows = made.rows()
    place = rows.index(next(row for row in rows if "36.6" in row))
    assert rows[place][:6] == ("Adam", "L2: 1e-4", "paper", "0.10", "1.98", "36.6")
    assert rows[place + 1][:6] == ("", "", "ours", "0.12", "", "36.9")
    assert sum("ours" in row for row in rows) == 1


def test_halves_stand_side_by_side() -> None:
    made = report.paper_table(Records("x", (ROW,)), "1")
    assert made.spans == (("CIFAR10", 3), ("CIFAR100", 3))
    ours = next(row for row in made.rows() if "ours" in row)
    assert ours == ("", "", "ours", "", "", "", "", "48", "36.9")


def test_table_7_has_layers_as_rows() -> None:
    made = report.paper_table(Records("x"), "7")
    assert [line.heads[0] for line in made.lines] == [
        *(f"C{i}" for i in range(1, 14)), "%Feat. Pruned", "Test Err",
    ]  # fmt: skip
    assert [name for name, _ in made.spans] == ["CIFAR10", "CIFAR100"]
    assert [entry.published for entry in made.lines[-1].entries] == [
        "7.2", "7.0", "6.5", "6.6", "29.2", "28.1", "27.8",
    ]  # fmt: skip


@pytest.mark.parametrize("number", LAYOUTS)
def test_all_forms_hold_the_same_cells(number: str) -> None:
    made = report.paper_table(Records("x", (ROW,)), number)
    wide = len(made.heads) + 1 + len(made.titles)
    cells = [list(row) for row in made.rows()]
    body = made.markdown().splitlines()[4:]
    assert [[c.strip() for c in line[1:-1].split("|")] for line in body] == cells
    rows = re.findall(r"<tr[^>]*>(.*?)</tr>", re.sub("</?span>", "", made.html()))
    rows = rows[1 + bool(made.spans) :]
    found = [re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", row) for row in rows]
    n = len(made.heads)  # in HTML, one cell heads a row
    heads = [", ".join(filter(None, row[:n])) or "ours" for row in cells]
    short = [[head, *row[n + 1 :]] for head, row in zip(heads, cells, strict=True)]
    assert [[html.unescape(c) for c in row] for row in found] == short
    tex = made.latex().splitlines()
    body = tex[tex.index(r"\midrule") + 1 : tex.index(r"\bottomrule")]
    assert all(line.count(" & ") == wide - 1 and line.endswith(r" \\") for line in body)
    assert len(body) == len(cells)
    assert not re.search(r"(?<!\\)[%#_]", "\n".join(body))
    assert all(cell in made.text() for row in cells for cell in row)


def test_shortened_runs_are_named_in_the_caption() -> None:
    short = RunResult(
        "a", "CIFAR10", "BasicNet", "adam", "l2", 1e-4, 40, steps=40_625, test_error=20.0
    )
    assert report.paper_table(Records("x", (short,)), "1").caption.endswith(
        "ours are shortened to 10 %"
    )


@pytest.mark.parametrize("number", ["10", "text-Sec3", "x"])
def test_what_the_text_does_not_hold_is_refused(number: str) -> None:
    with pytest.raises(UserError, match="valid are 1, 2"):
        report.paper_table(Records("x"), number)


def test_tables_of_which_a_row_was_run_are_written_and_others_removed(tmp_path: Path) -> None:
    write_tables(tmp_path / "tables", Records("x", (ROW,)))
    kinds = {path.name for path in (tmp_path / "tables").iterdir()}
    numbers = ("1", "2", "3", "6", "S2", "S3")
    assert kinds == {f"table{n}.{kind}" for n in numbers for kind in ("txt", "md", "tex", "html")}
    write_tables(tmp_path / "tables", Records("x"))
    assert list((tmp_path / "tables").iterdir()) == []
    write_results(tmp_path / "results.csv", [ROW])
    assert report.paper_table(tmp_path, "2").was_run
