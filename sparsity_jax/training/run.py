"""Run: a run's config made concrete on its data."""

from __future__ import annotations

import dataclasses
import math
from pathlib import Path

from sparsity_jax.config.run_config import RunConfig
from sparsity_jax.data import Dataset, Stream
from sparsity_jax.data.augment import check_pad, seen_shape
from sparsity_jax.distributed.shards import WHOLE, Shard
from sparsity_jax.errors import UserError
from sparsity_jax.models import make_plan
from sparsity_jax.storage.completion import settings_digest
from sparsity_jax.storage.history import history_name
from sparsity_jax.storage.io import json_digest
from sparsity_jax.training import (
    DeviceDataset,
    Hparams,
    ProgramConfig,
    StreamingDataset,
    make_hparams,
    make_program_config,
)

LEAST_EVALUATIONS = 10  # of a run that is shorter than as many epochs


@dataclasses.dataclass(frozen=True)
class Run:
    """One run made concrete on its data: what program, which numbers, how long, kept where."""

    config: RunConfig
    dataset_name: str
    program: ProgramConfig
    hparams: Hparams
    data: DeviceDataset | StreamingDataset
    steps: int
    workdir: Path
    shard: Shard = WHOLE

    @property
    def history(self) -> Path:
        """The file to which its evaluations are written live; each shard has one of its own."""
        return self.workdir / history_name(self.shard)

    @property
    def folder(self) -> Path:
        """The folder in which the run keeps its files."""
        return self.workdir / "runs" / self.config.name

    @property
    def evaluation_steps(self) -> list[int]:
        """The steps at which the run is evaluated; the last is its end."""
        epochs = math.ceil(self.config.epochs * self.config.scale)
        count = min(self.config.evaluations or max(LEAST_EVALUATIONS, epochs), self.steps)
        return [round(self.steps * place / count) for place in range(1, count + 1)]

    @property
    def identity(self) -> str:
        """Digest of its settings and its very data; a checkpoint of another identity is refused."""
        return json_digest([settings_digest(self.config), *self.data_fingerprint])

    @property
    def data_fingerprint(self) -> tuple[str, ...]:
        """Digests of its data."""
        return self.data.fingerprint


def make_run(
    config: RunConfig,
    dataset: Dataset | Stream,
    data: DeviceDataset | StreamingDataset,
    workdir: Path,
) -> Run:
    """Fit a run to its data.

    Args:
      config: what to train.
      dataset: the data set, for its name, sizes and classes.
      data: the same, as training reads it.
      workdir: where the run's folder is.

    Raises:
      UserError: a batch larger than the training set, or images too small for the network.
    """
    size = dataset.train_size
    for field in ("batch_size", "reference_batch"):
        if getattr(config, field) > size:
            raise UserError(
                f"config.{field}={getattr(config, field)} is larger than the {size} training "
                f"images of {dataset.name}; give at most {size}"
            )
    if config.augment == "pad_crop":
        check_pad(config.pad, dataset.image_shape[:2])
    plan = make_plan(
        config.network,
        classes=dataset.classes,
        input_shape=seen_shape(config.augment, dataset.image_shape),
        width=config.width,
        pool_after=config.pool_after,
        pool=config.pool,
        stride_2=config.stride_2,
        negative_slope=config.negative_slope,
    )
    return Run(
        config=config,
        dataset_name=dataset.name,
        program=make_program_config(config, plan, size),
        hparams=make_hparams(config),
        data=data,
        steps=config.steps(size),
        workdir=workdir,
    )
