"""Commands of single runs: each trains its run, and fewer others than the grid's command."""

from __future__ import annotations

import dataclasses
import json
import shlex
from pathlib import Path

import pytest

from sparsity_jax.config.base import LATER_FIELDS
from sparsity_jax.config.command_line import load_config, override
from sparsity_jax.config.commands import run_commands
from sparsity_jax.config.sweep import expand

CONFIGS = Path(__file__).parent.parent.parent / "configs"


@pytest.mark.parametrize("name", ["quickstart", "table2", "table6", "figure3", "cifar10"])
def test_a_command_trains_its_run_and_few_others(name):
    source = str(CONFIGS / f"{name}.py")
    grid = load_config(source)
    command = f"python -m sparsity_jax.main --config={source} --workdir=a --share 1/2 --overwrite"
    stored = json.loads(json.dumps(grid.to_dict()))
    commands = run_commands(command, stored)
    runs = expand(grid)
    assert list(commands) == [run.name for run in runs]
    for run in runs:
        words = shlex.split(commands[run.name])
        assert words[:4] == ["python", "-m", "sparsity_jax.main", f"--config={source}"]
        flags = dict(word.removeprefix("--").split("=", 1) for word in words[4:])
        assert flags.pop("workdir") == f"runs/{run.name}"
        again = load_config(source)
        override(again, {key.removeprefix("config."): text for key, text in flags.items()})
        alone = [dataclasses.replace(each, labels=()) for each in expand(again)]
        assert alone[-1] == dataclasses.replace(run, labels=())
        assert [each.seed for each in alone] == list(range(run.seed + 1))


def test_without_a_command_or_a_readable_config_there_is_none():
    stored = load_config(str(CONFIGS / "quickstart.py")).to_dict()
    assert len(run_commands("x --config=y", stored)) == 4
    older = {name: value for name, value in stored.items() if name not in LATER_FIELDS}
    assert run_commands("x --config=y", older) == run_commands("x --config=y", stored)
    assert run_commands("", stored) == {}
    assert run_commands("x --config=y", {"name": "old"}) == {}
    assert run_commands("x --config=y", {**stored, "no_such_field": 1}) == {}
