"""Contents of a workdir that a report can show.

`load` reads it once, file by file, and tolerates what is missing: a run that diverged has no
measure, a run in progress has no row. A file that cannot be read is named in `problems`, and the
report goes on without it.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

import numpy as np

from sparsity_jax.errors import UserError
from sparsity_jax.report.aggregate import representatives
from sparsity_jax.storage import completion
from sparsity_jax.storage.config_record import ConfigRecord, read_config
from sparsity_jax.storage.data_record import FOLDER, DataRecord, read_data_record
from sparsity_jax.storage.history import cut_off_line, iterate_history
from sparsity_jax.storage.measurements import TIMED, Measurements, read_measurements
from sparsity_jax.storage.pruned import PrunedRecord, read_pruned
from sparsity_jax.storage.results import RunResult, read_results

SHOWN_RUNS = 8  # runs that figures with one panel per run have room for
TIMES = 60  # moments of gamma and beta kept for a run that figures show
CURVES = ("step", "epoch", "learning_rate", "train_loss", "test_error", "sparsity_gamma")
_Content = TypeVar("_Content")


@dataclasses.dataclass(frozen=True)
class Curves:
    """One run's history as arrays of equal length (T,); errors and sparsity in percent."""

    step: np.ndarray
    epoch: np.ndarray
    learning_rate: np.ndarray
    train_loss: np.ndarray
    test_error: np.ndarray
    sparsity_gamma: np.ndarray


@dataclasses.dataclass(frozen=True)
class Records:
    """Everything the report shows.

    Attributes:
      name: what the experiment is called.
      rows: the rows of results.csv, in the file's order.
      curves: run -> its history; pruned: run -> what pruning bought.
      measures: run -> gamma and beta, thinned in time; the runs of `shown` keep more moments.
      notes: run -> what a reader of its row should be told, such as that it learned nothing.
      machines: run -> the machine that finished it.
      shown: the runs that figures with one panel per run show.
      data: what the runs were trained on, each with a PNG of some images (empty if missing).
      config: what was asked, or None.
      problems: one line for each file that could not be read.
    """

    name: str
    rows: tuple[RunResult, ...] = ()
    curves: Mapping[str, Curves] = dataclasses.field(default_factory=dict)
    pruned: Mapping[str, PrunedRecord] = dataclasses.field(default_factory=dict)
    measures: Mapping[str, Measurements] = dataclasses.field(default_factory=dict)
    notes: Mapping[str, tuple[str, ...]] = dataclasses.field(default_factory=dict)
    machines: Mapping[str, str] = dataclasses.field(default_factory=dict)
    shown: tuple[str, ...] = ()
    data: tuple[tuple[DataRecord, bytes], ...] = ()
    config: ConfigRecord | None = None
    problems: tuple[str, ...] = ()

    @property
    def scale(self) -> float:
        """The config's scale: below 1, runs were shortened and say nothing about full ones."""
        value = self.config.config.get("scale") if self.config else None
        return float(value) if isinstance(value, int | float) else 1.0

    def row(self, run: str) -> RunResult:
        """The row of one run."""
        return next(row for row in self.rows if row.run == run)


def load(workdir: Path, *, budget: int = 800_000) -> Records:
    """Read the files of a workdir.

    Args:
      workdir: the folder; any of its files may be missing.
      budget: about how many histogram cells the page can carry; many runs share it, so each keeps
        fewer moments of gamma and beta.
    """
    if not workdir.is_dir():
        raise UserError(f"{workdir} is not a folder; give the workdir of an experiment")
    problems: list[str] = []
    rows = tuple(_tolerant(read_results, workdir / "results.csv", problems) or ())
    config = _tolerant(read_config, workdir / "config.json", problems)
    shown = representatives(rows, SHOWN_RUNS)
    times = moments(rows, budget)
    measures, pruned, notes, machines = {}, {}, {}, {}
    for row in rows:
        folder = workdir / "runs" / row.run
        measure = _tolerant(read_measurements, folder / "measure.npz", problems)
        if measure is not None and len(measure.step) and measure.layers:
            measures[row.run] = (
                thin(measure, TIMES) if row.run in shown else without_activity(thin(measure, times))
            )
        record = _tolerant(read_pruned, folder / "pruned.json", problems)
        if record is not None:
            pruned[row.run] = record
        told = _tolerant(_told, folder / completion.NAME, problems)
        if told:
            notes[row.run], machines[row.run] = told
    name = str(config.config.get("name") or "") if config else ""
    return Records(
        name=name or workdir.resolve().name,
        rows=rows,
        curves=_tolerant(_curves, workdir / "history.jsonl", problems) or {},
        pruned=pruned,
        measures=measures,
        notes={run: told for run, told in notes.items() if told},
        machines=machines,
        shown=shown,
        data=tuple(_data(workdir, problems)),
        config=config,
        problems=(*problems, *_cut(workdir / "history.jsonl")),
    )


def _data(workdir: Path, problems: list[str]) -> Iterator[tuple[DataRecord, bytes]]:
    for path in sorted((workdir / FOLDER).glob("*.json")):
        record = _tolerant(read_data_record, path, problems)
        if record is not None:
            picture = path.with_suffix(".png")
            yield record, picture.read_bytes() if picture.is_file() else b""


def moments(rows: Sequence[RunResult], budget: int) -> int:
    """Number of moments of each run that the page can carry: between 5 and TIMES."""
    layers = sum(len(row.layers) for row in rows)
    return int(np.clip(budget // max(1, layers * 64), 5, TIMES))


def thin(measure: Measurements, times: int) -> Measurements:
    """The measure at `times` moments at most, evenly spread, the first and the last among them."""
    count = len(measure.step)
    if count <= times:
        return measure
    kept = np.unique(np.linspace(0, count - 1, times).round().astype(int))
    return dataclasses.replace(
        measure,
        step=measure.step[kept],
        epoch=measure.epoch[kept],
        **{
            group: {layer: values[kept] for layer, values in getattr(measure, group).items()}
            for group in TIMED
        },
    )


def without_activity(measure: Measurements) -> Measurements:
    """The measure with nothing over time but gamma and beta: other runs' activity is not shown."""
    return dataclasses.replace(measure, fired={}, train_peak={}, decay={}, pull={})


def _curves(path: Path) -> dict[str, Curves]:
    lists: dict[str, dict[str, list[float]]] = {}
    if not path.exists():
        return {}
    for evaluation in iterate_history(path):
        run = lists.setdefault(evaluation.run, {name: [] for name in CURVES})
        for name in CURVES:
            run[name].append(getattr(evaluation, name))
    return {
        run: Curves(**{name: np.array(values, np.float64) for name, values in columns.items()})
        for run, columns in lists.items()
    }


def _told(path: Path) -> tuple[tuple[str, ...], str]:
    """Notes and machine of a run's record; whether the run's files match it is not judged.

    Raises:
      UserError: the file is not one of ours.
    """
    try:
        content = json.loads(path.read_text())
        return tuple(map(str, content["notes"])), str(content.get("machine", ""))
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise UserError(f"{path} is damaged ({str(error)[:200]})") from None


def _cut(path: Path) -> tuple[str, ...]:
    if not cut_off_line(path):
        return ()
    return (f"{path.name} ends in a line that was cut off; the line is ignored",)


def _tolerant(read: Callable[[Path], _Content], path: Path, problems: list[str]) -> _Content | None:
    """Content of a file as `read` gives it; None for no file, and for a bad one, which is noted."""
    try:
        return read(path)
    except FileNotFoundError:
        return None
    except (UserError, OSError) as error:
        problems.append(str(error))
        return None
