"""May this workdir be used for this config: is it new, unfinished, finished, or another's?"""

from __future__ import annotations

import dataclasses
import importlib.metadata
import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import jax

from sparsity_jax import __version__
from sparsity_jax.errors import UserError
from sparsity_jax.storage.completion import RunRecord, stale_views
from sparsity_jax.storage.io import _read_json, json_digest, plain, write_atomically

FORMAT = 1  # of the workdir; raise it when an older version could misread a newer one's
OURS = (
    "config.json",
    "results.csv",
    "history.jsonl",
    "runs",
    "figures",
    "report.html",
    "compare.csv",
)


def check(workdir: Path, config: Mapping[str, Any], *, overwrite: bool = False) -> None:
    """Refuse a workdir that holds another config's results, or that cannot be written to.

    Raises:
      UserError: the fields that differ, or why nothing can be written; nothing has changed.
    """
    _check_writable(workdir)
    record = workdir / "config.json"
    if overwrite or not record.exists():
        return
    there, wanted = read_record(workdir)["config"], plain(config)
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


def is_whole(workdir: Path, finished: Sequence[RunRecord]) -> bool:
    """Whether a workdir whose runs are all finished needs nothing more; says what it lacks."""
    stale = stale_views(workdir, finished)
    for name in stale:
        print(
            f"warning: {workdir / name} is missing or not what was written; it is made again from "
            "the runs' records",
            file=sys.stderr,
        )
    return not stale and (workdir / "report.html").exists()


def reopen(workdir: Path) -> None:
    """Prepare to go on: a report of an earlier state must not stand beside newer results."""
    (workdir / "report.html").unlink(missing_ok=True)


def clear(workdir: Path) -> None:
    """Remove what an experiment writes into a workdir, and nothing else."""
    for path in (workdir / name for name in OURS):
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
    clear_parts(workdir)


def clear_parts(workdir: Path) -> None:
    """Remove the histories of the shares, once history.jsonl holds what they hold."""
    for path in workdir.glob("history.*-of-*.jsonl"):
        path.unlink(missing_ok=True)


def write_record(workdir: Path, record: ConfigRecord) -> None:
    """Write config.json, with the format's number and a digest of everything in it."""
    content = {"format": FORMAT, **plain(dataclasses.asdict(record))}
    sealed = {"digest": json_digest(content), **content}
    write_atomically(workdir / "config.json", (json.dumps(sealed, indent=2) + "\n").encode())


def read_record(workdir: Path) -> Mapping[str, Any]:
    """The content of config.json.

    Raises:
      UserError: it is damaged, or a newer version wrote it.
    """
    path = workdir / "config.json"
    try:
        content = json.loads(path.read_text())
        sealed = content.pop("digest", None)
        whole = sealed == json_digest(content)
    except (ValueError, AttributeError, TypeError, RecursionError):
        whole = False
    if not whole:
        raise UserError(
            f"{path} is damaged; restore it, or delete it and give the same command: finished "
            "runs and checkpoints carry their own records"
        )
    if content.get("format") != FORMAT:
        version = content.get("versions", {}).get("sparsity_jax", "?")
        raise UserError(
            f"{workdir} was written by another version (sparsity_jax {version}, format "
            f"{content.get('format')}; this one knows {FORMAT}); update, or give another --workdir"
        )
    return content


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


@dataclasses.dataclass(frozen=True)
class ConfigRecord:
    """What was asked for, and with what it was computed: the content of `config.json`.

    Attributes:
      config: the resolved config as nested dictionaries.
      runs: the names of all runs of the grid, in order.
      versions: package name -> version.
      devices: one word or phrase for each device.
      commit: the commit of the code, or None.
      command: the line that starts the same thing again.
    """

    config: Mapping[str, Any]
    runs: tuple[str, ...] = ()
    versions: Mapping[str, str] = dataclasses.field(default_factory=dict)
    devices: tuple[str, ...] = ()
    commit: str | None = None
    command: str = ""


def write_config(path: Path, record: ConfigRecord) -> None:
    """Writes `config.json`; a ConfigDict inside must have been turned into dictionaries before."""
    text = json.dumps(plain(dataclasses.asdict(record)), indent=2) + "\n"
    write_atomically(path, text.encode())


def read_config(path: Path) -> ConfigRecord:
    """Reads `config.json`; raises UserError naming the file when it is not one of ours."""
    raw = _read_json(path)
    return ConfigRecord(
        config=raw.get("config") or {},
        runs=tuple(raw.get("runs") or ()),
        versions=raw.get("versions") or {},
        devices=tuple(str(device) for device in raw.get("devices") or ()),
        commit=raw.get("commit"),
        command=raw.get("command") or "",
    )


_PACKAGES = ("jax", "jaxlib", "flax", "optax", "orbax-checkpoint", "numpy")


def made_with(config: Mapping[str, Any], runs: tuple[str, ...], command: str) -> ConfigRecord:
    """The record that config.json keeps.

    Args:
      config: resolved.
      runs: their names, in the order of the grid.
      command: the line a reader types to run this again.
    """
    return ConfigRecord(
        config=config,
        runs=runs,
        versions={"sparsity_jax": __version__}
        | {name: importlib.metadata.version(name) for name in _PACKAGES},
        devices=tuple(device.device_kind for device in jax.devices()),
        commit=_commit(),
        command=command,
    )


def _commit() -> str | None:
    """The commit of the code, if it runs from a checkout."""
    try:
        found = subprocess.run(
            ("git", "rev-parse", "HEAD"),
            cwd=Path(__file__).parent,
            capture_output=True,
            text=True,
            check=True,
        )
    except (OSError, subprocess.CalledProcessError):
        return None
    return found.stdout.strip()
