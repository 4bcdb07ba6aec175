"""Names, base learning rates and constants of the paper's optimizers."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import jax
import numpy as np
import optax
from jax.core import Tracer

from sparsity_jax.errors import UserError
from sparsity_jax.optimizers import transforms


@dataclass(frozen=True)
class Optimizer:
    """One row of the table: a base learning rate and a rule with its constants filled in."""

    learning_rate: float
    rule: Callable[[], optax.GradientTransformation]


# Paper Sec. 2.1 for sgd, adam, adadelta, adagrad. It is silent on the other three: amsgrad takes
# Adam's constants, adamax and rmsprop PyTorch's defaults (rmsprop at Adam's rate: their published
# sparsities are nearly equal). Adam's b2 is 0.99, not the customary 0.999.
TABLE: dict[str, Optimizer] = {
    "sgd": Optimizer(1e-1, partial(optax.trace, decay=0.9)),
    "adam": Optimizer(1e-3, partial(optax.scale_by_adam, b1=0.9, b2=0.99, eps=1e-8)),
    "amsgrad": Optimizer(1e-3, partial(transforms.scale_by_amsgrad, b1=0.9, b2=0.99, eps=1e-8)),
    "adamax": Optimizer(2e-3, partial(optax.scale_by_adamax, b1=0.9, b2=0.999, eps=1e-8)),
    "rmsprop": Optimizer(
        1e-3,
        partial(optax.scale_by_rms, decay=0.99, eps=1e-8, initial_scale=0.0, eps_in_sqrt=False),
    ),
    "adadelta": Optimizer(1e0, partial(optax.scale_by_adadelta, rho=0.9, eps=1e-6)),
    "adagrad": Optimizer(1e-2, partial(transforms.scale_by_adagrad, eps=1e-10)),
}

OPTIMIZERS: tuple[str, ...] = tuple(TABLE)


def default_learning_rate(name: str) -> float:
    """The paper's base learning rate of an optimizer.

    Args:
      name: One of ``OPTIMIZERS``.

    Returns:
      The rate before any drop, per step.

    Raises:
      UserError: The name is unknown.

    Example:
      >>> default_learning_rate("adam")
      0.001

    Paper: Sec. 2.1. ImageNet runs use 1e-4 for Adam; that is the config's business.
    """
    return find(name).learning_rate


def find(name: str) -> Optimizer:
    """Row of the table for one optimizer.

    Args:
      name: One of ``OPTIMIZERS``.

    Returns:
      Its base learning rate and rule.

    Raises:
      UserError: The name is unknown; the message lists the valid ones.

    Example:
      >>> find("sgd").learning_rate
      0.1
    """
    check_choice("optimizer", name, OPTIMIZERS)
    return TABLE[name]


def check_choice(what: str, value: str, valid: Sequence[str]) -> None:
    """Refuse a name that is not on the list.

    Args:
      what: What the name stands for, as the user calls it.
      value: The name given.
      valid: The names that would do.

    Raises:
      UserError: ``value`` is not one of ``valid``; the message lists them.

    Example:
      >>> check_choice("regularizer", "L2", ("none", "l2", "wd"))
      Traceback (most recent call last):
      ...
      sparsity_jax.errors.UserError: unknown regularizer 'L2': choose one of none, l2, wd
    """
    if value not in valid:
        raise UserError(f"unknown {what} {value!r}: choose one of {', '.join(valid)}")


def check_not_negative(**numbers: float | jax.Array) -> None:
    """Refuse negative, infinite or NaN numbers, as far as they are known.

    Args:
      **numbers: Numbers or arrays, by what the user calls them. A traced value has no sign yet and
        passes.

    Raises:
      UserError: Some entry is negative or not finite.

    Example:
      >>> check_not_negative(strength=1e-3)
      >>> check_not_negative(learning_rate=1e-3, strength=-1e-3)
      Traceback (most recent call last):
      ...
      sparsity_jax.errors.UserError: strength is -0.001: it must be a finite number, 0 or more
    """
    for name, value in numbers.items():
        if isinstance(value, Tracer):
            continue
        known = np.asarray(value)
        if not np.all(np.isfinite(known) & (known >= 0)):
            raise UserError(f"{name} is {value}: it must be a finite number, 0 or more")
