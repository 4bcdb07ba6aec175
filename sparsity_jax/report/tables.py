"""Tables for a terminal, for Markdown and for HTML, and the table of results.

Runs that differ in their seed alone are one line, mean ± standard deviation and n, as soon as any
group has more than one run.
"""

from __future__ import annotations

import dataclasses
import html
import math
from collections.abc import Mapping, Sequence

from sparsity_jax.report.aggregate import Group, Spread, groups, spread
from sparsity_jax.storage.pruned import PrunedRecord
from sparsity_jax.storage.results import RunResult

# title, column of results.csv, decimals
COLUMNS = (
    ("error", "test_error", 2),
    ("by gamma", "sparsity_gamma", 1),
    ("by act", "sparsity_act", 1),
    ("filters", "features_pruned_pct", 1),
    ("params", "params_pruned_pct", 1),
    ("zeroed", "masked_test_error", 2),
    ("removed", "pruned_test_error", 2),
)
NOTE = (
    "All in percent. error: on the test set. by gamma, by act: inactive filters. filters, params: "
    "pruned.\nzeroed, removed: test error with the inactive filters set to zero, and taken out."
)


@dataclasses.dataclass(frozen=True)
class Cell:
    """What is shown, and the number to sort by (NaN for text and for what is unknown)."""

    text: str
    value: float = math.nan


@dataclasses.dataclass(frozen=True)
class Column:
    """A column's title, and whether it holds words (set to the left) or numbers."""

    title: str
    words: bool = False


@dataclasses.dataclass(frozen=True)
class Table:
    """Columns, and lines of as many cells."""

    columns: tuple[Column, ...]
    lines: tuple[tuple[Cell, ...], ...]

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


def table(rows: Sequence[RunResult], pruned: Mapping[str, PrunedRecord] | None = None) -> Table:
    """The result table: a line per run, or per group of runs when there are several seeds.

    Args:
      rows: rows of results.csv.
      pruned: run -> its pruned.json, where the error after zeroing comes from.
    """
    known = pruned or {}
    gathered = groups(rows)
    several = len(gathered) < len(rows)
    columns = (
        Column("run", words=True),
        *([Column("n")] if several else []),
        *(Column(title) for title, _, _ in COLUMNS),
        Column("status", words=True),
        Column("seconds"),
    )
    lines = []
    for group in gathered:
        name = _group_name(group) if several else group.first.run
        count = [Cell(str(len(group.finished)), len(group.finished))] if several else []
        seconds = spread([row.seconds for row in group.rows])
        lines.append((
            Cell(name), *count,
            *(_cell(_spread(group, column, known), decimals) for _, column, decimals in COLUMNS),
            Cell(group.status()), _cell(dataclasses.replace(seconds, std=math.nan), 0),
        ))  # fmt: skip
    return Table(columns, tuple(lines))


def text(rows: Sequence[RunResult], pruned: Mapping[str, PrunedRecord] | None = None) -> str:
    """The result table for a terminal, aligned, with a last line that says what the units are."""
    made = table(rows, pruned)
    return f"{as_text(made)}\n{NOTE}" if made.lines else "no runs yet"


def as_text(made: Table) -> str:
    """A table for a terminal: words to the left, numbers to the right, a rule under the titles."""
    cells = [list(made.titles), *([cell.text for cell in line] for line in made.lines)]
    widths = [max(len(line[i]) for line in cells) for i in range(len(made.columns))]
    shown = [
        "  ".join(
            value.ljust(width) if column.words else value.rjust(width)
            for value, width, column in zip(line, widths, made.columns, strict=True)
        ).rstrip()
        for line in cells
    ]
    return "\n".join([shown[0], "  ".join("-" * width for width in widths), *shown[1:]])


def markdown(rows: Sequence[RunResult], pruned: Mapping[str, PrunedRecord] | None = None) -> str:
    """The result table in Markdown."""
    made = table(rows, pruned)
    rule = ["---" if column.words else "---:" for column in made.columns]
    lines = [list(made.titles), rule, *([_pipe(c.text) for c in line] for line in made.lines)]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def html_head(made: Table) -> str:
    """The header cells, each a button that sorts by its column."""
    return "".join(
        f'<th scope="col"{_numeric(column)}><button type="button">{html.escape(column.title)}'
        "</button></th>"
        for column in made.columns
    )


def html_rows(made: Table) -> str:
    """The body's lines; numeric cells carry the number to sort by."""
    return "\n".join(
        "<tr>"
        + "".join(_html_cell(cell, column) for cell, column in zip(line, made.columns, strict=True))
        + "</tr>"
        for line in made.lines
    )


def _html_cell(cell: Cell, column: Column) -> str:
    if column.words:
        tag = "th scope='row'" if column.title == "run" else f'td class="{_status(cell.text)}"'
        text = html.escape(cell.text).replace("_", "_<wbr>")  # where a long name may break
        return f"<{tag}>{text}</{tag.split()[0]}>"
    value = "" if math.isnan(cell.value) else f' data-value="{cell.value:.6g}"'
    return f'<td class="number"{value}>{html.escape(cell.text)}</td>'


def _status(status: str) -> str:
    return "status" if status == "finished" else "status bad"


def _numeric(column: Column) -> str:
    return "" if column.words else ' class="number"'


def _spread(group: Group, column: str, pruned: Mapping[str, PrunedRecord]) -> Spread:
    if column != "masked_test_error":
        return group.spread(column)
    runs = [row.run for row in group.finished]
    return spread([pruned[run].masked_test_error for run in runs if run in pruned])


def _cell(value: Spread, decimals: int) -> Cell:
    return Cell(spread_text(value, decimals), value.mean)


def _group_name(group: Group) -> str:
    run, seed = group.first.run, f"_seed{group.first.seed}"
    return run.replace(seed, "") if seed in run else run


def _pipe(text_: str) -> str:
    return html.escape(text_, quote=False).replace("|", "\\|")
