"""The paper's published rows, 158 of them, in the form of results.csv.

Numbers keep the text they were printed as, since their decimals say how far they were rounded.
Table 10 and, but for two numbers, Table 9 are not in the published text available to us.
"""

from __future__ import annotations

import csv
import dataclasses
import io
import math
from collections.abc import Mapping, Sequence
from importlib.resources import files

from sparsity_jax.config.naming import strength_text
from sparsity_jax.report.aggregate import Group, Key, label, variant_parts
from sparsity_jax.report.paper.length import SAME_DATASET, full_steps, is_full, share
from sparsity_jax.storage.results import RunResult

__all__ = ["ABSENT", "SAME_DATASET", "Published", "match_key", "matched", "published"]

ABSENT = "Table 10 and, but for two numbers, Table 9: not in the published text available to us."
# Printed under another name where two tables show the same runs.
SAME_VARIANT = {"width=64-1x": "", "baseline_gamma_init=1_beta_init=0": ""}
# Sec. 5: on ImageNet Adam's learning rate is a tenth of the usual one, which no table prints.
OWN_RATE = {("ImageNet", "adam"): "lr=0.0001"}
LAYERS = tuple(f"c{i}" for i in range(1, 14))


@dataclasses.dataclass(frozen=True)
class Published:
    """One published row: where it stands, which run it is, and its numbers as printed."""

    table: str
    row: RunResult
    printed: Mapping[str, str]
    note: str

    @property
    def key(self) -> Key:
        """The run's identity, comparable with `match_key` of ours."""
        return match_key(self.row)


def match_key(row: RunResult) -> Key:
    """Key on which two rows of the same experiment agree; seeds, durations and names may differ.

    Strengths agree as printed; 'BasicNet-64-0.5x' with its width as the variant is BasicNet. The
    learning rate that the paper has for a data set goes without saying there, as elsewhere.

    Example:
      >>> row = RunResult("r", "ImageNet", "VGG-16", "adam", "l2", 1e-4, 40, variant="lr=0.0001")
      >>> match_key(row)[-1], match_key(dataclasses.replace(row, variant=""))[-1]
      ('', 'lr=usual')
    """
    network = "BasicNet" if row.network.startswith("BasicNet") else row.network
    strength = float(strength_text(row.strength))
    dataset = SAME_DATASET.get(row.dataset, row.dataset)
    parts = [SAME_VARIANT.get(part, part) for part in variant_parts(row.variant)]
    own = OWN_RATE.get((dataset, row.optimizer))
    if own in parts:
        parts.remove(own)
    elif own and not any(part.startswith("lr=") for part in parts):
        parts.append("lr=usual")
    variant = "+".join(sorted(part for part in parts if part))
    return (
        dataset,
        network,
        row.optimizer,
        row.regularizer,
        strength,
        row.batch_size,
        variant,
    )


def matched(rows: Sequence[RunResult], scale: float = 1.0) -> dict[Key, Group]:
    """Our runs by the identity that the paper's rows are matched by.

    Runs that have failed, and those still to come, are left out. Where full-length runs stand
    beside shortened ones, the full-length ones count alone.

    Args:
      rows: rows of results.csv.
      scale: of their config; see `length.share`.
    """
    members: dict[Key, list[RunResult]] = {}
    for row in rows:
        if row.status in ("finished", "diverged"):
            members.setdefault(match_key(row), []).append(row)
    for key, same in members.items():
        ended = [row for row in same if row.status == "finished"]
        if any(is_full(share(row, scale)) for row in ended):
            members[key] = [
                row for row in same if row.status == "diverged" or is_full(share(row, scale))
            ]
    return {key: Group(key, label(same[0]), tuple(same)) for key, same in members.items()}


def published() -> tuple[Published, ...]:
    """All published rows, in the order of the paper's tables; each as long as a full run."""
    text = files("sparsity_jax.report.paper").joinpath("published.csv").read_text(encoding="utf-8")
    return tuple(_decode(cells) for cells in csv.DictReader(io.StringIO(text, newline="")))


def _decode(cells: Mapping[str, str]) -> Published:
    def value(name: str) -> float:
        return float(cells[name]) if cells[name] else math.nan

    layers = tuple(value(name) for name in LAYERS)
    depth = max((i + 1 for i, pct in enumerate(layers) if not math.isnan(pct)), default=0)
    row = RunResult(
        run=f"table {cells['table']}",
        dataset=cells["dataset"],
        network=cells["network"],
        optimizer=cells["optimizer"],
        regularizer=cells["regularizer"],
        strength=float(cells["strength"] or 0),
        batch_size=int(cells["batch_size"] or 0),
        variant=cells["variant"] or OWN_RATE.get((cells["dataset"], cells["optimizer"]), ""),
        train_loss=value("train_loss"),
        test_loss=value("test_loss"),
        test_error=value("test_error"),
        top5_error=value("top5_error"),
        sparsity_act=value("sparsity_act"),
        sparsity_gamma=value("sparsity_gamma"),
        layers=layers[:depth],
        features_pruned_pct=value("features_pruned_pct"),
        features_pruned=int(cells["features_pruned"]) if cells["features_pruned"] else None,
        params_pruned_pct=value("params_pruned_pct"),
        pruned_test_error=value("pruned_test_error"),
        pruned_top5_error=value("pruned_top5_error"),
        steps=full_steps(cells["dataset"], cells["network"]) or 0,
    )
    return Published(cells["table"], row, dict(cells), cells["note"])
