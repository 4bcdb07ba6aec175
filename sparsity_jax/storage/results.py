"""Rows of `results.csv`: one typed row per run, in the paper's units.

Errors and sparsity are in percent with two decimals, losses with four, strengths as the paper
writes them (1e-03). The layer columns c1 ... cN are as many as the deepest network in the file has.
An empty cell means: not measured. The order of the columns is part of the contract.
"""

from __future__ import annotations

import csv
import dataclasses
import io
import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from sparsity_jax.config.naming import strength_text
from sparsity_jax.errors import UserError
from sparsity_jax.storage.io import number, write_atomically

BEFORE_LAYERS = (
    "run",
    "dataset",
    "network",
    "optimizer",
    "regularizer",
    "strength",
    "batch_size",
    "variant",
    "seed",
    "steps",
    "status",
    "train_loss",
    "test_loss",
    "test_error",
    "top5_error",
    "sparsity_act",
    "sparsity_gamma",
)
AFTER_LAYERS = (
    "features_pruned",
    "features_pruned_pct",
    "params_pruned_pct",
    "pruned_test_error",
    "pruned_top5_error",
    "seconds",
    "train_macs_pct",
    "scale",
)
LATER = ("train_macs_pct", "scale")  # columns that files of earlier versions lack
_TEXT = ("run", "dataset", "network", "optimizer", "regularizer", "variant", "status")
_WHOLE = ("batch_size", "seed", "steps")
_DECIMALS = {"train_loss": 4, "test_loss": 4, "seconds": 1}


@dataclasses.dataclass(frozen=True)
class RunResult:
    """One row of `results.csv`. Errors and sparsity in percent; NaN where not measured.

    `layers` holds the sparsity by gamma of C1 ... CN; `features_pruned` is None before pruning.
    `train_macs_pct` are the multiply-adds spent on training, in percent of the uncut network's.
    `scale` is the config's: below 1, the run was shortened.

    Example:
      >>> row = RunResult(run="adam_l2_1e-03_b40_seed0", dataset="renderings", network="BasicNet",
      ...                 optimizer="adam", regularizer="l2", strength=1e-3, batch_size=40,
      ...                 test_error=1.62, sparsity_gamma=31.7, layers=(12.5, 46.0))
      >>> encode_row(row)["strength"], encode_row(row)["c2"], encode_row(row)["sparsity_act"]
      ('1e-03', '46.00', '')
    """

    run: str
    dataset: str
    network: str
    optimizer: str
    regularizer: str
    strength: float
    batch_size: int
    variant: str = ""
    seed: int = 0
    steps: int = 0
    status: str = "finished"
    train_loss: float = math.nan
    test_loss: float = math.nan
    test_error: float = math.nan
    top5_error: float = math.nan
    sparsity_act: float = math.nan
    sparsity_gamma: float = math.nan
    layers: tuple[float, ...] = ()
    features_pruned: int | None = None
    features_pruned_pct: float = math.nan
    params_pruned_pct: float = math.nan
    pruned_test_error: float = math.nan
    pruned_top5_error: float = math.nan
    seconds: float = math.nan
    train_macs_pct: float = math.nan
    scale: float = math.nan


def columns(rows: Iterable[RunResult]) -> tuple[str, ...]:
    """List the column names for these rows, wide enough for the deepest network among them."""
    depth = max((len(row.layers) for row in rows), default=0)
    return (*BEFORE_LAYERS, *(f"c{i}" for i in range(1, depth + 1)), *AFTER_LAYERS)


def encode_row(row: RunResult) -> dict[str, str]:
    """Write one row as column -> text; what is unknown is ''."""
    cells = {name: _cell(name, getattr(row, name)) for name in (*BEFORE_LAYERS, *AFTER_LAYERS)}
    return cells | {f"c{i}": _cell("c", pct) for i, pct in enumerate(row.layers, start=1)}


def decode_row(cells: Mapping[str, str]) -> RunResult:
    """Undo `encode_row`, up to the decimals that it keeps."""
    layers = []
    while cells.get(f"c{len(layers) + 1}"):
        layers.append(number(cells[f"c{len(layers) + 1}"]))
    values: dict[str, Any] = {name: cells[name] for name in _TEXT}
    values |= {name: int(cells[name]) for name in _WHOLE}
    values["features_pruned"] = int(cells["features_pruned"]) if cells["features_pruned"] else None
    rest = [name for name in (*BEFORE_LAYERS, *AFTER_LAYERS) if name not in values]
    values |= {name: number(cells.get(name, "")) for name in rest}
    return RunResult(**values, layers=tuple(layers))


def encode_results(rows: Sequence[RunResult]) -> str:
    """Write the text of `results.csv`."""
    text = io.StringIO()
    writer = csv.DictWriter(text, columns(rows), restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows(encode_row(row) for row in rows)
    return text.getvalue()


def decode_results(text: str, name: str = "results.csv") -> list[RunResult]:
    """Read the rows in the text of a `results.csv`.

    Args:
      text: of the file.
      name: of the file, for errors.

    Raises:
      UserError: a column is missing, a line is cut off or a cell cannot be read; names it.
    """
    reader = csv.DictReader(io.StringIO(text, newline=""))
    present = reader.fieldnames or ()
    if not text.strip():
        raise UserError(f"{name} is empty")
    needed = [name for name in (*BEFORE_LAYERS, *AFTER_LAYERS) if name not in LATER]
    missing = [name for name in needed if name not in present]
    if missing:
        raise UserError(f"{name} lacks the columns {', '.join(missing)}")
    rows = []
    for cells in reader:
        place = f"{name}, line {reader.line_num}"
        if None in cells or None in cells.values():
            raise UserError(f"{place}: not as many cells as there are columns; the file is damaged")
        try:
            rows.append(decode_row(cells))
        except (ValueError, TypeError) as error:
            raise UserError(f"{place}: {error}") from None
    return rows


def write_results(path: Path, rows: Sequence[RunResult]) -> None:
    """Replace `results.csv`; call it with all rows so far after each run."""
    write_atomically(path, encode_results(rows).encode())


def read_results(path: Path) -> list[RunResult]:
    """Read the rows of `results.csv`; none when there is no file.

    Raises:
      UserError: it is damaged; names the file and the place.
    """
    if not path.exists():
        return []
    try:
        return decode_results(path.read_text(encoding="utf-8"), str(path))
    except UnicodeDecodeError as error:
        raise UserError(f"{path} is damaged ({error.reason} at byte {error.start})") from None
    except csv.Error as error:
        raise UserError(f"{path} is damaged ({error})") from None


def _cell(name: str, value: str | int | float | None) -> str:
    if value is None:
        return ""
    if isinstance(value, str) or name in _WHOLE or name == "features_pruned":
        return str(value)
    if not math.isfinite(value):
        return ""
    if name == "strength":
        return strength_text(value)
    if name == "scale":
        return f"{value:g}"
    return f"{value:.{_DECIMALS.get(name, 2)}f}"
