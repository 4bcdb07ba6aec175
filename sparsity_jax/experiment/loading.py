"""Loading: the runs of a config made concrete on their data."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from sparsity_jax import data
from sparsity_jax.config.run_config import RunConfig
from sparsity_jax.data import Dataset, Stream
from sparsity_jax.storage.data_record import DataRecord, write_data_record
from sparsity_jax.storage.workdir import Workdir
from sparsity_jax.training import DeviceDataset, StreamingDataset
from sparsity_jax.training.run import Run, make_run

Loaded = tuple[Dataset | Stream, DeviceDataset | StreamingDataset]


def load_runs(
    config: Mapping[str, Any], workdir: Workdir
) -> tuple[list[Run], list[Dataset | Stream]]:
    """Load every data set that the runs of a workdir name, once, and fit the runs to them.

    Args:
      config: resolved; says where data are, and how much of the device they may take.
      workdir: whose runs.

    Returns:
      The runs, in the order of the config, and the data sets that they name.

    Raises:
      UserError: data that are missing or do not fit a run.
    """
    sets = {key: _load(key, config) for key in dict.fromkeys(map(_data_key, workdir.runs))}
    made = [make_run(run, *sets[_data_key(run)], workdir.path) for run in workdir.runs]
    runs = [dataclasses.replace(run, shard=workdir.shard) for run in made]
    return runs, [source for source, _ in sets.values()]


def describe_data(sources: Sequence[Dataset | Stream], workdir: Workdir) -> None:
    """Keep beside the results what they were trained on, and a picture of some of it."""
    from sparsity_jax.data.contact_sheet import preview  # matplotlib takes a while to import

    for source in sources if workdir.is_primary else ():
        record = DataRecord(
            name=source.name,
            variant=source.variant,
            train=source.train_size,
            test=len(source.test_labels if isinstance(source, Dataset) else source.test),
            image_shape=source.image_shape,
            class_names=source.class_names,
        )
        write_data_record(workdir.path, record, preview(source))


class _DataKey(NamedTuple):
    """All that decides which images a run sees."""

    name: str
    renderings: tuple[tuple[str, Any], ...]
    resize: int
    test_fraction: float


def _data_key(config: RunConfig) -> _DataKey:
    return _DataKey(config.data, config.renderings, config.resize, config.test_fraction)


def _load(key: _DataKey, config: Mapping[str, Any]) -> Loaded:
    """A data set as it is stored and as training reads it."""
    source = data.open_source(
        key.name,
        data_dir=Path(config["data_dir"]) if config["data_dir"] else None,
        renderings=dict(key.renderings),
        resize=key.resize,
        test_fraction=key.test_fraction,
        device_bytes=config["device_bytes"],
    )
    streams = isinstance(source, Stream)
    return source, StreamingDataset(source) if streams else DeviceDataset.of(source)
