"""Names of runs: numbers in them, settings in them, and labels where the rest does not differ."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from sparsity_jax.config.fields import Field

_COLUMNS = ("data", "network")  # what a table's columns tell apart already
_LONGEST = 80


def strength_text(strength: float) -> str:
    """A strength as the paper's tables print it, with as many digits as read back exactly.

    Example:
      >>> strength_text(0.001), strength_text(0.00015), strength_text(0)
      ('1e-03', '1.5e-04', '0')
    """
    if not strength:
        return "0"
    for digits in range(17):
        text = f"{strength:.{digits}e}"
        if float(text) == strength:
            return text
    return repr(strength)


def variant_part(run: Any, name: str, field: Field) -> str:
    """Part of a run's variant that one field gives; '' where it has its usual value.

    Args:
      run: a `RunConfig`.
      name: of the field.
      field: what is known of it.
    """
    form, unset = field.setting.variant, field.setting.unset
    if not isinstance(form, str):
        return form(run)
    if not form:
        return ""
    value = getattr(run, name)
    if value == (unset(vars(run)) if unset else field.default):
        return ""
    return form.format("-".join(map(str, value)) if isinstance(value, tuple) else value)


def labels(names: Sequence[str], settings: Sequence[Mapping[str, Any]]) -> list[tuple[str, ...]]:
    """Additions that make names unique: the settings in which runs of one name differ.

    Where the data set and the network alone tell namesakes apart, nothing else is added: what
    follows from them (a schedule, say) makes no variant of a run.

    Args:
      names: one name a run.
      settings: what each run was asked for; values that are dicts count by their entries.

    Returns:
      Parts such as ('data=cifar10', 'renderings.size=16') for each run; () where its name is its
      own.

    Example:
      >>> labels(["a", "a", "b"], [{"size": 1}, {"size": 2}, {"size": 1}])
      [('size=1',), ('size=2',), ()]
      >>> labels(["a", "a"], [{"data": "x", "size": 1}, {"data": "y", "size": 2}])
      [('data=x',), ('data=y',)]
    """
    flat = [_flat(each) for each in settings]
    namesakes = defaultdict(list)
    for name, values in zip(names, flat, strict=True):
        namesakes[name].append(values)
    found = []
    for name, values in zip(names, flat, strict=True):
        keys = _telling(values, namesakes[name])
        found.append(tuple(f"{key}={_plain(values[key])}" for key in keys))
    return found


def _telling(values: Mapping[str, Any], namesakes: Sequence[Mapping[str, Any]]) -> list[str]:
    """The settings that tell a run from its namesakes: columns alone where they are enough."""
    differing = [
        key
        for key, value in values.items()
        if any(other.get(key, value) != value for other in namesakes)
    ]
    columns = [key for key in differing if key in _COLUMNS]
    told = {tuple(other.get(key) for key in columns) for other in namesakes}
    return columns if columns and len(told) == len(namesakes) else differing


def of_variant(parts: Iterable[str]) -> list[str]:
    """The labels that no column of the result table shows."""
    return [part for part in parts if part.partition("=")[0] not in _COLUMNS]


def _flat(settings: Mapping[str, Any]) -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in settings.items():
        if isinstance(value, Mapping):
            flat |= {f"{key}.{inner}": each for inner, each in value.items()}
        else:
            flat[key] = value
    return flat


def _plain(value: Any) -> str:
    """A value in characters that a folder's name may have; of long ones, the end."""
    return re.sub(r"[^\w.+-]+", "-", str(value)).strip("-")[-_LONGEST:]
