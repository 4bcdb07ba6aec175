"""Types of config fields: whether a value fits one, its words in a message, its text on a flag."""

from __future__ import annotations

import ast
import math
import types
import typing
from collections.abc import Mapping
from typing import Any

_WORDS = {int: "an integer", float: "a number", str: "text", bool: "True or False"}
_LONGEST = 100


def fits(value: Any, hint: Any) -> bool:
    """Whether a value is of a type: an int is a float too, a bool no number, a list a tuple.

    Args:
      value: anything.
      hint: int, float, str, bool, None, a tuple or a union of such types, Mapping[str, Any], Any.

    Example:
      >>> fits(1, float), fits(True, int), fits([1, 2], tuple[int, ...])
      (True, False, True)
    """
    origin, inner = typing.get_origin(hint), typing.get_args(hint)
    if hint is Any:
        return True
    if origin is tuple:
        if not isinstance(value, list | tuple):
            return False
        each = [inner[0]] * len(value) if inner[-1] is Ellipsis else inner
        return len(value) == len(each) and all(map(fits, value, each))
    if origin is types.UnionType:
        return any(fits(value, one) for one in inner)
    if isinstance(origin, type) and issubclass(origin, Mapping):
        return isinstance(value, Mapping)
    if isinstance(value, bool):
        return hint is bool
    if hint is float:
        return isinstance(value, float) or (isinstance(value, int) and _is_a_double(value))
    if hint is int:
        return isinstance(value, int) and abs(value) < 2**63
    return isinstance(value, hint)


def words(hint: Any) -> str:
    """A type in words, for 'config.FIELD=VALUE must be ...'.

    Example:
      >>> words(tuple[int, ...]), words(tuple[tuple[float, float], ...]), words(str | None)
      ('a tuple of integers', 'a tuple of (number, number) tuples', 'text or None')
    """
    origin, inner = typing.get_origin(hint), typing.get_args(hint)
    if origin is tuple:
        return f"a tuple of {_plural(inner[0])}"
    if origin is types.UnionType:
        return " or ".join(words(one) for one in inner)
    if hint is types.NoneType:
        return "None"
    return _WORDS.get(hint, "a dict")


def settled(value: Any, hint: Any) -> Any:
    """A value that fits in its one form: numbers of float fields as float, lists as tuples.

    Example:
      >>> settled([[250, 0.1]], tuple[tuple[float, float], ...])
      ((250.0, 0.1),)
    """
    origin, inner = typing.get_origin(hint), typing.get_args(hint)
    if origin is types.UnionType:
        return settled(value, next(one for one in inner if fits(value, one)))
    if origin is tuple:
        each = [inner[0]] * len(value) if inner[-1] is Ellipsis else inner
        return tuple(map(settled, value, each))
    return float(value) if hint is float else value


def parse(text: str, hint: Any) -> Any:
    """The value of a flag's text; text that cannot be read stays text, which then does not fit.

    Args:
      text: as typed: '1e-3', 'adam', 'None' where None fits, '(1, 3)' or '1,3' for a tuple.
      hint: the type that is wanted.

    Example:
      >>> parse("0.25", str), parse("0.25", float), parse("1,3", tuple[int, ...]), parse("C", int)
      ('0.25', 0.25, (1, 3), 'C')
    """
    if text == "None" and fits(None, hint):
        return None
    if fits(text, hint):
        return text
    try:
        value = float(text) if fits(0.5, hint) else ast.literal_eval(text.strip())
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        value = text
    if typing.get_origin(hint) is tuple and not isinstance(value, list | tuple):
        return (value,)
    return value


def shown(value: Any) -> str:
    """A value as a message shows it: on one line, the middle of a long one left out.

    Example:
      >>> shown("a"), len(shown("a" * 1000))
      ("'a'", 100)
    """
    try:
        text = " ".join(repr(value).split())
    except ValueError:  # an integer of more digits than Python prints
        text = f"<{type(value).__name__}>"
    half = (_LONGEST - 5) // 2
    return text if len(text) <= _LONGEST else f"{text[: half + 1]} ... {text[-half:]}"


def _plural(hint: Any) -> str:
    if typing.get_origin(hint) is tuple:
        singular = [words(one).removeprefix("a ") for one in typing.get_args(hint)]
        return f"({', '.join(singular)}) tuples"
    return {int: "integers", float: "numbers", str: "texts"}.get(hint, "dicts")


def _is_a_double(value: int) -> bool:
    try:
        return math.isfinite(float(value))
    except OverflowError:
        return False
