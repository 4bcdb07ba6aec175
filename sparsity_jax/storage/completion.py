"""Which runs are finished, and are their files still what was written?

A run is finished once its folder holds `finished.json`, which is written last: the run's row, its
lines of history.jsonl, and a digest of every other file of the folder. results.csv and
history.jsonl are views of these seals: they can be written again at any time, so neither a crash
nor an accident loses them, and a changed cell is noticed.
"""

from __future__ import annotations

import dataclasses
import json
import shutil
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from sparsity_jax.storage.io import file_digest, json_digest, write_atomically
from sparsity_jax.storage.results import RunResult, decode_row, encode_results, encode_row

NAME = "finished.json"
_NOT_SEALED = {"checkpoints", "damaged", NAME}


@dataclasses.dataclass(frozen=True)
class RunRecord:
    """A finished run: its row, its lines of history.jsonl, and what a reader should be told."""

    result: RunResult
    lines: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def sweep(folder: Path) -> None:
    """Remove what a process that was killed left half written in a run's folder.

    A seal would cover it, and sizes of files count it, as if it were a result.
    """
    for path in sorted(folder.rglob(".*")):
        if path.parts[len(folder.parts)] in _NOT_SEALED:
            continue  # Orbax tidies up for itself
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)


def write_run_record(folder: Path, record: RunRecord, *, of: str) -> None:
    """Declare a run finished, after all its other files were written.

    Args:
      folder: the run's.
      seal: what to keep.
      of: a digest of the run's settings; `read_run_record` must be given the same.
    """
    content = {
        "of": of,
        "row": encode_row(record.result),
        "lines": list(record.lines),
        "notes": list(record.notes),
        "files": {name: file_digest(folder / name) for name in _files(folder)},
    }
    sealed = {"digest": json_digest(content), **content}
    write_atomically(folder / NAME, (json.dumps(sealed, indent=1) + "\n").encode())


def read_run_record(folder: Path, *, of: str) -> RunRecord | None:
    """A run's seal if it is finished and every file is what was written, else None.

    What is damaged is named on stderr: the run's end is then computed again from its checkpoint.
    """
    if not (folder / NAME).exists():
        return None
    wrong = problem(folder, of=of)
    if wrong:
        print(f"warning: {wrong}; it is made again", file=sys.stderr)
        return None
    content = json.loads((folder / NAME).read_text())
    return RunRecord(decode_row(content["row"]), tuple(content["lines"]), tuple(content["notes"]))


def problem(folder: Path, *, of: str | None = None) -> str:
    """What is wrong with a run that calls itself finished; '' if nothing, or not finished.

    Args:
      folder: the run's.
      of: a digest of the settings that it should have, where they are known.
    """
    path = folder / NAME
    if not path.exists():
        return ""
    try:
        content = json.loads(path.read_text())
        sealed = content.pop("digest", None) if isinstance(content, dict) else None
        if sealed is None or sealed != json_digest(content):
            return f"{path} is not what was written"
        if of not in (None, content["of"]):
            return f"{path} belongs to a run with other settings"
        for name, digest in content["files"].items():
            if not (folder / name).is_file() or file_digest(folder / name) != digest:
                return f"{folder / name} is missing or not what was written"
        decode_row(content["row"])
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        return f"{path} is damaged ({str(error)[:200]})"
    return ""


def views(completion: Sequence[RunRecord]) -> Mapping[str, bytes]:
    """The content of results.csv and of history.jsonl that these finished runs make."""
    lines = "".join(f"{line}\n" for record in completion for line in record.lines)
    return {
        "results.csv": encode_results([record.result for record in completion]).encode(),
        "history.jsonl": lines.encode(),
    }


def stale_views(workdir: Path, completion: Sequence[RunRecord]) -> list[str]:
    """The views whose files are not what these seals make."""
    return [
        name for name, content in views(completion).items() if _content(workdir / name) != content
    ]


def write_views(workdir: Path, completion: Sequence[RunRecord]) -> None:
    """Bring results.csv and history.jsonl into line with the finished runs."""
    contents = views(completion)
    for name in stale_views(workdir, completion):
        write_atomically(workdir / name, contents[name])


def _files(folder: Path) -> list[str]:
    """The run's files that a seal covers, relative to its folder."""
    inside = [path.relative_to(folder) for path in folder.rglob("*") if path.is_file()]
    return sorted(
        path.as_posix()
        for path in inside
        if path.parts[0] not in _NOT_SEALED and not path.name.endswith(".tmp")
    )


def _content(path: Path) -> bytes | None:
    return path.read_bytes() if path.is_file() else None
