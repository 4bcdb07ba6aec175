"""The record of full-length runs of the paper's experiments that were made with this code.

`reproduced.csv` beside this file: a row for each, with the command's config, the columns of
results.csv, and what it ran on. Runs of another length, and runs that no table of the paper holds,
do not belong there; `entries` refuses them.
"""

from __future__ import annotations

import csv
import dataclasses
import io
from collections.abc import Collection, Hashable, Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

from sparsity_jax.config.paper_schedule import paper_schedule
from sparsity_jax.errors import UserError
from sparsity_jax.report.aggregate import Key
from sparsity_jax.report.paper import entering
from sparsity_jax.report.paper.length import is_full, share
from sparsity_jax.report.paper.published import match_key, published
from sparsity_jax.storage.config_record import ConfigRecord
from sparsity_jax.storage.results import (
    AFTER_LAYERS,
    BEFORE_LAYERS,
    RunResult,
    decode_row,
    encode_row,
)

ABOUT = ("date", "config", "device", "versions", "commit")  # beside the columns of results.csv
LAYERS = 16  # of the deepest network, VGG-19


@dataclasses.dataclass(frozen=True)
class Reproduced:
    """One full-length run: its row of results.csv, and where it comes from.

    `date` is the day it finished, `config` the file and arg of --config, `device` what it ran on,
    `versions` the packages' as 'jax 0.10.2; flax 0.12.8', `commit` that of the code, '' if unknown.
    """

    row: RunResult
    date: str
    config: str
    device: str
    versions: str
    commit: str

    @property
    def identity(self) -> tuple[Hashable, ...]:
        """Key that no two lines of reproduced.csv share: the experiment, its seed, the code."""
        return self.row.dataset, match_key(self.row), self.row.seed, self.commit


def columns() -> tuple[str, ...]:
    """The columns of reproduced.csv, in order."""
    layers = (f"c{place}" for place in range(1, LAYERS + 1))
    return (*ABOUT, *BEFORE_LAYERS, *layers, *AFTER_LAYERS)


def reproduced() -> tuple[Reproduced, ...]:
    """Every full-length run on record, in the order in which they were entered."""
    return decode(record_path().read_text(encoding="utf-8"))


def record_path() -> Path:
    """Path of reproduced.csv in this installation of the package."""
    return Path(str(files("sparsity_jax.report.paper") / "reproduced.csv"))


def enter(new: Sequence[Reproduced], path: Path) -> int:
    """Append entries to a reproduced.csv, each identity once; returns how many are new.

    Raises:
      UserError: the file cannot be written, as in an installed package; nothing has changed.
    """
    return entering.enter(
        new, path, decode=decode, encode=encode, identity=lambda entry: entry.identity
    )


def decode(text: str) -> tuple[Reproduced, ...]:
    """The content of a reproduced.csv; the inverse of `encode`."""
    return tuple(
        Reproduced(
            decode_row({name: cell for name, cell in cells.items() if name not in ABOUT}),
            **{name: cells[name] for name in ABOUT},
        )
        for cells in csv.DictReader(io.StringIO(text, newline=""))
    )


def encode(entries: Sequence[Reproduced]) -> str:
    """The content of a reproduced.csv, its header first."""
    text = io.StringIO()
    writer = csv.DictWriter(text, columns(), restval="", lineterminator="\n")
    writer.writeheader()
    for entry in entries:
        about = {name: getattr(entry, name) for name in ABOUT}
        writer.writerow({**about, **encode_row(entry.row)})
    return text.getvalue()


def entries(
    record: ConfigRecord, rows: Sequence[RunResult], *, config: str, date: str
) -> tuple[Reproduced, ...]:
    """The entries that a finished workdir makes.

    Args:
      record: its config.json.
      rows: its results.csv.
      config: the file and arg of --config, such as 'table1.py:cifar10'.
      date: the day it finished, as 2026-01-31.

    Returns:
      An entry for each row.

    Raises:
      UserError: a run was shortened or lengthened, stands in no table of the paper, or failed.

    Example:
      >>> entries(ConfigRecord({"sweep": []}), (), config="table1.py", date="2026-01-31")
      ()
    """
    for each in _settings(record.config):
        _check_settings(each)
    known = {item.key for item in published()}
    for row in rows:
        _check_row(row, known)
    device = ", ".join(f"{record.devices.count(d)} x {d}" for d in dict.fromkeys(record.devices))
    versions = "; ".join(f"{name} {version}" for name, version in record.versions.items())
    commit = record.commit or ""
    return tuple(Reproduced(row, date, config, device, versions, commit) for row in rows)


def _settings(config: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Those of each run of the sweep, or of the only one."""
    return [{**config, **override} for override in config.get("sweep") or [{}]]


def _check_settings(asked: Mapping[str, Any]) -> None:
    """Raise UserError where a run's duration is not the paper's: a diverged row does not tell."""
    if "data" not in asked or "network" not in asked:
        return
    schedule = paper_schedule(asked["data"], asked["network"])
    if schedule is None:
        raise UserError(
            f"config.data={asked['data']} with {asked['network']}: only the paper's experiments "
            "are entered"
        )
    usual = {"epochs": schedule.epochs, "reference_batch": schedule.reference_batch, "scale": 1.0}
    planned = {name: asked.get(name, value) for name, value in usual.items()}
    steps = (
        planned["epochs"] * planned["scale"] * (schedule.train_size // planned["reference_batch"])
    )
    if not is_full(steps / schedule.steps):
        told = ", ".join(f"config.{k}={v:g}" for k, v in planned.items() if v != usual[k])
        raise UserError(f"{told}: only full-length runs are entered, {schedule.steps:,} steps")


def _check_row(row: RunResult, known: Collection[Key]) -> None:
    if row.status == "failed":
        raise UserError(f"{row.run} has failed; only finished and diverged runs are entered")
    if match_key(row) not in known:
        raise UserError(f"{row.run} ({row.dataset}) stands in no table of the paper")
    if row.status == "finished" and not is_full(share(row)):
        raise UserError(
            f"{row.run} has {row.steps:,} steps, {100 * share(row):.3g} % of the full length; "
            "only full-length runs are entered"
        )
