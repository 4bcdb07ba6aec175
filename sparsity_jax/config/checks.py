"""Checks of whole configs: which fields there are, and which values go together."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from ml_collections import ConfigDict

from sparsity_jax.config.base import all_fields
from sparsity_jax.config.fields import check_value, unknown_field
from sparsity_jax.config.types import shown
from sparsity_jax.errors import UserError
from sparsity_jax.models import make_plan

NESTED = frozenset(name.partition(".")[0] for name in all_fields() if "." in name)


def flattened(values: Mapping[Any, Any]) -> dict[Any, Any]:
    """A config or a part of one with dotted names: {'renderings': {'size': 8}} has one field.

    Raises:
      UserError: a value that is no dict where fields are expected in it.

    Example:
      >>> flattened({"renderings": {"size": 8}, "strength": 1e-3})
      {'renderings.size': 8, 'strength': 0.001}
    """
    flat: dict[Any, Any] = {}
    for name, value in values.items():
        if name not in NESTED:
            flat[name] = value
        elif isinstance(value, Mapping):
            flat |= {f"{name}.{inner}": each for inner, each in value.items()}
        else:
            raise UserError(f"config.{name}={shown(value)} must be a dict")
    return flat


def flat_config(config: ConfigDict) -> dict[Any, Any]:
    """The values of a config with dotted names, as they are.

    Raises:
      UserError: dicts in it that a ConfigDict cannot hold.
    """
    try:
        return flattened(config.to_dict())
    except TypeError:  # it sorts names
        raise UserError("config holds a dict whose keys are not all text") from None


def check_names(flat: Iterable[Any]) -> None:
    """Raise UserError for a field that does not exist, or one that is missing."""
    known, given = all_fields(), set(flat)
    for name in sorted(given - set(known), key=str):
        raise unknown_field(name, known)
    for name in known:
        if name not in given:
            raise UserError(
                f"config.{name} is missing; start from sparsity_jax.config.default_config()"
            )


def check_values(flat: Mapping[str, Any]) -> None:
    """Raise UserError for a value of another type than its field's, or outside of its range."""
    for name, field in all_fields().items():
        check_value(name, field, flat[name])


def check_together(flat: Mapping[str, Any]) -> None:
    """Raise UserError for values that are valid each by itself, but not together."""
    if flat["batch_size"] % flat["norm_parts"]:
        raise UserError(
            f"config.norm_parts={flat['norm_parts']} does not divide "
            f"config.batch_size={flat['batch_size']}; give 1 or another divisor"
        )
    if flat["criterion"] == "l1" and flat["prune_mode"] == "exact":
        raise UserError(
            "config.prune_mode='exact' needs filters whose answer is constant; criterion 'l1' "
            "drops others, prune them with prune_mode='author'"
        )
    if flat["prune_during_training"] and flat["criterion"] != "gamma":
        raise UserError(
            f"config.prune_during_training cuts by gamma; config.criterion={flat['criterion']!r} "
            "prunes a whole network at its end, give one of the two"
        )
    if flat["prune_during_training"] and flat["split"] == "batch":
        raise UserError(
            "config.prune_during_training trains run by run; config.split='batch' keeps every "
            "process on one network, give split='members'"
        )
    if layers := flat["prune_layers"]:
        if flat["criterion"] != "l1":
            raise UserError("config.prune_layers is for criterion 'l1' alone; give ()")
        valid = make_plan(flat["network"], classes=10, input_shape=(64, 64, 3)).layer_names
        for name in layers:
            if name not in valid:
                raise UserError(
                    f"config.prune_layers names {shown(name)}; valid are {', '.join(valid)}"
                )
