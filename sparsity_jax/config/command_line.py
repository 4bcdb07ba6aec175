"""Configs on the command line: the file that makes one, the fields set beside it, their table."""

from __future__ import annotations

import importlib.machinery
import importlib.util
import sys
import textwrap
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ml_collections import ConfigDict

from sparsity_jax.config.base import all_fields
from sparsity_jax.config.checks import NESTED, check_names, flat_config, flattened
from sparsity_jax.config.fields import Field, check_value, unknown_field
from sparsity_jax.config.types import fits, parse, settled, shown
from sparsity_jax.errors import UserError

_WIDEST_NAME, _WIDEST_DEFAULT, _WIDEST_LINE = 22, 16, 98


def load_config(source: str) -> ConfigDict:
    """The config that a Python file makes; the file is run.

    Args:
      source: PATH or PATH:ARG, for `get_config()` or `get_config(ARG)` of that file.

    Returns:
      A locked config, which `config.sweep.expand` checks.

    Raises:
      UserError: no such file, one that cannot be run, or no ConfigDict from it.
    """
    path, colon, arg = source.partition(":")
    if not Path(path).is_file():
        there = ", ".join(sorted(each.stem for each in Path("configs").glob("*.py")))
        known = f"; configs/ holds {there}" if there else ""
        raise UserError(f"--config cannot be read: {path!r} is not a file{known}")
    try:
        config = _module(path).get_config(*([arg] if colon else []))
    except UserError:
        raise
    except Exception as error:  # a config file is code, and may raise anything
        said = " ".join(str(error).split())
        raise UserError(f"--config={source}: {type(error).__name__}: {said}") from None
    if not isinstance(config, ConfigDict):
        kind = type(config).__name__
        raise UserError(f"--config={source}: get_config returned {kind}, not a ConfigDict")
    return config.lock()


def override(config: ConfigDict, texts: Mapping[str, str]) -> None:
    """Set fields of a config to values as they are typed on the command line.

    `seeds` counts for every run then: entries of the sweep lose their own.

    Args:
      config: changed in place.
      texts: by the field's name: {'strength': '1e-3', 'renderings.size': '16'}.

    Raises:
      UserError: an unknown field, or a value of another type than its field's.

    Example:
      >>> from sparsity_jax.config import default_config
      >>> config = default_config()
      >>> override(config, {"strength": "1e-3", "renderings.size": "16"})
      >>> config.strength, config.renderings.size
      (0.001, 16)
    """
    check_names(flat_config(config))
    for name, text in _leaves(texts).items():
        field = all_fields().get(name)
        if field is None:
            raise unknown_field(name, all_fields())
        value = parse(text, field.hint) if isinstance(text, str) else text
        check_value(name, field, value)
        with config.ignore_type():  # of a value in the file, which this one replaces
            config.update_from_flattened_dict({name: settled(value, field.hint)})
    sweep: Any = config.sweep
    if "seeds" in texts and fits(sweep, all_fields()["sweep"].hint):
        config.sweep = tuple(
            {name: value for name, value in entry.items() if name != "seeds"} for entry in sweep
        )


def field_table() -> str:
    """A table of all fields: name, default, help and choices, at most 98 columns wide.

    Example:
      >>> next(line for line in field_table().splitlines() if line.startswith("strength"))
      'strength               0.0001           of the regularizer'
    """
    head = _row("field", "default", "what it is")
    return "\n".join([head, *(_row(*_described(*each)) for each in all_fields().items())])


def _module(path: str) -> Any:
    name = f"config_{Path(path).stem}"
    loader = importlib.machinery.SourceFileLoader(name, path)
    spec = importlib.util.spec_from_loader(name, loader)
    assert spec is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses in the file look themselves up there
    loader.exec_module(module)
    return module


def _leaves(texts: Mapping[str, str]) -> dict[str, Any]:
    """The texts, with a dict such as --config.renderings="{'size': 16}" taken apart."""
    leaves: dict[str, Any] = {}
    for name, text in texts.items():
        leaves |= flattened({name: parse(text, dict)}) if name in NESTED else {name: text}
    return leaves


def _described(name: str, field: Field) -> tuple[str, str, str]:
    choices = f" ({', '.join(field.setting.choices)})" if field.setting.choices else ""
    default = field.default if isinstance(field.default, str) else shown(field.default)
    return name, default, field.setting.help + choices


def _row(name: str, default: str, text: str) -> str:
    start = f"{name:<{_WIDEST_NAME}} {default:<{_WIDEST_DEFAULT}} "
    return textwrap.fill(
        text, _WIDEST_LINE, initial_indent=start, subsequent_indent=" " * len(start)
    )
