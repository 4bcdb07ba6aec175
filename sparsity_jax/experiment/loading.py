"""Loading: the runs of a config made concrete on their data."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sparsity_jax import data
from sparsity_jax.config.run_config import RunConfig
from sparsity_jax.data import Dataset, Stream
from sparsity_jax.storage.workdir import Workdir
from sparsity_jax.training import DeviceDataset, StreamingDataset
from sparsity_jax.training.run import Run, make_run

Loaded = tuple[Dataset | Stream, DeviceDataset | StreamingDataset]


def load_runs(config: Mapping[str, Any], workdir: Workdir) -> list[Run]:
    """Load every data set that the runs of a workdir name, once, and fit the runs to them.

    Args:
      config: resolved; says where data are, and how much of the device they may take.
      workdir: whose runs.

    Returns:
      The runs, in the order of the config.

    Raises:
      UserError: data that are missing or do not fit a run.
    """
    sets = {key: _load(key, config) for key in dict.fromkeys(map(_data_key, workdir.runs))}
    made = (make_run(run, *sets[_data_key(run)], workdir.path) for run in workdir.runs)
    return [dataclasses.replace(run, shard=workdir.shard) for run in made]


def _data_key(config: RunConfig) -> tuple[str, tuple[tuple[str, Any], ...]]:
    return config.data, config.renderings


def _load(key: tuple[str, tuple[tuple[str, Any], ...]], config: Mapping[str, Any]) -> Loaded:
    """A data set by name and rendering settings, as it is stored and as training reads it."""
    name, renderings = key
    source = data.open_source(
        name,
        data_dir=Path(config["data_dir"]) if config["data_dir"] else None,
        renderings=dict(renderings),
        device_bytes=config["device_bytes"],
    )
    streams = isinstance(source, Stream)
    return source, StreamingDataset(source) if streams else DeviceDataset.of(source)
