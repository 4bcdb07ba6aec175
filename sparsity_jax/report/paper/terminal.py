"""The paper's claims and published numbers beside ours, as text for a terminal."""

from __future__ import annotations

import textwrap
from collections import Counter
from collections.abc import Sequence

from sparsity_jax.report import tables
from sparsity_jax.report.loading import Records
from sparsity_jax.report.page.paper import comparison_table
from sparsity_jax.report.paper.claims import Checked, check_records
from sparsity_jax.report.paper.compare import RowComparison, compare
from sparsity_jax.report.paper.length import banner, unpublished
from sparsity_jax.report.paper.reproduced import Reproduced

WIDTH = 100
OUTCOMES = ("pass", "fail", "too noisy", "shortened", "not testable")


def paper_text(records: Records) -> str:
    """The claims that these runs say anything about, then the published numbers beside ours."""
    checked = check_records(records)
    compared = [item for item in compare(records.rows, scale=records.scale) if item.group]
    length = banner(records)
    other = unpublished(records)
    parts = (
        length
        and f"These runs are {length} of full length: nothing passes, fails or agrees on them.",
        other and f"The paper does not train on {other}: there, its claims are tried in miniature.",
        claims_text(checked),
        comparison_text(compared) if compared else "No published row was run here.",
    )
    return "\n\n".join(filter(None, parts))


def claims_text(checked: Sequence[Checked]) -> str:
    """Number of claims by outcome, and each that can be tested with its evidence.

    Example:
      >>> print(claims_text([Checked("All is well", "Sec. 1", "pass", "2 of 2 comparisons hold")]))
      The paper's claims on these runs: 1 pass.
      pass          All is well (Sec. 1)
                    2 of 2 comparisons hold
    """
    counts = Counter(claim.outcome for claim in checked)
    said = ", ".join(f"{counts[outcome]} {outcome}" for outcome in OUTCOMES if counts[outcome])
    lines = [f"The paper's claims on these runs: {said}."]
    for claim in sorted(checked, key=lambda claim: OUTCOMES.index(claim.outcome)):
        if claim.outcome != "not testable":
            lines.append(f"{claim.outcome:<14}{claim.claim} ({claim.where})")
            indent = " " * 14
            lines += textwrap.wrap(
                claim.evidence, WIDTH, initial_indent=indent, subsequent_indent=indent
            )
    return "\n".join(lines)


def reproduced_text(runs: Sequence[Reproduced]) -> str:
    """Full-length runs beside the published rows, then what each was made on.

    Example:
      >>> reproduced_text(())
      'No full-length run of the paper is on record.'
    """
    if not runs:
        return "No full-length run of the paper is on record."
    compared = [item for item in compare([each.row for each in runs]) if item.group]
    made = [
        f"{each.row.run} ({each.config or 'config unknown'}): {each.row.seconds / 3600:.1f} h on "
        f"{each.device or 'an unknown device'}, {each.date}, commit {each.commit or 'unknown'}"
        for each in runs
    ]
    return "\n".join([comparison_text(compared), "", *made])


def comparison_text(compared: Sequence[RowComparison]) -> str:
    """A line for each published row that was run, under how many of its numbers agree."""
    counts = Counter(cell.verdict for item in compared for cell in item.cells if cell.ours.n)
    said = ", ".join(f"{count} {verdict}" for verdict, count in counts.items())
    heading = (
        f"Published → ours (difference). Of all numbers of these rows: {said or 'none is known'}."
    )
    return f"{heading}\n{tables.as_text(comparison_table(compared))}"
