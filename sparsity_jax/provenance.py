"""With what is a workdir made: which versions, devices, commit of the code, and command?"""

from __future__ import annotations

import importlib.metadata
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax

from sparsity_jax import __version__
from sparsity_jax.storage.artifacts import ConfigRecord

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
