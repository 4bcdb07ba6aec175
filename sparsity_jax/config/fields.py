"""Config fields as dataclass metadata: help, checks, and how a field enters run names."""

from __future__ import annotations

import dataclasses
import difflib
import functools
import math
import typing
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from sparsity_jax.config.types import fits, shown, words
from sparsity_jax.errors import UserError

_LONGEST = 100  # characters of a word that are compared with the valid ones
Check = Callable[[Any], str]  # what a value must be, in words; '' for one that is


@dataclasses.dataclass(frozen=True)
class Setting:
    """Properties of a field besides its name, type and default.

    Attributes:
      help: one line.
      choices: the words that are valid; () where any value of the type may be.
      check: says what a value of the right type must be, if it is not.
      unset: what None stands for, from the other fields' values.
      variant: how a value enters the run's variant: a format of the value, used where it is not
        the usual one, or a function of the run; '' never does.
      nested: the dataclass whose fields are set as NAME.FIELD.
    """

    help: str
    choices: Sequence[str] = ()
    check: Check | None = None
    unset: Callable[[Mapping[str, Any]], Any] | None = None
    variant: str | Callable[[Any], str] = ""
    nested: type | None = None


class Field(NamedTuple):
    """One field of the config: its type, its default and its setting."""

    hint: Any
    default: Any
    setting: Setting


def setting(default: Any, help: str, **others: Any) -> Any:
    """A dataclass field that users can set; the keywords are those of `Setting`."""
    return dataclasses.field(default=default, metadata={"setting": Setting(help, **others)})


@functools.cache
def fields_of(kind: type) -> Mapping[str, Field]:
    """The fields of a dataclass that users can set, by name, in order; nested ones after a dot.

    Example:
      >>> @dataclasses.dataclass(frozen=True)
      ... class Bread:
      ...     slices: int = setting(8, "how many", check=at_least(1))
      >>> fields_of(Bread)["slices"].default
      8
    """
    hints = typing.get_type_hints(kind)
    found: dict[str, Field] = {}
    for each in dataclasses.fields(kind):
        if (known := each.metadata.get("setting")) is None:
            continue
        if known.nested is None:
            optional = each.default is None and not fits(None, hints[each.name])
            hint = hints[each.name] | None if optional else hints[each.name]
            found[each.name] = Field(hint, each.default, known)
        else:
            inner = fields_of(known.nested)
            found |= {f"{each.name}.{name}": field for name, field in inner.items()}
    return found


def check_value(name: str, field: Field, value: Any) -> None:
    """Raise UserError for a value of another type, or outside of what its field takes.

    Raises:
      UserError: names the field, the value and what is valid.
    """
    if not fits(value, field.hint):
        usual = f", such as {field.default!r}" if field.default not in (None, ()) else ""
        raise UserError(f"config.{name}={shown(value)} must be {words(field.hint)}{usual}")
    if value is None:
        return
    choices = field.setting.choices
    if choices and value not in choices:
        raise UserError(
            f"config.{name}={shown(value)} is not known; valid are {', '.join(choices)}"
        )
    if field.setting.check is not None and (wanted := field.setting.check(value)):
        raise UserError(f"config.{name}={shown(value)} must be {wanted}")


def at_least(least: float, most: float = math.inf) -> Check:
    """The check for a finite number of at least `least`, and at most `most`.

    Example:
      >>> at_least(1)(0), at_least(1)(3)
      ('a number of at least 1', '')
    """
    upper = f" and at most {most:,}" if most < math.inf else ""
    wanted = f"a number of at least {least:,}{upper}"
    return lambda value: "" if math.isfinite(value) and least <= value <= most else wanted


def above(bound: float) -> Check:
    """The check for a finite number above `bound`."""
    return lambda value: "" if math.isfinite(value) and value > bound else f"a number above {bound}"


def finite(value: float) -> str:
    """The check for a finite number."""
    return "" if math.isfinite(value) else "a finite number"


def nearest_first(word: Any, valid: Iterable[str]) -> list[str]:
    """The valid words, those most like `word` first; 'lr' is most like 'learning_rate'.

    Example:
      >>> nearest_first("lr", ["drops", "learning_rate", "gamma_lr_scale"])
      ['learning_rate', 'gamma_lr_scale', 'drops']
    """
    given = str(word).lower()[:_LONGEST]

    def distance(name: str) -> tuple[bool, bool, float]:
        initials = "".join(part[:1] for part in name.replace(".", "_").split("_"))
        part = given in name.replace(".", "_").split("_")
        alike = difflib.SequenceMatcher(None, given, name).ratio()
        return initials != given, not part, -alike

    return sorted(valid, key=distance)


def unknown_field(name: Any, valid: Iterable[str], *, where: str = "config.") -> UserError:
    """The error for a field that does not exist: the valid ones in it, nearest first."""
    there = ", ".join(nearest_first(name, valid))
    plain = isinstance(name, str) and name.isprintable() and 0 < len(name) <= _LONGEST
    word = name if plain else shown(name)
    return UserError(f"{where}{word} is not a field; valid are, nearest first: {there}")
