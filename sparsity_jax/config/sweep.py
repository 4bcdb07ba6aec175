"""The runs that a config stands for: its sweep (or its base alone) times its seeds."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from typing import Any

from ml_collections import ConfigDict

from sparsity_jax.config import naming
from sparsity_jax.config.base import all_fields
from sparsity_jax.config.checks import (
    check_names,
    check_together,
    check_values,
    flat_config,
    flattened,
)
from sparsity_jax.config.fields import fields_of, unknown_field
from sparsity_jax.config.run_config import RunConfig
from sparsity_jax.config.types import settled, shown
from sparsity_jax.errors import UserError


def expand(config: ConfigDict) -> tuple[RunConfig, ...]:
    """The runs of a config: its sweep (or its base alone) times its seeds, in order, each once.

    Raises:
      UserError: an unknown field, or a value that cannot be trained with; valid ones are named.

    Example:
      >>> from sparsity_jax.config import default_config
      >>> config = default_config()
      >>> config.sweep = ({'optimizer': 'adam'}, {'optimizer': 'sgd', 'strength': 1e-3})
      >>> [run.name for run in expand(config)]
      ['adam_l2_1e-04_b40_bg=clean_seed0', 'sgd_l2_1e-03_b40_bg=clean_seed0']
    """
    base = flat_config(config)
    check_names(base)
    check_values(base)  # a typing error on the command line, which a sweep might hide
    runs = [
        _resolve_run(member, seed) for member in _members(base) for seed in range(member["seeds"])
    ]
    return _told_apart(tuple(dict.fromkeys(runs)))


def sweepable() -> list[str]:
    """The fields that an entry of a sweep may have: those of a run, and `seeds`."""
    return [*fields_of(RunConfig), "seeds"]


def _told_apart(runs: tuple[RunConfig, ...]) -> tuple[RunConfig, ...]:
    """The runs, with labels where two would have one name: such as data=cifar10."""
    settings = [dataclasses.asdict(run) | {"renderings": dict(run.renderings)} for run in runs]
    found = naming.labels([run.name for run in runs], settings)
    runs = tuple(
        dataclasses.replace(run, labels=labels) for run, labels in zip(runs, found, strict=True)
    )
    if len({run.name for run in runs}) < len(runs):
        raise UserError("config.sweep holds runs whose names cannot be told apart; split it in two")
    return runs


def _members(base: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """The base with each entry of the sweep applied, checked."""
    valid = set(sweepable())
    for entry in base["sweep"] or ({},):
        overrides = flattened(entry)
        for name in sorted(set(overrides) - valid, key=str):
            where = f"config.sweep entry {shown(dict(entry))}: "
            if name in all_fields():
                raise UserError(f"{where}{name} is the same for all runs; set config.{name}")
            raise unknown_field(name, sweepable(), where=where)
        member = {**base, **overrides}
        check_values(member)
        check_together(member)
        yield member


def _resolve_run(member: Mapping[str, Any], seed: int) -> RunConfig:
    """One member of the grid as a `RunConfig`."""
    values: dict[str, Any] = {}
    renderings: dict[str, Any] = {}
    for name, field in fields_of(RunConfig).items():
        value = member[name]
        if value is None and field.setting.unset is not None:
            value = field.setting.unset(member)
        place, key = (renderings, name.partition(".")[2]) if "." in name else (values, name)
        place[key] = settled(value, field.hint)
    if member["regularizer"] == "none":
        values["strength"] = 0.0
    built_in = tuple(sorted(renderings.items())) if member["data"] == "renderings" else ()
    return RunConfig(**values, renderings=built_in, seed=seed)
