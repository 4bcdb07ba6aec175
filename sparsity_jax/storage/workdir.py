"""May this workdir be used for this config: is it new, unfinished, finished, or another's?"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sparsity_jax.errors import UserError
from sparsity_jax.storage.artifacts import plain, read_config

OURS = ("config.json", "results.csv", "history.jsonl", "runs", "figures", "report.html")


def check(workdir: Path, config: Mapping[str, Any], *, overwrite: bool = False) -> None:
    """Refuse a workdir that holds another config's results, or that cannot be written to.

    Raises:
      UserError: the fields that differ, or why nothing can be written; nothing has changed.
    """
    _check_writable(workdir)
    record = workdir / "config.json"
    if overwrite or not record.exists():
        return
    there, wanted = read_config(record).config, plain(config)
    differing = sorted(
        field for field in {*there, *wanted} if there.get(field) != wanted.get(field)
    )
    if differing:
        changes = "; ".join(
            f"{field}: {there.get(field)!r} there, {wanted.get(field)!r} now" for field in differing
        )
        raise UserError(
            f"{workdir} holds the results of another config ({changes}); give another --workdir, "
            "or --overwrite to start anew"
        )


def clear(workdir: Path) -> None:
    """Remove what an experiment writes into a workdir, and nothing else."""
    for name in OURS:
        path = workdir / name
        if path.is_dir():
            shutil.rmtree(path)
        else:
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
