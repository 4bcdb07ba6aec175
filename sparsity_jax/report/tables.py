"""Tables, their text and Markdown, and the table of results (`page/templates` has their HTML).

Runs that differ in their seed alone are one line, mean ± standard deviation and n, as soon as any
group has more than one run.
"""

from __future__ import annotations

import dataclasses
import html
import math
from collections.abc import Mapping, Sequence

from sparsity_jax.report.aggregate import Group, Spread, groups, shared_text, spread
from sparsity_jax.storage.pruned import PrunedRecord
from sparsity_jax.storage.results import RunResult

# title, column of results.csv, decimals, what a reader is told of it
MEASURED = (
    ("error %", "test_error", 2, "test error, percent of the test images"),
    (
        "by gamma %",
        "sparsity_gamma",
        1,
        "filters inactive by gamma, |gamma| < 1e-3, percent of all",
    ),
    (
        "by act %",
        "sparsity_act",
        1,
        "filters inactive by activation on all training images, percent of all",
    ),
)
PRUNED = (
    ("filters %", "features_pruned_pct", 1, "filters removed, percent of all"),
    ("params %", "params_pruned_pct", 1, "convolution weights removed, percent of all"),
    ("zeroed %", "masked_test_error", 2, "test error with the inactive filters set to zero"),
    (
        "zeroed act %",
        "masked_act_error",
        2,
        "test error with the filters inactive by activation set to zero",
    ),
    ("removed %", "pruned_test_error", 2, "test error with the inactive filters taken out"),
)
NOTE = (
    "error: on the test set. by gamma, by act: inactive filters. filters, params: pruned.\n"
    "zeroed, removed: test error with the inactive filters set to zero, and taken out."
)
NOTE_ACT = "zeroed act: test error with the filters inactive by activation set to zero."
IN_PRUNED = ("masked_test_error", "masked_act_error")  # columns that come from pruned.json


@dataclasses.dataclass(frozen=True)
class Cell:
    """Content of one cell of a table.

    Attributes:
      text: of the cell.
      value: the number to sort by; NaN for words and for what is unknown.
      note: what follows the text in smaller print.
      help: what a pointer that rests on it is told.
      kind: classes for the style sheet.
      heat: how much of the heat colour is behind it, 0 to 100.
    """

    text: str
    value: float = math.nan
    note: str = ""
    help: str = ""
    kind: str = ""
    heat: float | None = None

    @property
    def known(self) -> bool:
        """Whether there is a number to sort by."""
        return not math.isnan(self.value)


@dataclasses.dataclass(frozen=True)
class Column:
    """A column's title, whether it holds words (set to the left), and what it means."""

    title: str
    words: bool = False
    help: str = ""

    def kinds(self, cell: Cell) -> str:
        """The classes of one of its cells for the style sheet."""
        return " ".join(kind for kind in ("" if self.words else "number", cell.kind) if kind)


@dataclasses.dataclass(frozen=True)
class Table:
    """Columns, and lines of as many cells; the first column names the lines."""

    columns: tuple[Column, ...]
    lines: tuple[tuple[Cell, ...], ...] = ()

    @property
    def titles(self) -> tuple[str, ...]:
        """The columns' titles."""
        return tuple(column.title for column in self.columns)


def number_text(value: float, decimals: int) -> str:
    """A number with its decimals; '-' for NaN."""
    return "-" if math.isnan(value) else f"{value:.{decimals}f}"


def number_cell(value: float, decimals: int) -> Cell:
    """A number as a cell that sorts by it."""
    return Cell(number_text(value, decimals), value)


def spread_text(value: Spread, decimals: int) -> str:
    """'12.3 ± 0.4' for several values, '12.3' for one, '-' for none."""
    mean = number_text(value.mean, decimals)
    return mean if math.isnan(value.std) else f"{mean} ± {value.std:.{decimals}f}"


