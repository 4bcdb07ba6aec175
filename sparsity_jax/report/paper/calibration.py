"""Calibration candidates beside Table 6's 32-0.25x rows: their runs, distances and record.

`calibration.csv` beside this file keeps every candidate's runs that were ever entered. A run's
distance from the paper is the mean of four parts, each 1 where a difference starts to matter:

  |log2(train loss / published)| / 0.5      |test loss / published - 1| / 0.1
  |test error / published - 1| / 0.05       |sparsity - published| / 3 points

A candidate's distance is the larger of its two data sets': one that fits only one is not the
answer. Runs shorter than `FULL_STEPS` screen candidates; they do not decide.
"""

from __future__ import annotations

import csv
import dataclasses
import functools
import io
import json
import math
from collections.abc import Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

from sparsity_jax.config.base import default_config
from sparsity_jax.config.calibration import CANDIDATES, DATASETS, WIDTH, Candidate
from sparsity_jax.config.sweep import expand
from sparsity_jax.report.paper import entering
from sparsity_jax.report.paper.published import SAME_DATASET, Published, match_key, published
from sparsity_jax.storage.config_record import ConfigRecord
from sparsity_jax.storage.io import number
from sparsity_jax.storage.results import RunResult

FULL_STEPS = 406_250  # 325 epochs of 50,000 images in batches of 40
LAYERS = tuple(f"c{place}" for place in range(1, 8))
NUMBERS = ("train_loss", "test_loss", "test_error", "sparsity_act", "sparsity_gamma")
COLUMNS = (
    "candidate",
    "dataset",
    "settings",
    "length",
    "seed",
    "status",
    *NUMBERS,
    *LAYERS,
    "seconds",
    "device",
    "versions",
    "commit",
    "data",
    "date",
)
FITTED = ("train_loss", "test_loss", "test_error", "sparsity_gamma")
LOG2_TRAIN_LOSS, TEST_LOSS, TEST_ERROR, SPARSITY = 0.5, 0.1, 0.05, 3.0  # differences that matter


@dataclasses.dataclass(frozen=True)
class Entry:
    """One run of one candidate: a line of calibration.csv.

    Attributes:
      candidate: its name in `config.calibration`.
      dataset: the paper's name of the data set, such as 'CIFAR10'.
      settings: the candidate's settings as JSON.
      length: training steps.
      seed: of the run.
      status: 'finished', 'diverged' or 'failed'.
      numbers: train_loss, test_loss, then test_error, sparsity_act, sparsity_gamma in percent.
      layers: sparsity by gamma of C1 ... C7 in percent.
      seconds: of training.
      device: what the run was trained on.
      versions: of the packages, as 'jax 0.12.0; flax 0.12.8'.
      commit: of the code; '' where unknown.
      data: the data set's name in results.csv, which tells copies apart.
      date: the day the run ended, as 2026-01-31.
    """

    candidate: str
    dataset: str
    settings: str
    length: int
    seed: int
    status: str
    numbers: Mapping[str, float]
    layers: tuple[float, ...]
    seconds: float
    device: str
    versions: str
    commit: str
    data: str
    date: str

    @property
    def key(self) -> tuple[str, str, int, int]:
        """The experiment, whatever code it ran on: candidate, data set, length, seed."""
        return self.candidate, self.dataset, self.length, self.seed

    @property
    def identity(self) -> tuple[str, str, int, int, str]:
        """Key that no two lines of calibration.csv share."""
        return *self.key, self.commit


def entries(record: ConfigRecord, rows: Sequence[RunResult], *, date: str) -> tuple[Entry, ...]:
    """The entries of a workdir's runs, whatever their status; other experiments' runs are left out.

    Args:
      record: its config.json.
      rows: its results.csv.
      date: the day it ended, as 2026-01-31.
    """
    device = ", ".join(f"{record.devices.count(d)} x {d}" for d in dict.fromkeys(record.devices))
    versions = "; ".join(f"{name} {version}" for name, version in record.versions.items())
    known = _candidates()
    return tuple(
        Entry(
            candidate=candidate.name,
            dataset=match_key(row)[0],
            settings=json.dumps(dict(candidate.settings), sort_keys=True),
            length=row.steps,
            seed=row.seed,
            status=row.status,
            numbers={name: getattr(row, name) for name in NUMBERS},
            layers=row.layers,
            seconds=row.seconds,
            device=device,
            versions=versions,
            commit=record.commit or "",
            data=row.dataset,
            date=date,
        )
        for row in rows
        if (candidate := known.get(match_key(row))) is not None
    )


