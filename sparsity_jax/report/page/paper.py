"""What does the page say beside the paper: its claims checked, its numbers next to ours?"""

from __future__ import annotations

import html
import math

from sparsity_jax.report import tables
from sparsity_jax.report.aggregate import label
from sparsity_jax.report.loading import Records
from sparsity_jax.report.paper.claims import Checked, check
from sparsity_jax.report.paper.compare import RULE, CellComparison, RowComparison, compare
from sparsity_jax.report.paper.published import ABSENT, SAME_DATASET

SHOWN = (
    ("test_error", "test error", 1),
    ("sparsity_act", "by act", 0),
    ("sparsity_gamma", "by gamma", 0),
    ("params_pruned_pct", "params pruned", 0),
    ("pruned_test_error", "error pruned", 1),
)
CLASSES = {"agrees": "near", "close": "off", "differs": "far", "shortened": ""}


def claims(records: Records) -> str:
    """The paper's claims with outcome and evidence; '' when not one can be tested here."""
    checked = check(records.rows)
    tested = [claim for claim in checked if claim.outcome != "not testable"]
    if not tested:
        return ""
    untested = "; ".join(claim.claim for claim in checked if claim.outcome == "not testable")
    body = "".join(_claim(claim) for claim in tested)
    rest = f"<p>Not testable with these runs: {html.escape(untested)}.</p>" if untested else ""
    return (
        "<h3>What the paper says in words</h3>"
        "<div class='scroll whole'><table class='claims'><thead><tr><th>outcome</th>"
        "<th>claim</th><th>evidence</th></tr></thead>"
        f"<tbody>{body}</tbody></table></div>{rest}"
    )


def _claim(claim: Checked) -> str:
    outcome = f"<td class='outcome {claim.outcome}'>{claim.outcome}</td>"
    where = f"<small>({html.escape(claim.where)})</small>"
    return (
        f"<tr>{outcome}<td>{html.escape(claim.claim)} {where}</td>"
        f"<td class='evidence'>{html.escape(claim.evidence)}</td></tr>"
    )


def comparison(records: Records) -> str:
    """Published numbers beside ours for every published row that was run; '' when there is none."""
    compared = compare(records.rows, scale=records.scale)
    ran = [item for item in compared if item.group]
    if not ran:
        return ""
    titles = "".join(
        f"<th scope='col'{kind}><button type='button'>{title}</button></th>"
        for title, kind in (
            ("run", ""), ("table", ""), ("n", " class=number"),
            *((title, " class=number") for _, title, _ in SHOWN),
        )
    )  # fmt: skip
    copies = {item.group.first.dataset for item in ran if item.group} & set(SAME_DATASET)
    short = "".join(
        f"<p>Ours were trained on {html.escape(copy)}, a copy of {SAME_DATASET[copy]} that is not "
        "the original file for file.</p>"
        for copy in sorted(copies)
    )
    if records.scale < 1:
        short += (
            f"<p><strong>These runs were shortened (scale {records.scale:g}); the paper's were not."
            "</strong> Differences are shown, not judged.</p>"
        )
    return (
        f"<h3>Published numbers and ours</h3>{short}<p>Published → ours (difference). "
        f"{html.escape(RULE)} {len(ran)} of {len(compared)} published rows were run here; "
        f"{html.escape(ABSENT[0].lower() + ABSENT[1:])}</p><div class='scroll'>"
        f"<table class='compare sortable'><thead><tr>{titles}</tr></thead>"
        f"<tbody>{''.join(map(_line, ran))}</tbody></table></div>"
    )


def _line(item: RowComparison) -> str:
    row = item.published.row
    group = item.group
    n = len(group.finished) if group else 0
    by_column = {cell.column: cell for cell in item.cells}
    cells = "".join(
        _cell(by_column.get(column), item.published.printed[column], digits)
        for column, _, digits in SHOWN
    )
    name = label(row, frozenset({"dataset", "batch_size", "network"}))
    return (
        f"<tr><th scope='row'>{html.escape(name)}</th><td>{html.escape(item.published.table)}</td>"
        f"<td class='number' data-value='{n}'>{n}</td>{cells}</tr>"
    )


def _cell(cell: CellComparison | None, printed: str, digits: int) -> str:
    if cell is None or math.isnan(cell.ours.mean):
        return "<td></td>"
    ours = tables.spread_text(cell.ours, digits)
    apart = f"{cell.difference:+.{digits}f}"
    kind = f"number {CLASSES.get(cell.verdict, '')}"
    return (
        f"<td class='{kind}' data-value='{abs(cell.difference):.4g}' title='{cell.verdict}'>"
        f"{html.escape(printed)} → {ours} <small>({apart})</small></td>"
    )