def result_table(
    rows: Sequence[RunResult],
    pruned: Mapping[str, PrunedRecord] | None = None,
    *,
    pruning: bool = True,
) -> Table:
    """The result table: a line per run, or per group of runs when there are several seeds.

    Args:
      rows: rows of results.csv.
      pruned: run -> its pruned.json, where the errors after zeroing come from; one that no run has
        is no column.
      pruning: whether to show what was pruned; a page has a table of its own for it.
    """
    gathered = groups(rows)
    shown = [
        each
        for each in (*MEASURED, *(PRUNED if pruning else ()))
        if each[1] not in IN_PRUNED or _known(each[1], pruned or {})
    ]
    several = [Column("n", help="finished runs, which differ in their seed alone")]
    statuses = {row.status for row in rows} - {"finished"}  # said only where there is another
    columns = (
        Column("run", words=True, help="optimizer, regularizer and strength, and what else varies"),
        *(several if len(gathered) < len(rows) else []),
        *(Column(title, help=said) for title, _, _, said in shown),
        *([Column("status", words=True, help="what became of the run")] if statuses else []),
        Column("time s", help="seconds of training, mean over the seeds"),
    )
    known = [column.title for column in columns]
    lines = []
    for group in gathered:
        cells = _line(group, pruned or {})
        lines.append(tuple(cells[title] for title in known))
    return Table(columns, tuple(lines))


def _line(group: Group, pruned: Mapping[str, PrunedRecord]) -> dict[str, Cell]:
    """Title -> cell, for every column that there may be."""
    status, n = group.status(), len(group.finished)
    seconds = spread([row.seconds for row in group.rows])
    cells = {
        title: _spread_cell(_spread(group, column, pruned), decimals)
        for title, column, decimals, _ in (*MEASURED, *PRUNED)
    }
    return cells | {
        "run": Cell(group.label, help=_run_names(group)),
        "n": Cell(str(n), n),
        "status": Cell(status, kind="" if status == "finished" else "bad"),
        "time s": number_cell(seconds.mean, 0),
    }


def text(
    rows: Sequence[RunResult],
    pruned: Mapping[str, PrunedRecord] | None = None,
    *,
    length: str = "",
) -> str:
    """The result table for a terminal, under what its runs share and above what titles mean.

    Args:
      rows: rows of results.csv.
      pruned: run -> its pruned.json.
      length: of the runs where it is not the paper's, such as 'shortened to 12 %'.
    """
    if not rows:
        return "no runs yet"
    said = [f"These runs are {length} of full length: no number is judged."] if length else []
    made = result_table(rows, pruned)
    notes = [NOTE, *([NOTE_ACT] if "zeroed act %" in made.titles else [])]
    return "\n".join([shared_text(rows), *said, as_text(made), *notes])


def as_text(made: Table) -> str:
    """A table for a terminal: words to the left, numbers to the right, a rule under the titles."""
    cells = [list(made.titles), *([_whole(cell) for cell in line] for line in made.lines)]
    widths = [max(len(line[i]) for line in cells) for i in range(len(made.columns))]
    shown = [
        "  ".join(
            value.ljust(width) if column.words else value.rjust(width)
            for value, width, column in zip(line, widths, made.columns, strict=True)
        ).rstrip()
        for line in cells
    ]
    return "\n".join([shown[0], "  ".join("-" * width for width in widths), *shown[1:]])


def as_markdown(made: Table) -> str:
    """A table in Markdown; titles and cells mean what they say, not markup."""
    rule = ["---" if column.words else "---:" for column in made.columns]
    lines = [
        [_pipe(title) for title in made.titles],
        rule,
        *([_pipe(_whole(cell)) for cell in line] for line in made.lines),
    ]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def _whole(cell: Cell) -> str:
    return f"{cell.text} {cell.note}" if cell.note else cell.text


def _spread(group: Group, column: str, pruned: Mapping[str, PrunedRecord]) -> Spread:
    if column not in IN_PRUNED:
        return group.spread(column)
    runs = [row.run for row in group.finished]
    return spread([getattr(pruned[run], column) for run in runs if run in pruned])


def _known(column: str, pruned: Mapping[str, PrunedRecord]) -> bool:
    return any(not math.isnan(getattr(record, column)) for record in pruned.values())


def _spread_cell(value: Spread, decimals: int) -> Cell:
    return Cell(spread_text(value, decimals), value.mean)


def _run_names(group: Group) -> str:
    """What the runs are called in the workdir, the seeds together."""
    run, seed = group.first.run, f"_seed{group.first.seed}"
    return run.replace(seed, "") if seed in run and len(group.rows) > 1 else run


def _pipe(text_: str) -> str:
    return html.escape(text_, quote=False).replace("|", "\\|")
