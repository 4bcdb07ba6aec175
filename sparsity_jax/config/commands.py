"""Commands that train one run of a grid by itself."""

from __future__ import annotations

import dataclasses
import shlex
from collections.abc import Iterator, Mapping
from typing import Any

from ml_collections import ConfigDict

from sparsity_jax.config.base import LATER_FIELDS
from sparsity_jax.config.run_config import RunConfig
from sparsity_jax.config.sweep import expand
from sparsity_jax.errors import UserError

_OF_THE_GRID = ("--workdir", "--overwrite", "--share", "--processes", "--process", "--coordinator")


def run_commands(command: str, config: Mapping[str, Any]) -> dict[str, str]:
    """Write the command of every run of a grid, from the command of the grid.

    A run's command keeps the entry of the sweep that it stems from, and a workdir of its own. A
    run with seed k comes with seeds 0 to k - 1: seeds are counted, not named.

    Args:
      command: that trained the grid; '' if it is not known.
      config: of the grid, resolved, as config.json keeps it.

    Returns:
      Run -> command; nothing for a config that this version cannot read.

    Example:
      >>> run_commands("python -m sparsity_jax.main --config=grid.py", config)  # doctest: +SKIP
      {'sgd_l2_1e-04_b40_bg=clean_seed0': 'python -m sparsity_jax.main --config=grid.py
       --config.sweep={...} --workdir=runs/sgd_l2_1e-04_b40_bg=clean_seed0'}
    """
    if not command:
        return {}
    base, config = list(_kept(shlex.split(command))), {**LATER_FIELDS, **config}
    try:
        entries = {run: entry for entry, run in _stems(config)}
        made = {}
        for run in expand(ConfigDict(dict(config))):
            entry = entries[_alone(run)]
            flags = [f"--config.sweep={_typed(entry)}"] if entry else []
            flags += [f"--config.seeds={run.seed + 1}"] if _seeds(config) else []
            made[run.name] = shlex.join([*base, *flags, f"--workdir=runs/{run.name}"])
    except (UserError, KeyError, TypeError, ValueError, AttributeError):
        return {}  # the page of an older workdir does without
    return made


def _stems(config: Mapping[str, Any]) -> Iterator[tuple[dict[str, Any], RunConfig]]:
    """Every entry of the sweep with each of its runs; the first entry of a run comes last."""
    for entry in reversed(config["sweep"] or ({},)):
        for run in expand(ConfigDict({**config, "sweep": (entry,)})):
            yield {name: value for name, value in entry.items() if name != "seeds"}, _alone(run)


def _typed(entry: Mapping[str, Any]) -> str:
    """An entry of a sweep, in double quotes where it can be: a shell needs single ones around."""
    text = repr(dict(entry))
    return text if '"' in text else text.replace("'", '"')


def _alone(run: RunConfig) -> RunConfig:
    """The run without what tells it from others of its grid."""
    return dataclasses.replace(run, labels=())


def _seeds(config: Mapping[str, Any]) -> bool:
    """Whether any run has a seed other than 0."""
    return config["seeds"] > 1 or any(entry.get("seeds", 1) > 1 for entry in config["sweep"])


def _kept(words: list[str]) -> Iterator[str]:
    """The words of a command without flags that are about the whole grid, and their values."""
    value = False
    for word in words:
        name, equals, _ = word.partition("=")
        if value and not word.startswith("--"):
            value = False
            continue
        value = name in _OF_THE_GRID and not equals and name != "--overwrite"
        if name not in _OF_THE_GRID:
            yield word
