"""Errors by class on the page: a heat map where they are few, the hardest and most confused."""

from __future__ import annotations

from sparsity_jax.report.classes import ClassErrors, class_errors
from sparsity_jax.report.loading import Records
from sparsity_jax.report.page.sections import NO_BREAK
from sparsity_jax.report.tables import Cell, Column, Table

MOST_COLUMNS = 12  # classes that a table has room for
MOST_NAMED = 3  # classes and pairs that are named for each group of runs


def class_table(records: Records) -> Table:
    """Test error of every class in percent, a line per group of runs; none for many classes."""
    found = class_errors(records)
    names = tuple(dict.fromkeys(name for each in found for name in each.names))
    if len(names) > MOST_COLUMNS:
        return Table((Column("run", words=True),))
    columns = (
        Column("run", words=True),
        *(Column(name, help=f"test error of {name}, percent") for name in names),
    )
    lines = []
    for each in found:
        errors = dict(zip(each.names, each.pct.tolist(), strict=True))
        cells = (_heat(errors.get(name, float("nan"))) for name in names)
        lines.append((_run(each), *cells))
    return Table(columns, tuple(lines))


def confused_table(records: Records) -> Table:
    """The hardest classes and the pairs that are confused most often, a line per group of runs."""
    columns = (
        Column("run", words=True),
        Column("test images", help="all seeds together"),
        Column("hardest classes", words=True, help="with their test errors"),
        Column("most often confused", words=True, help="class → what it was taken for, images"),
    )
    return Table(columns, tuple(map(_words, class_errors(records))))


def _words(each: ClassErrors) -> tuple[Cell, ...]:
    count = int(each.images.sum())
    hardest = [f"{name}{NO_BREAK}({pct:.1f}{NO_BREAK}%)" for name, pct in each.hardest(MOST_NAMED)]
    confused = each.most_confused(MOST_NAMED)
    pairs = [f"{pair.name} → {pair.taken_for}{NO_BREAK}({pair.images:,})" for pair in confused]
    return (
        _run(each),
        Cell(f"{count:,}", count),
        Cell(", ".join(hardest) or "none has an error"),
        Cell(", ".join(pairs) or "none"),
    )


def _run(each: ClassErrors) -> Cell:
    return Cell(each.group.label, help=", ".join(row.run for row in each.group.finished))


def _heat(pct: float) -> Cell:
    if pct != pct:
        return Cell("")
    kind = "strong" if pct >= 45 else ""
    return Cell(f"{pct:.1f}", pct, kind=kind, heat=pct)
