"""Which rule, with which constants, is each optimizer of the paper?"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import optax

from sparsity_jax.optimizers import transforms as rules
from sparsity_jax.optimizers.checks import check_choice


@dataclass(frozen=True)
class Optimizer:
    """One row of the table: a base learning rate and a rule with its constants filled in."""

    learning_rate: float
    rule: Callable[[], optax.GradientTransformation]


# Paper Sec. 2.1 for sgd, adam, adadelta, adagrad. It is silent on the other three: amsgrad takes
# Adam's constants, adamax and rmsprop PyTorch's defaults (rmsprop at Adam's rate: their published
# sparsities are nearly equal). Adam's b2 is 0.99, not the customary 0.999.
# fmt: off
TABLE: dict[str, Optimizer] = {
    "sgd":      Optimizer(1e-1, partial(optax.trace, decay=0.9)),
    "adam":     Optimizer(1e-3, partial(optax.scale_by_adam, b1=0.9, b2=0.99, eps=1e-8)),
    "amsgrad":  Optimizer(1e-3, partial(rules.scale_by_amsgrad, b1=0.9, b2=0.99, eps=1e-8)),
    "adamax":   Optimizer(2e-3, partial(optax.scale_by_adamax, b1=0.9, b2=0.999, eps=1e-8)),
    "rmsprop":  Optimizer(1e-3, partial(optax.scale_by_rms, decay=0.99, eps=1e-8,
                                        initial_scale=0.0, eps_in_sqrt=False)),
    "adadelta": Optimizer(1e+0, partial(optax.scale_by_adadelta, rho=0.9, eps=1e-6)),
    "adagrad":  Optimizer(1e-2, partial(rules.scale_by_adagrad, eps=1e-10)),
}
# fmt: on

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
    """The table's row of one optimizer.

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
