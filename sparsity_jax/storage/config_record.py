"""Config record: what was asked for and what computed it, kept in `config.json`."""

from __future__ import annotations

import dataclasses
import importlib.metadata
import json
import platform
import subprocess
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax

from sparsity_jax import __version__
from sparsity_jax.distributed.cores import core_count
from sparsity_jax.errors import UserError
from sparsity_jax.storage.io import plain, read_object, signed, verified, write_json

FORMAT = 1  # of the workdir; raise it when an older version could misread a newer one's
_PACKAGES = ("jax", "jaxlib", "flax", "optax", "orbax-checkpoint", "numpy")


@dataclasses.dataclass(frozen=True)
class ConfigRecord:
    """Content of `config.json`: what was asked for, and with what it was computed.

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


def write_record(workdir: Path, record: ConfigRecord) -> None:
    """Write config.json, with the format's number and a digest of everything in it."""
    content = {"format": FORMAT, **plain(dataclasses.asdict(record))}
    write_json(workdir / "config.json", signed(content))


def read_record(workdir: Path) -> Mapping[str, Any]:
    """Read and verify the content of config.json.

    Raises:
      UserError: it is damaged, or a newer version wrote it.
    """
    path = workdir / "config.json"
    try:
        content = verified(json.loads(path.read_text()))
    except (ValueError, RecursionError):
        raise UserError(
            f"{path} is damaged; restore it, or delete it and give the same command: finished "
            "runs and checkpoints carry their own records"
        ) from None
    if content.get("format") != FORMAT:
        version = content.get("versions", {}).get("sparsity_jax", "?")
        raise UserError(
            f"{workdir} was written by another version (sparsity_jax {version}, format "
            f"{content.get('format')}; this one knows {FORMAT}); update, or give another --workdir"
        )
    return content


def read_config(path: Path) -> ConfigRecord:
    """Read `config.json` without verifying it, for a reader who wants what there is.

    Raises:
      UserError: it is not a JSON object; names the file.
    """
    raw = read_object(path)
    return ConfigRecord(
        config=raw.get("config") or {},
        runs=tuple(raw.get("runs") or ()),
        versions=raw.get("versions") or {},
        devices=tuple(str(device) for device in raw.get("devices") or ()),
        commit=raw.get("commit"),
        command=raw.get("command") or "",
    )


def made_with(config: Mapping[str, Any], runs: tuple[str, ...], command: str) -> ConfigRecord:
    """Make the record that config.json keeps.

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


def machine_text() -> str:
    """Describe the machine: devices, cores that this process may use, processor, system.

    Example:
      >>> machine_text()  # doctest: +SKIP
      '2 × NVIDIA H100 80GB HBM3, 16 cores, x86_64, Linux'
    """
    kinds = Counter(device.device_kind for device in jax.local_devices())
    devices = [kind if n == 1 or kind == "cpu" else f"{n} × {kind}" for kind, n in kinds.items()]
    count = core_count()
    cores = "1 core" if count == 1 else f"{count} cores"
    parts = [*devices, cores, _processor(), platform.machine(), platform.system()]
    return ", ".join(part for part in parts if part)


def _processor() -> str:
    """The processor's name where Linux tells it."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return ""
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return " ".join(names[0].split()) if names else ""


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
