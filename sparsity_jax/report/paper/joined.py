"""Runs of several workdirs and results.csv files, of other machines too, as one set of records."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TypeVar

from sparsity_jax.errors import UserError
from sparsity_jax.report.loading import Records, load
from sparsity_jax.report.paper import claims, compare
from sparsity_jax.report.paper.length import full_steps
from sparsity_jax.report.paper.paper_tables import write_tables
from sparsity_jax.report.paper.published import match_key
from sparsity_jax.storage.io import plain, write_atomically
from sparsity_jax.storage.results import RunResult, encode_row, read_results

CONFIG, RESULTS = "config.json", "results.csv"
_Value = TypeVar("_Value")


@dataclasses.dataclass(frozen=True)
class Source:
    """A workdir or a file of rows: the path as given, its records, and whether it is a workdir."""

    path: Path
    records: Records
    is_workdir: bool


@dataclasses.dataclass(frozen=True)
class Joined:
    """The runs of several sources, each once, and what a reader should be told of the joining."""

    records: Records
    notes: tuple[str, ...] = ()


def read_sources(paths: Sequence[Path]) -> list[Source]:
    """Read every workdir and every file of rows; the same one given twice is read once.

    A results.csv that still lies in its workdir brings the workdir's other files with it.

    Raises:
      UserError: one of them is missing, empty, of another kind or damaged; names it.
    """
    sources, seen = [], set()
    for path in paths:
        source = _read(path)
        folder = path.parent if path.name == RESULTS else path
        place = folder.resolve() if source.records.config else path.resolve()
        if place not in seen:
            seen.add(place)
            sources.append(source)
    return sources


def _read(path: Path) -> Source:
    if path.is_dir():
        if not any((path / name).exists() for name in (CONFIG, RESULTS)):
            raise UserError(f"{path} is no workdir: it holds neither {CONFIG} nor {RESULTS}")
        read_results(path / RESULTS)  # a damaged one is an error here, not a line on the page
        return Source(path, load(path), is_workdir=True)
    if not path.exists():
        raise UserError(f"there is no {path}; give workdirs, results.csv files or a command")
    rows = read_results(path)
    if not rows:
        raise UserError(f"{path} holds no run yet")
    if path.name == RESULTS and (path.parent / CONFIG).exists():
        return Source(path, load(path.parent), is_workdir=False)
    return Source(path, Records(str(path), tuple(rows)), is_workdir=False)


def join(sources: Sequence[Source]) -> Joined:
    """The runs of all sources as one set of records.

    A run that stands in several sources counts once: the one with the most numbers. Where there
    are several sources, runs are named by theirs, since two may use one name for different runs.
    """
    named = [_named(source, several=len(sources) > 1) for source in sources]
    chosen, again, apart = _once(named)
    records = Records(
        name=", ".join(str(source.path) for source in sources),
        rows=tuple(row for row in _rows(named) if row.run in chosen),
        pruned=_merged([each.pruned for each in named]),
        measures=_merged([each.measures for each in named]),
        notes=_merged([each.notes for each in named]),
        problems=tuple(line for each in named for line in each.problems),
    )
    told = _told(again, apart)
    unknown = map(_unknown_length, sources)
    return Joined(records, tuple(line for line in (told, *unknown) if line))


def _told(again: int, apart: int) -> str:
    if not again:
        return ""
    told = f"{again} rows are of runs that stand in another file too: each run counts once"
    return f"{told}; the numbers of {apart} differ" if apart else told


def _named(source: Source, *, several: bool) -> Records:
    """The records with the scale in every row, and the source in every run's name."""
    records = source.records

    def name(run: str) -> str:
        return f"{source.path}:{run}" if several else run

    def renamed(found: Mapping[str, _Value]) -> dict[str, _Value]:
        return {name(run): value for run, value in found.items()}

    rows = []
    for row in dict.fromkeys(records.rows):  # a line that was copied counts once
        known = records.config is None or not math.isnan(row.scale)
        scale = row.scale if known else records.scale
        rows.append(dataclasses.replace(row, run=name(row.run), scale=scale))
    return dataclasses.replace(
        records,
        rows=tuple(rows),
        pruned=renamed(records.pruned),
        measures=renamed(records.measures),
        notes=renamed(records.notes),
    )


def _once(named: Sequence[Records]) -> tuple[set[str], int, int]:
    """Names of the runs that count; how many rows do not, and how many of them differ."""
    places: dict[tuple[object, ...], dict[int, list[RunResult]]] = {}
    for index, records in enumerate(named):
        for row in records.rows:
            places.setdefault(_identity(row), {}).setdefault(index, []).append(row)
    chosen, again, apart = set(), 0, 0
    for by_source in places.values():
        best = max(by_source, key=lambda index: _worth(named[index], by_source[index]))
        chosen |= {row.run for row in by_source[best]}
        for index, rows in by_source.items():
            if index != best:
                again += len(rows)
                apart += sum(_numbers(row) != _numbers(by_source[best][0]) for row in rows)
    return chosen, again, apart


def _identity(row: RunResult) -> tuple[object, ...]:
    """Two rows with the same identity are of the same run, whatever it is called."""
    steps = row.steps if row.status == "finished" else 0
    return (row.dataset, *match_key(row)[1:], row.seed, row.status, steps)


def _worth(records: Records, rows: Sequence[RunResult]) -> tuple[object, ...]:
    """What decides between copies, whatever the order of the files."""
    texts = [encode_row(row) | {"run": ""} for row in rows]
    known = sum(bool(cell) for cells in texts for cell in cells.values())
    measured = sum(row.run in records.measures for row in rows)
    return measured, known, [sorted(cells.items()) for cells in texts]


def _numbers(row: RunResult) -> tuple[object, ...]:
    cells = encode_row(row)
    return tuple(cells[name] for name in ("test_error", "sparsity_gamma", "train_loss"))


def _rows(named: Sequence[Records]) -> list[RunResult]:
    return [row for records in named for row in records.rows]


def _merged(found: Sequence[Mapping[str, _Value]]) -> dict[str, _Value]:
    return {run: value for each in found for run, value in each.items()}


def _unknown_length(source: Source) -> str:
    """A line where nothing tells whether runs of data that the paper does not have are short."""
    records = source.records
    unknown = sum(
        math.isnan(row.scale) and not full_steps(row.dataset, row.network) for row in records.rows
    )
    if not unknown or records.config:
        return ""
    return (
        f"{source.path}: nothing tells whether {unknown} runs were shortened; give the workdir "
        f"with its {CONFIG}. They are taken to be whole"
    )


def as_json(records: Records) -> str:
    """The claims and the comparison as JSON: {"claims": [...], "compare": [...]}."""
    checked = [dataclasses.asdict(each) for each in claims.check_records(records)]
    compared = compare.lines(compare.compare(records.rows, scale=records.scale))
    content = plain({"claims": checked, "compare": compared})
    return json.dumps(content, indent=1, ensure_ascii=False) + "\n"


def write(folder: Path, records: Records) -> None:
    """Write claims.json, compare.csv and tables/ of the records into a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    checked = claims.check_records(records)
    write_atomically(folder / "claims.json", claims.encode(checked).encode())
    compared = compare.compare(records.rows, scale=records.scale)
    write_atomically(folder / "compare.csv", compare.encode(compared).encode())
    write_tables(folder / "tables", records)
