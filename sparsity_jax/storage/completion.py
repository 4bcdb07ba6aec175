"""Run records: which runs are finished, with a digest of every file that they left.

A run is finished once its folder holds `finished.json`, which is written last: the run's row, its
lines of history.jsonl, and a digest of every other file of the folder. results.csv and
history.jsonl are views of these records: they can be written again at any time, so neither a crash
nor an accident loses them, and a changed cell is noticed.
"""

from __future__ import annotations

import dataclasses
import json
import shutil
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from sparsity_jax.config.base import LATER_FIELDS
from sparsity_jax.config.run_config import RunConfig
from sparsity_jax.storage.io import (
    file_digest,
    json_digest,
    signed,
    verified,
    write_atomically,
    write_json,
)
from sparsity_jax.storage.results import RunResult, decode_row, encode_results, encode_row

NAME = "finished.json"
_NOT_COVERED = {"checkpoints", "damaged", NAME}
_MALFORMED = (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError)


@dataclasses.dataclass(frozen=True)
class RunRecord:
    """A finished run.

    Attributes:
      result: its row of results.csv.
      lines: of history.jsonl.
      notes: what a reader should be told.
      machine: that finished it; '' in older files.
    """

    result: RunResult
    lines: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    machine: str = ""


def settings_digest(config: RunConfig) -> str:
    """Digest of everything that a run was asked for."""
    settings = dataclasses.asdict(config)
    return json_digest(
        {
            name: value
            for name, value in settings.items()
            if name not in LATER_FIELDS or value != LATER_FIELDS[name]
        }
    )


def remove_leftovers(folder: Path) -> None:
    """Remove what a process that was killed left half written in a run's folder.

    A record would cover it, and sizes of files count it, as if it were a result.
    """
    for path in sorted(folder.rglob(".*")):
        if path.parts[len(folder.parts)] in _NOT_COVERED:
            continue  # Orbax removes its own
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)


def write_run_record(folder: Path, record: RunRecord, *, of: str) -> None:
    """Declare a run finished, after all its other files were written.

    Args:
      folder: the run's.
      record: what to keep.
      of: the digest of the run's settings; `read_run_record` must be given the same.
    """
    content = {
        "of": of,
        "row": encode_row(record.result),
        "lines": list(record.lines),
        "notes": list(record.notes),
        "machine": record.machine,
        "files": {name: file_digest(folder / name) for name in _files(folder)},
    }
    write_json(folder / NAME, signed(content), indent=1)


def read_run_record(folder: Path, *, of: str) -> RunRecord | None:
    """Read a run's record if it is finished and every file is what was written, else None.

    What is damaged is named on stderr: the run's end is then computed again from its checkpoint.
    """
    record, problem = verify_run(folder, of=of)
    if problem:
        print(f"warning: {problem}; it is made again", file=sys.stderr)
    return record


def verify_run(folder: Path, *, of: str | None = None) -> tuple[RunRecord | None, str]:
    """Read a run's record and verify every file that it covers, once.

    Args:
      folder: the run's.
      of: the digest of the settings that it should have, where they are known.

    Returns:
      (record, '') of a sound run; (None, what is wrong with it) of one that calls itself finished
      and is damaged; (None, '') of one that is not finished.
    """
    path = folder / NAME
    if not path.exists():
        return None, ""
    try:
        content = verified(json.loads(path.read_text()))
        if of not in (None, content["of"]):
            return None, f"{path} belongs to a run with other settings"
        for name, digest in content["files"].items():
            if not (folder / name).is_file() or file_digest(folder / name) != digest:
                return None, f"{folder / name} is missing or not what was written"
        row, lines, notes = decode_row(content["row"]), content["lines"], content["notes"]
        machine = content.get("machine", "")
        return RunRecord(row, tuple(lines), tuple(notes), machine), ""
    except _MALFORMED as error:
        return None, f"{path} is damaged ({str(error)[:200]})"


def views(records: Sequence[RunRecord]) -> Mapping[str, bytes]:
    """The content of results.csv and of history.jsonl that these finished runs make."""
    lines = "".join(f"{line}\n" for record in records for line in record.lines)
    return {
        "results.csv": encode_results([record.result for record in records]).encode(),
        "history.jsonl": lines.encode(),
    }


def stale_views(workdir: Path, records: Sequence[RunRecord]) -> list[str]:
    """The views whose files are not what these records make."""
    return [name for name, content in views(records).items() if _content(workdir / name) != content]


def write_views(workdir: Path, records: Sequence[RunRecord]) -> None:
    """Bring results.csv and history.jsonl into line with the finished runs."""
    contents = views(records)
    for name in stale_views(workdir, records):
        write_atomically(workdir / name, contents[name])


def _files(folder: Path) -> list[str]:
    """The run's files that its record covers, relative to its folder."""
    inside = [path.relative_to(folder) for path in folder.rglob("*") if path.is_file()]
    return sorted(
        path.as_posix()
        for path in inside
        if path.parts[0] not in _NOT_COVERED and not path.name.endswith(".tmp")
    )


def _content(path: Path) -> bytes | None:
    return path.read_bytes() if path.is_file() else None
