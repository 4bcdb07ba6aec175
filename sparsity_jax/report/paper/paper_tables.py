"""The paper's tables in their own form, our numbers under the published ones."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from pathlib import Path

from sparsity_jax.errors import UserError
from sparsity_jax.report import tables
from sparsity_jax.report.loading import Records
from sparsity_jax.report.page.html import render
from sparsity_jax.report.paper.compare import CellComparison, RowComparison, compare
from sparsity_jax.report.paper.layouts import FEATURES_OF_7, LAYOUTS, Layout
from sparsity_jax.report.paper.published import ABSENT, published
from sparsity_jax.storage.io import write_atomically

FORMATS = ("txt", "md", "tex", "html")
_LATEX = {
    "%": r"\%",
    "#": r"\#",
    "_": r"\_",
    "&": r"\&",
    "γ": r"$\gamma$",
    "β": r"$\beta$",
    "±": r"$\pm$",
}


@dataclasses.dataclass(frozen=True)
class Entry:
    """A published number as printed, and ours; '' where there is none."""

    published: str = ""
    ours: str = ""


@dataclasses.dataclass(frozen=True)
class Line:
    """A row of a table: its heads and an entry for each column."""

    heads: tuple[str, ...]
    entries: tuple[Entry, ...]

    @property
    def was_run(self) -> bool:
        """Whether it has any number of ours."""
        return any(entry.ours for entry in self.entries)


@dataclasses.dataclass(frozen=True)
class PaperTable:
    """A table of the paper with our numbers under the published ones.

    Attributes:
      number: '1' ... '9', 'S1' ... 'S4'.
      caption: what it holds, and how long our runs were if not as long as the paper's.
      heads: titles of the row heads.
      spans: what stands above how many columns, such as ('CIFAR10', 3); () for nothing.
      titles: of the columns.
      lines: the rows.
    """

    number: str
    caption: str
    heads: tuple[str, ...]
    spans: tuple[tuple[str, int], ...]
    titles: tuple[str, ...]
    lines: tuple[Line, ...]

    @property
    def was_run(self) -> bool:
        """Whether it has any number of ours."""
        return any(line.was_run for line in self.lines)

    def rows(self) -> list[tuple[str, ...]]:
        """The rows as text: published, then ours where there are any."""
        found = []
        for line in self.lines:
            found.append((*line.heads, "paper", *(entry.published for entry in line.entries)))
            if line.was_run:
                blank = ("",) * len(line.heads)
                found.append((*blank, "ours", *(entry.ours for entry in line.entries)))
        return found

    def text(self) -> str:
        """The table for a terminal."""
        columns = [
            tables.Column(title, words=i <= len(self.heads))
            for i, title in enumerate((*self.heads, "", *self._long_titles()))
        ]
        lines = tuple(tuple(map(tables.Cell, row)) for row in self.rows())
        return f"{self._heading()}\n{tables.as_text(tables.Table(tuple(columns), lines))}\n"

    def markdown(self) -> str:
        """The table in Markdown."""
        titles = (*self.heads, "", *self._long_titles())
        rule = ["---" if i <= len(self.heads) else "---:" for i in range(len(titles))]
        rows = (_piped(row) for row in (titles, rule, *self.rows()))
        return f"**{self._heading()}**\n\n" + "\n".join(rows) + "\n"

    def latex(self) -> str:
        """The table in LaTeX, for the package booktabs."""
        first = len(self.heads) + 1
        kinds = "l" * first + "r" * len(self.titles)
        lines = [rf"\begin{{tabular}}{{{kinds}}}", r"\toprule"]
        if self.spans:
            above = [rf"\multicolumn{{{n}}}{{c}}{{{_escaped(name)}}}" for name, n in self.spans]
            lines.append(" & ".join([*[""] * first, *above]) + r" \\")
        lines.append(" & ".join(map(_escaped, (*self.heads, "", *self.titles))) + r" \\")
        lines.append(r"\midrule")
        lines += [" & ".join(map(_escaped, row)) + r" \\" for row in self.rows()]
        lines += [r"\bottomrule", r"\end{tabular}", f"% {self._heading()}"]
        return "\n".join(lines) + "\n"

    def html(self) -> str:
        """The table in HTML, without a page around it."""
        return str(render("paper_table.html", made=self, heading=self._heading()))

    def _heading(self) -> str:
        return f"Table {self.number}. {self.caption}"

    def _long_titles(self) -> tuple[str, ...]:
        """The titles with what stands above them."""
        above = [name for name, n in self.spans for _ in range(n)] or [""] * len(self.titles)
        return tuple(f"{a} {b}".strip() for a, b in zip(above, self.titles, strict=True))


def paper_table(records: Records, number: str) -> PaperTable:
    """A table of the paper with the records' numbers under the published ones.

    Args:
      records: of a workdir; runs that the table does not hold are left out.
      number: as the paper counts: '1' ... '9', 'S1' ... 'S4'.

    Raises:
      UserError: there is no such table, or it is not in the text.

    Example:
      >>> made = paper_table(Records("x"), "2")
      >>> made.titles[2:5], made.lines[0].heads, made.lines[0].entries[2].published
      (('Test Err', 'C1 (64)', 'C2 (128)'), ('Adam', 'L2: 1e-3'), '39.0')
    """
    number = number.upper()
    if number not in LAYOUTS:
        known = ", ".join(LAYOUTS)
        raise UserError(f"there is no table {number!r}; valid are {known}. {ABSENT}")
    layout = LAYOUTS[number]
    against = [item for item in published() if item.table == number]
    compared = compare(records.rows, scale=records.scale, against=against)
    lengths = "; ".join(sorted({item.length for item in compared if item.length}))
    caption = f"{layout.caption}; ours are {lengths}" if lengths else layout.caption
    titles = tuple(title for title, _ in layout.columns)
    lines = _lines(layout, compared)
    if layout.turned:
        return _turned(number, caption, layout, compared)
    spans = tuple((half, len(titles)) for half in layout.halves)
    return PaperTable(number, caption, layout.heads, spans, titles * max(1, len(spans)), lines)


def write_tables(folder: Path, records: Records) -> None:
    """Write tableN.txt, .md, .tex and .html of every table of which any row was run.

    Files of tables that were run no longer are removed.
    """
    for number in LAYOUTS:
        made = paper_table(records, number)
        texts = dict.fromkeys(FORMATS, "")
        if made.was_run:
            texts = {
                "txt": made.text(),
                "md": made.markdown(),
                "tex": made.latex(),
                "html": made.html(),
            }
        for kind, text in texts.items():
            path = folder / f"table{number}.{kind}"
            if text:
                folder.mkdir(exist_ok=True)
                write_atomically(path, text.encode())
            else:
                path.unlink(missing_ok=True)


def _lines(layout: Layout, compared: Sequence[RowComparison]) -> tuple[Line, ...]:
    """A line for each row of one half, its other half beside it."""
    beside: dict[tuple[str, ...], dict[str, RowComparison]] = {}
    for item in compared:
        heads = layout.head(item.published.row)
        beside.setdefault(heads, {})[item.published.row.dataset if layout.halves else ""] = item
    return tuple(
        Line(
            heads,
            tuple(e for half in layout.halves or ("",) for e in _entries(layout, items.get(half))),
        )
        for heads, items in beside.items()
    )


def _entries(layout: Layout, item: RowComparison | None) -> list[Entry]:
    if item is None:
        return [Entry()] * len(layout.columns)
    cells = {cell.column: cell for cell in item.cells}
    return [
        Entry(item.published.printed[column], _ours(cells.get(column), item))
        for _, column in layout.columns
    ]


def _ours(cell: CellComparison | None, item: RowComparison) -> str:
    """Our number with the decimals of the published one."""
    if cell is None or math.isnan(cell.ours.mean):
        return ""
    decimals = len(item.published.printed[cell.column].partition(".")[2])
    return tables.spread_text(cell.ours, decimals)


def _turned(
    number: str, caption: str, layout: Layout, compared: Sequence[RowComparison]
) -> PaperTable:
    """Runs as columns, as Table 7 has them."""
    columns = [_entries(layout, item) for item in compared]
    titles = tuple(layout.head(item.published.row)[0] for item in compared)
    lines = tuple(
        Line((title, FEATURES_OF_7.get(title, "")), tuple(column[i] for column in columns))
        for i, (title, _) in enumerate(layout.columns)
    )
    spans = tuple(
        (half, sum(item.published.row.dataset == half for item in compared))
        for half in layout.halves
    )
    return PaperTable(number, caption, layout.heads, spans, titles, lines)


def _piped(row: Sequence[str]) -> str:
    return "| " + " | ".join(cell.replace("|", r"\|") for cell in row) + " |"


def _escaped(text: str) -> str:
    return "".join(_LATEX.get(character, character) for character in text)
