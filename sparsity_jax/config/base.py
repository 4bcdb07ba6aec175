"""Everything that can be set: one typed dataclass, and the ConfigDict made from it.

A config is one base run plus a grid: `config.sweep` is a tuple of dicts, each overriding fields of
the base (dotted names reach into `renderings`), and `config.seeds` repeats every one of them. To
add a field, add it to `RunConfig` (it tells runs apart) or to `ExperimentConfig` (all runs share
it, and their results do not depend on it); flags, checks, help and names follow.
"""

from __future__ import annotations

import dataclasses
import types
import typing
from collections.abc import Mapping
from typing import Any

from ml_collections import ConfigDict, config_dict

from sparsity_jax.config.fields import Field, at_least, fields_of, setting
from sparsity_jax.config.run_config import RunConfig
from sparsity_jax.data.stream import DEVICE_BYTES

MOST_SEEDS = 1_000
# Fields that came when workdirs had been written without them, with the values that leave a run
# what it was: such workdirs go on, and their finished runs stay finished.
LATER_FIELDS: Mapping[str, Any] = {"dropout": 0.0}


@dataclasses.dataclass(frozen=True)
class ExperimentConfig(RunConfig):
    """The base run of an experiment, its grid, and what all of its runs share."""

    name: str = setting("run", "names the default workdir, runs/<name>")
    seeds: int = setting(
        1,
        "repeat every run with seeds 0 ... seeds - 1; an entry of sweep may have its own",
        check=at_least(1, MOST_SEEDS),
    )
    sweep: tuple[Mapping[str, Any], ...] = setting((), "dicts of fields that differ, one a run")
    data_dir: str | None = setting(None, "prepared data; None: ~/.cache/sparsity_jax")
    device_bytes: int = setting(
        DEVICE_BYTES,
        "sets with more bytes of training pixels stream; same results",
        check=at_least(0),
    )
    members: int = setting(
        0, "runs in one program at most; 0: as many as is fast and fits", check=at_least(0)
    )
    member_map: str | None = setting(
        None,
        "how they share it; None: the fastest here",
        choices=("unroll", "vmap", "map", "hybrid"),
    )
    split: str = setting(
        "members",
        "what devices divide: members of a group, or the batch of each run",
        choices=("members", "batch"),
    )
    device_map: str = setting(
        "shard_map", "how members go to devices; the same bits", choices=("shard_map", "pmap")
    )
    checkpoint_seconds: float | None = setting(
        None,
        "between checkpoints; a kill loses no more than that; None: 60 on a CPU, 300 elsewhere",
        check=at_least(0),
    )
    deterministic: bool = setting(False, "on GPUs, only kernels that repeat bit for bit; slower")
    graphs: bool = setting(
        True, "on GPUs, a call of many steps is one graph; same results, fewer launches"
    )
    store: str | None = setting(None, "folder of finished runs that grids share")
    tracker: str | None = setting(
        None, "where evaluations are sent while training", choices=("tensorboard", "wandb")
    )


def all_fields() -> Mapping[str, Field]:
    """Every field of a config by its name, dotted for those of `renderings`.

    Example:
      >>> all_fields()["renderings.size"].default, all_fields()["strength"].hint
      (32, <class 'float'>)
    """
    return fields_of(ExperimentConfig)


def default_config() -> ConfigDict:
    """The paper's default run (Sec. 2.1 and 5): BasicNet, Adam, L2 1e-4, batch 40, 325 epochs.

    Returns:
      A locked ConfigDict; `python -m sparsity_jax.main --help` describes every field.

    Example:
      >>> default_config().strength, default_config().renderings.background
      (0.0001, 'clean')
    """
    values: dict[str, Any] = {}
    for name, field in all_fields().items():
        parent, _, inner = name.rpartition(".")
        place = values.setdefault(parent, {}) if parent else values
        unset = field.default is None
        place[inner] = config_dict.placeholder(_not_none(field.hint)) if unset else field.default
    return ConfigDict(values).lock()


def _not_none(hint: Any) -> type:
    return next(one for one in typing.get_args(hint) if one is not types.NoneType)
