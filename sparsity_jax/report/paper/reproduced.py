"""Which full-length runs of the paper's experiments have been made with this code?

`reproduced.csv` beside this file: a row for each, with the command's config, the columns of
results.csv, and what it ran on. Shortened runs do not belong there; `entries` refuses them.
"""

from __future__ import annotations

import csv
import dataclasses
import io
from collections.abc import Mapping, Sequence
from importlib.resources import files
from typing import Any

from sparsity_jax.config.paper_tasks import paper_epochs
from sparsity_jax.errors import UserError
from sparsity_jax.storage.config_record import ConfigRecord
from sparsity_jax.storage.results import (
    AFTER_LAYERS,
    BEFORE_LAYERS,
    RunResult,
    decode_row,
    encode_row,
)

ABOUT = ("date", "config", "device", "versions")  # beside the columns of results.csv
LAYERS = 16  # of the deepest network, VGG-19


@dataclasses.dataclass(frozen=True)
class Reproduced:
    """One full-length run: its row of results.csv, and where it comes from.

    `date` is the day it finished, `config` the file and arg of --config, `device` what it ran on,
    `versions` the packages' as 'jax 0.10.2; flax 0.12.8'.
    """

    row: RunResult
    date: str
    config: str
    device: str
    versions: str


def columns() -> tuple[str, ...]:
    """The columns of reproduced.csv, in order."""
    layers = (f"c{place}" for place in range(1, LAYERS + 1))
    return (*ABOUT, *BEFORE_LAYERS, *layers, *AFTER_LAYERS)


def reproduced() -> tuple[Reproduced, ...]:
    """Every full-length run on record, in the order in which they were entered."""
    return decode((files("sparsity_jax.report.paper") / "reproduced.csv").read_text())


def decode(text: str) -> tuple[Reproduced, ...]:
    """The content of a reproduced.csv; the inverse of `encode`."""
    return tuple(
        Reproduced(
            decode_row({name: cell for name, cell in cells.items() if name not in ABOUT}),
            **{name: cells[name] for name in ABOUT},
        )
        for cells in csv.DictReader(io.StringIO(text))
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

    Raises:
      UserError: the runs were shortened, or one of them did not finish.
    """
    for each in _settings(record.config):
        if each["scale"] < 1:
            raise UserError(
                f"config.scale={each['scale']:g}: only full-length runs are entered, scale=1"
            )
        if each["epochs"] < (full := paper_epochs(each["data"], each["network"])):
            raise UserError(
                f"config.epochs={each['epochs']:g}: only full-length runs are entered, {full:g}"
            )
    unfinished = [row.run for row in rows if row.status == "failed"]
    if unfinished:
        raise UserError(f"{unfinished[0]} has failed; only finished and diverged runs are entered")
    device = ", ".join(f"{record.devices.count(d)} x {d}" for d in dict.fromkeys(record.devices))
    versions = "; ".join(f"{name} {version}" for name, version in record.versions.items())
    return tuple(Reproduced(row, date, config, device, versions) for row in rows)


def _settings(config: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Those of each run of the sweep, or of the only one."""
    return [{**config, **override} for override in config["sweep"] or [{}]]
