"""The runs that a config stands for: its sweep (or its base alone) times its seeds."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from typing import Any

from ml_collections import ConfigDict

from sparsity_jax.config import naming
from sparsity_jax.config.base import default_config
from sparsity_jax.config.run_config import RunConfig, default_augment
from sparsity_jax.config.validation import (
    at_least,
    check_names,
    check_numbers,
    check_pruning,
    check_shapes,
)
from sparsity_jax.errors import UserError
from sparsity_jax.optimizers import default_learning_rate

MOST_SEEDS = 1_000


def expand(config: ConfigDict) -> tuple[RunConfig, ...]:
    """The runs of a config: its sweep (or its base alone) times its seeds, in order, each once.

    Raises:
      UserError: an unknown field, or a value that cannot be trained with; valid ones are named.

    Example:
      >>> config = default_config()
      >>> config.sweep = ({'optimizer': 'adam'}, {'optimizer': 'sgd', 'strength': 1e-3})
      >>> [run.name for run in expand(config)]
      ['adam_l2_1e-04_b40_bg=clean_seed0', 'sgd_l2_1e-03_b40_bg=clean_seed0']
    """
    _check_fields(config)
    base = config.to_dict()
    check_shapes(base, default_config().to_dict())
    check_names(base)  # a typing error on the command line, which a sweep might hide
    at_least("seeds", base["seeds"], 1)
    if base["seeds"] > MOST_SEEDS:
        raise UserError(f"config.seeds={base['seeds']} is more than {MOST_SEEDS:,}, the most")
    runs = [
        _resolve_run(member, seed) for member in _members(config) for seed in range(base["seeds"])
    ]
    return _told_apart(tuple(dict.fromkeys(runs)))


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


def _check_fields(config: ConfigDict) -> None:
    known = set(default_config().keys())
    for field in config:
        if field not in known:
            raise UserError(f"config.{field} is not a field; valid are {', '.join(sorted(known))}")
    missing = known - set(config.keys())
    if missing:
        raise UserError(f"config.{min(missing)} is missing; start from settings.default_config()")


def _members(config: ConfigDict) -> Iterable[dict[str, Any]]:
    """The base with each entry of the sweep applied, as plain dicts."""
    for overrides in config.to_dict()["sweep"] or ({},):
        if not isinstance(overrides, Mapping):
            raise UserError(f"config.sweep holds {overrides!r}; it must be a tuple of dicts")
        member = config.copy_and_resolve_references()
        try:
            member.update_from_flattened_dict(dict(overrides))
        except (KeyError, AttributeError, TypeError, ValueError) as error:
            reason = str(error).strip("'\"").splitlines()[0]
            raise UserError(f"config.sweep entry {dict(overrides)}: {reason}") from None
        yield member.to_dict()


def _resolve_run(config: dict[str, Any], seed: int) -> RunConfig:
    """One member of the grid as a checked `RunConfig`."""
    check_shapes(config, default_config().to_dict())
    check_names(config)
    check_numbers(config)
    check_pruning(config)
    none = config["regularizer"] == "none"
    rate = config["learning_rate"]
    fields: dict[str, Any] = {f.name: config.get(f.name) for f in dataclasses.fields(RunConfig)}
    fields |= {
        "renderings": tuple(sorted(config["renderings"].items()))
        if config["data"] == "renderings"
        else (),
        "width": str(config["width"]),
        "pool_after": tuple(config["pool_after"]),
        "stride_2": tuple(config["stride_2"]),
        "prune_layers": tuple(config["prune_layers"]),
        "learning_rate": default_learning_rate(config["optimizer"]) if rate is None else rate,
        "augment": config["augment"] or default_augment(config["data"]),
        "strength": 0.0 if none else float(config["strength"]),
        "epochs": float(config["epochs"]),
        "drops": tuple((float(at), float(multiplier)) for at, multiplier in config["drops"]),
        "seed": seed,
        "labels": (),
    }
    return RunConfig(**fields)
