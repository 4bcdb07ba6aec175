"""Cards of the runs on the page: command, length, time and machine of each."""

from __future__ import annotations

import dataclasses

from sparsity_jax.config.commands import run_commands
from sparsity_jax.report.aggregate import run_labels
from sparsity_jax.report.loading import Records
from sparsity_jax.storage.results import RunResult


@dataclasses.dataclass(frozen=True)
class RunCard:
    """Content of a run's card.

    Attributes:
      label: of the run.
      status: what became of it.
      command: that trains it alone; '' if it is not known.
      facts: (name, value).
    """

    label: str
    status: str
    command: str
    facts: tuple[tuple[str, str], ...]


def cards(records: Records) -> list[RunCard]:
    """A card for every run, in the rows' order."""
    labels, config = run_labels(records.rows), records.config
    commands = run_commands(config.command, config.config) if config else {}
    return [
        RunCard(labels[row.run], row.status, commands.get(row.run, ""), _facts(row, records))
        for row in records.rows
    ]


def _facts(row: RunResult, records: Records) -> tuple[tuple[str, str], ...]:
    facts = {
        "folder": f"runs/{row.run}",
        "seed": str(row.seed),
        "steps": f"{row.steps:,}",
        "training time": time_text(row.seconds),
        "machine": records.machines.get(row.run, ""),
    }
    return tuple((name, value) for name, value in facts.items() if value)


def time_text(seconds: float) -> str:
    """A duration as it reads.

    Example:
      >>> time_text(7.3), time_text(127.0), time_text(9000.0), time_text(float("nan"))
      ('7.3 s', '2 min 7 s', '2 h 30 min', '')
    """
    if seconds != seconds:
        return ""
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest} s"
    return f"{minutes // 60} h {minutes % 60} min"
