"""Configs from files, and their fields from the command line."""

from pathlib import Path

import pytest

from sparsity_jax.config import default_config
from sparsity_jax.config.command_line import load_config, override
from sparsity_jax.config.sweep import expand
from sparsity_jax.errors import UserError


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("strength", "1e-3", 1e-3),
        ("strength", "1", 1.0),
        ("width", "0.25", "0.25"),
        ("learning_rate", "None", None),
        ("learning_rate", "0.5", 0.5),
        ("store", "None", None),
        ("store", "a folder", "a folder"),
        ("seeds", "3", 3),
        ("pool_after", "1,3", (1, 3)),
        ("pool_after", "[1, 3]", (1, 3)),
        ("pool_after", "2", (2,)),
        ("prune_layers", "C1", ("C1",)),
        ("prune_layers", "('C1', 'C2')", ("C1", "C2")),
        ("drops", "((250, 0.1),)", ((250.0, 0.1),)),
        ("flip", "False", False),
        ("renderings.size", "16", 16),
        ("sweep", "({'strength': 1e-3},)", ({"strength": 1e-3},)),
    ],
)
def test_texts_become_values_of_the_fields_type(name, text, value):
    config = default_config()
    override(config, {name: text})
    parent, _, inner = name.rpartition(".")
    found = (config[parent] if parent else config)[inner]
    assert found == value
    assert type(found) is type(value)


def test_a_dict_sets_the_fields_that_it_names():
    config = default_config()
    override(config, {"renderings": "{'size': 16, 'classes': 3}"})
    assert (config.renderings.size, config.renderings.classes) == (16, 3)
    assert config.renderings.train_views == default_config().renderings.train_views


def test_seeds_of_the_command_line_count_for_every_entry_of_the_sweep():
    config = default_config()
    config.sweep = ({"strength": 1e-3, "seeds": 3}, {"strength": 1e-4})
    assert [(run.strength, run.seed) for run in expand(config)] == [
        *((1e-3, seed) for seed in range(3)),
        (1e-4, 0),
    ]
    override(config, {"seeds": "2"})
    assert [run.seed for run in expand(config)] == [0, 1, 0, 1]


def test_a_config_that_lacks_a_field_says_where_to_start():
    config = default_config()
    with config.unlocked():
        del config["strength"]
    with pytest.raises(UserError, match=r"config.strength is missing.*default_config"):
        override(config, {})


def test_a_file_is_run_with_what_follows_the_colon(tmp_path: Path):
    path = tmp_path / "mine.py"
    path.write_text(
        "from __future__ import annotations\n"
        "import dataclasses\n"
        "from sparsity_jax.config import default_config\n"
        "@dataclasses.dataclass\n"
        "class Mine:\n"
        "    strength: float = 0.5\n"
        "def get_config(arg='usual'):\n"
        "    config = default_config()\n"
        "    config.name, config.strength = arg, Mine().strength\n"
        "    return config\n"
    )
    assert load_config(str(path)).name == "usual"
    config = load_config(f"{path}:other")
    assert (config.name, config.strength, config.is_locked) == ("other", 0.5, True)
