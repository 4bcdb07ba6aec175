"""The paper's statements checked on runs: passed, failed, or not testable with them.

A claim compares groups of runs that differ in one thing only, by a rule that nothing passes on:
both sides must exist and something must be sparse; runs at chance level, explicit pruning and
fine-tuned runs take no part; a difference must exceed the rounding of print, and the spread over
seeds. The rules stand beside the paper's sentences, by subject, in the modules of this folder.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping, Sequence

from sparsity_jax.report.loading import Records
from sparsity_jax.report.paper.claims import layers, low_gradient, mechanism, regularizers, tasks
from sparsity_jax.report.paper.claims.judging import Checked, Claim, Evidence, Outcome, conclude
from sparsity_jax.report.paper.pairs import NOT_THE_METHOD, Point, points
from sparsity_jax.storage.measurements import Measurements
from sparsity_jax.storage.pruned import PrunedRecord
from sparsity_jax.storage.results import RunResult

__all__ = ["CLAIMS", "Checked", "Claim", "Outcome", "check", "check_records", "encode"]

CLAIMS: tuple[Claim, ...] = (
    *regularizers.CLAIMS,
    *tasks.CLAIMS,
    *layers.CLAIMS,
    *mechanism.CLAIMS,
    *low_gradient.CLAIMS,
)


def check(
    rows: Sequence[RunResult],
    *,
    notes: Mapping[str, Sequence[str]] | None = None,
    measures: Mapping[str, Measurements] | None = None,
    pruned: Mapping[str, PrunedRecord] | None = None,
    scale: float = 1.0,
) -> list[Checked]:
    """Check every claim on the rows of one or several results.csv.

    Args:
      rows: in any order.
      notes: run -> what its seal notes: runs noted to be at chance level are left out.
      measures: run -> its measure.npz, which the claims about gamma, beta and selectivity need.
      pruned: run -> its pruned.json, which the claim about zeroing needs.
      scale: of the runs' config: how long runs are whose full length the paper does not say.

    Returns:
      A `Checked` for each of `CLAIMS`, in its order; its outcome is 'pass', 'fail', 'not testable',
      'shortened' (its runs are shorter or longer than the paper's) or 'too noisy'.

    Example:
      >>> {claim.outcome for claim in check([])}
      {'not testable'}
    """
    known = points(rows, notes, scale)
    fair = tuple(point for point in known if not _explicit(point))
    baselines = tuple(point for point in known if _explicit(point))
    evidence = Evidence(fair, baselines, measures or {}, pruned or {})
    return [conclude(claim, evidence) for claim in CLAIMS]


def check_records(records: Records) -> list[Checked]:
    """Check every claim on what a workdir holds: its rows, its runs' notes, measurements, gains."""
    return check(
        records.rows,
        notes=records.notes,
        measures=records.measures,
        pruned=records.pruned,
        scale=records.scale,
    )


def encode(checked: Sequence[Checked]) -> str:
    """The text of claims.json: claim, where, sentence, outcome, evidence and runs of each."""
    listed = [dataclasses.asdict(each) for each in checked]
    return json.dumps({"claims": listed}, indent=1, ensure_ascii=False) + "\n"


def _explicit(point: Point) -> bool:
    return any(point.part(prefix) for prefix in NOT_THE_METHOD)
