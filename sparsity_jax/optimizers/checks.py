"""Which arguments of an optimizer make no sense?"""

from collections.abc import Sequence

import jax
import numpy as np
from jax.core import Tracer

from sparsity_jax.errors import UserError


def check_choice(what: str, value: str, valid: Sequence[str]) -> None:
    """Refuse a word that is not on the list.

    Args:
      what: What the word stands for, as the user calls it.
      value: The word given.
      valid: The words that would do.

    Raises:
      UserError: ``value`` is not one of ``valid``; the message lists them.

    Example:
      >>> check_choice("regularizer", "l2", ("none", "l2", "wd"))
    """
    if value not in valid:
        raise UserError(f"unknown {what} {value!r}: choose one of {', '.join(valid)}")


def check_not_negative(what: str, value: float | jax.Array) -> None:
    """Refuse a negative, infinite or NaN number, as far as it is known.

    Args:
      what: What the number stands for, as the user calls it.
      value: A number or an array. A traced value has no sign yet and passes.

    Raises:
      UserError: Some entry is negative or not finite.

    Example:
      >>> check_not_negative("strength", 1e-3)
    """
    if isinstance(value, Tracer):
        return
    numbers = np.asarray(value)
    if not np.all(np.isfinite(numbers) & (numbers >= 0)):
        raise UserError(f"{what} is {value}: it must be a finite number, 0 or more")
