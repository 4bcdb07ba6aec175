"""The page's words on the paper: its claims checked, its numbers next to ours."""

from __future__ import annotations

import math
from collections.abc import Sequence

from markupsafe import Markup

from sparsity_jax.report import tables
from sparsity_jax.report.aggregate import label
from sparsity_jax.report.loading import Records
from sparsity_jax.report.page.html import render
from sparsity_jax.report.paper.claims import check_records
from sparsity_jax.report.paper.compare import RULE, CellComparison, RowComparison, compare
from sparsity_jax.report.paper.layouts import LAYOUTS
from sparsity_jax.report.paper.length import banner, unpublished
from sparsity_jax.report.paper.paper_tables import paper_table
from sparsity_jax.report.paper.published import ABSENT, SAME_DATASET
from sparsity_jax.report.tables import Cell, Column, Table

SHOWN = (
    ("test_error", "test error %", 1),
    ("sparsity_act", "by act %", 0),
    ("sparsity_gamma", "by gamma %", 0),
    ("params_pruned_pct", "params pruned %", 0),
    ("pruned_test_error", "error pruned %", 1),
)
CLASSES = {"agrees": "near", "close": "off", "differs": "far"}
CLAIMS = (
    Column("claim", words=True),
    Column("outcome", words=True),
    Column("evidence", words=True),
)


def claims(records: Records) -> str:
    """HTML of the paper's claims with outcome and evidence; '' when none can be tested here."""
    checked = check_records(records)
    tested = [claim for claim in checked if claim.outcome != "not testable"]
    if not tested:
        return ""
    lines = tuple(
        (
            Cell(f"{claim.claim} ({claim.where})"),
            Cell(claim.outcome, kind=f"outcome {claim.outcome.replace(' ', '-')}"),
            Cell(claim.evidence, kind="evidence"),
        )
        for claim in tested
    )
    untested = "; ".join(claim.claim for claim in checked if claim.outcome == "not testable")
    return render(
        "claims.html",
        made=Table(CLAIMS, lines),
        untested=untested,
        length=banner(records),
        other=unpublished(records),
    )


def comparison(records: Records) -> str:
    """HTML of published numbers beside ours, for every published row that was run; '' for none."""
    compared = compare(records.rows, scale=records.scale)
    ran = [item for item in compared if item.group]
    if not ran:
        return ""
    copies = {item.group.first.dataset for item in ran if item.group} & set(SAME_DATASET)
    return render(
        "comparison.html",
        made=comparison_table(ran),
        copies=[(copy, SAME_DATASET[copy]) for copy in sorted(copies)],
        length=banner(records),
        rule=RULE,
        published=len(compared),
        absent=ABSENT[0].lower() + ABSENT[1:],
    )


def comparison_table(ran: Sequence[RowComparison]) -> Table:
    """A line for each published row that was run: published → ours (difference) verdict."""
    columns = (
        Column("run", words=True),
        Column("table", words=True, help="of the paper"),
        Column("n", help="our finished runs, which differ in their seed alone"),
        *(Column(title, help="published → ours (difference)") for _, title, _ in SHOWN),
    )
    return Table(columns, tuple(map(_line, ran)))


def own_tables(records: Records) -> list[Markup]:
    """HTML of the paper's tables in its own form, of those that hold any of these runs."""
    made = (paper_table(records, number) for number in LAYOUTS)
    return [Markup(each.html()) for each in made if each.was_run]


def _line(item: RowComparison) -> tuple[Cell, ...]:
    n = len(item.group.finished) if item.group else 0
    by_column = {cell.column: cell for cell in item.cells}
    cells = (
        _cell(by_column.get(column), item.published.printed[column], digits)
        for column, _, digits in SHOWN
    )
    name = label(item.published.row, frozenset({"dataset", "batch_size", "network"}))
    return Cell(name), Cell(item.published.table), Cell(str(n), n), *cells


def _cell(cell: CellComparison | None, printed: str, digits: int) -> Cell:
    if cell is None or math.isnan(cell.ours.mean):
        return Cell("")
    return Cell(
        f"{printed} → {tables.spread_text(cell.ours, digits)}",
        abs(cell.difference),
        note=f"({round(cell.difference, digits) + 0.0:+.{digits}f}) {cell.verdict}",
        kind=CLASSES.get(cell.verdict, ""),
    )