@functools.cache
def _candidates() -> Mapping[Any, Candidate]:
    """What `match_key` gives for a candidate's runs -> the candidate."""
    found = {}
    for candidate in CANDIDATES:
        config = default_config()
        config.width = WIDTH
        config.sweep = tuple({"data": dataset, **candidate.settings} for dataset in DATASETS)
        for run in expand(config):
            row = RunResult(
                "",
                run.data.upper(),
                run.network,
                run.optimizer,
                run.regularizer,
                run.strength,
                run.batch_size,
                run.variant,
            )
            found[match_key(row)] = candidate
    return found


def recorded() -> tuple[Entry, ...]:
    """Every entry of the committed calibration.csv, in the order of entering."""
    path = record_path()
    return decode(path.read_text(encoding="utf-8")) if path.exists() else ()


def record_path() -> Path:
    """Path of calibration.csv in this installation of the package."""
    return Path(str(files("sparsity_jax.report.paper") / "calibration.csv"))


def decode(text: str) -> tuple[Entry, ...]:
    """The content of a calibration.csv; the inverse of `encode`."""
    return tuple(
        Entry(
            numbers={name: number(cells[name]) for name in NUMBERS},
            layers=tuple(number(cells[name]) for name in LAYERS if cells[name]),
            length=int(cells["length"]),
            seed=int(cells["seed"]),
            seconds=number(cells["seconds"]),
            **{name: cells[name] for name in _words()},
        )
        for cells in csv.DictReader(io.StringIO(text, newline=""))
    )


def encode(lines: Sequence[Entry]) -> str:
    """The content of a calibration.csv, its header first."""
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, restval="", lineterminator="\n")
    writer.writeheader()
    for line in lines:
        numbers = {**line.numbers, **dict(zip(LAYERS, line.layers, strict=False))}
        numbers["seconds"] = line.seconds
        cells = {name: "" if math.isnan(value) else repr(value) for name, value in numbers.items()}
        counts = {"length": line.length, "seed": line.seed}
        writer.writerow({**cells, **counts, **{name: getattr(line, name) for name in _words()}})
    return text.getvalue()


def _words() -> tuple[str, ...]:
    """The columns that hold text."""
    numeric = {*NUMBERS, *LAYERS, "length", "seed", "seconds"}
    return tuple(name for name in COLUMNS if name not in numeric)


def enter(new: Sequence[Entry], path: Path) -> int:
    """Append finished entries to a calibration.csv, each identity once; returns how many are new.

    Raises:
      UserError: the file cannot be written, as in an installed package; nothing has changed.
    """
    finished = [entry for entry in new if entry.status == "finished"]
    return entering.enter(
        finished, path, decode=decode, encode=encode, identity=lambda entry: entry.identity
    )


def targets() -> dict[str, Published]:
    """Data set -> the published row that candidates are chosen by, CIFAR-10's first."""
    rows = [row for row in published() if row.table == "6" and row.row.variant == f"width={WIDTH}"]
    names = [SAME_DATASET.get(name, name.upper()) for name in DATASETS]
    return {row.row.dataset: row for name in names for row in rows if row.row.dataset == name}


def parts(target: RunResult, ours: Mapping[str, float]) -> tuple[float, float, float, float]:
    """The four parts of a distance, each 1 where a difference starts to matter; see the module.

    Args:
      target: the published row.
      ours: the columns of `FITTED`; NaN where not measured, which makes its part NaN.

    Example:
      >>> target = targets()["CIFAR10"].row
      >>> parts(target, {"train_loss": 0.44, "test_loss": 0.44, "test_error": 13.4,
      ...                "sparsity_gamma": 26.0})
      (2.0, 0.0, 0.0, 1.0)
    """
    train, test, error = (
        ours[name] / getattr(target, name) for name in ("train_loss", "test_loss", "test_error")
    )
    return (
        abs(math.log2(train)) / LOG2_TRAIN_LOSS if train else math.inf,
        abs(test - 1) / TEST_LOSS,
        abs(error - 1) / TEST_ERROR,
        abs(ours["sparsity_gamma"] - target.sparsity_gamma) / SPARSITY,
    )
