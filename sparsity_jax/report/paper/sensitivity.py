"""Inactive filters at other thresholds than the paper's (Sec. 2.1)."""

from __future__ import annotations

import math

from sparsity_jax.report.aggregate import groups, spread
from sparsity_jax.report.loading import Records
from sparsity_jax.report.paper.claims.mechanism import inactive_pct
from sparsity_jax.report.tables import Cell, Column, Table, spread_text

GAMMA = (1e-4, 1e-3, 1e-2, 1e-1)
ACTIVATION = (1e-12, 1e-8, 1e-4, 1e-3, 1e-2)
DECIMALS = 1


def sensitivity_table(records: Records) -> Table:
    """Percent of inactive filters of each group of runs, by threshold of gamma and of activation.

    Args:
      records: of a workdir; runs without measure.npz are left out, and those whose file is older
        than peaks have no numbers by activation.

    Example:
      >>> [column.title for column in sensitivity_table(Records("x")).columns][:3]
      ['run', 'gamma 1e-4', 'gamma 1e-3']
    """
    asked = [("gamma", each) for each in GAMMA] + [("act", each) for each in ACTIVATION]
    columns = (
        Column("run", words=True),
        *(
            Column(f"{kind} 1e{math.log10(threshold):.0f}", help="percent of all filters inactive")
            for kind, threshold in asked
        ),
    )
    lines = []
    for group in groups(records.rows):
        found = [records.measures[row.run] for row in group.rows if row.run in records.measures]
        if found:
            values = [spread([inactive_pct(m, kind, at) for m in found]) for kind, at in asked]
            cells = (Cell(spread_text(value, DECIMALS), value.mean) for value in values)
            lines.append((Cell(group.label), *cells))
    return Table(columns, tuple(lines))
