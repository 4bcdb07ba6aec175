"""Experiment folder: what an experiment writes there, and whether it may."""

from __future__ import annotations

import shlex
import shutil
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from sparsity_jax.config.base import LATER_FIELDS
from sparsity_jax.errors import UserError
from sparsity_jax.storage import completion
from sparsity_jax.storage.completion import RunRecord
from sparsity_jax.storage.config_record import read_record
from sparsity_jax.storage.io import plain

OURS = (
    "config.json",
    "results.csv",
    "history.jsonl",
    "runs",
    "data",
    "figures",
    "report.html",
    "compare.csv",
    "claims.json",
    "tables",
)

_NO_RESULT = {"checkpoint_seconds", "graphs"}  # fields that may differ when a command goes on


def check(workdir: Path, config: Mapping[str, Any], *, overwrite: bool = False) -> None:
    """Refuse a workdir that holds another config's results, or that cannot be written to.

    Raises:
      UserError: the fields that differ, or why nothing can be written; nothing has changed.
    """
    _check_writable(workdir)
    record = workdir / "config.json"
    if overwrite or not record.exists():
        return
    there = {**LATER_FIELDS, **read_record(workdir)["config"]}
    wanted = {**LATER_FIELDS, **plain(config)}
    differing = sorted(
        field for field in {*there, *wanted} - _NO_RESULT if there.get(field) != wanted.get(field)
    )
    if differing:
        changes = "; ".join(
            f"{field}: {there.get(field)!r} there, {wanted.get(field)!r} now" for field in differing
        )
        raise UserError(
            f"{workdir} holds the results of another config ({changes}); give another --workdir, "
            f"{_as_there(there, wanted, differing)}or --overwrite to start anew"
        )


def _as_there(there: Mapping[str, Any], wanted: Mapping[str, Any], differing: Sequence[str]) -> str:
    """The flags that go on with what is there, where flags can say it: defaults change."""
    values = [there.get(field) if field in wanted else None for field in differing]
    if not all(isinstance(value, str | int | float) for value in values):
        return ""
    pairs = zip(differing, values, strict=True)
    flags = [shlex.quote(f"--config.{field}={value}") for field, value in pairs]
    return f"{' '.join(flags)} to go on with it, "


def is_whole(workdir: Path, finished: Sequence[RunRecord]) -> bool:
    """Whether a workdir whose runs are all finished needs nothing more; says what it lacks."""
    stale = completion.stale_views(workdir, finished)
    for name in stale:
        print(
            f"warning: {workdir / name} is missing or not what was written; it is made again from "
            "the runs' records",
            file=sys.stderr,
        )
    return not stale and (workdir / "report.html").exists()


def clear(workdir: Path) -> None:
    """Remove what an experiment writes into a workdir, and nothing else."""
    for path in (workdir / name for name in OURS):
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
    clear_parts(workdir)


def clear_parts(workdir: Path) -> None:
    """Remove the histories of the shards, once history.jsonl holds what they hold."""
    for path in workdir.glob("history.*-of-*.jsonl"):
        path.unlink(missing_ok=True)


def _check_writable(workdir: Path) -> None:
    """Try it: permission bits do not tell about read-only mounts, nor of the superuser."""
    if workdir.exists() and not workdir.is_dir():
        raise UserError(f"--workdir={workdir} is a file; give a directory")
    there = next(path for path in (workdir, *workdir.absolute().parents) if path.exists())
    try:
        with tempfile.NamedTemporaryFile(dir=there):
            pass
    except OSError as error:
        raise UserError(
            f"--workdir={workdir} cannot be written to ({error.strerror}); give another"
        ) from None
