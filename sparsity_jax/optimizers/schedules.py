"""Learning-rate schedules: a few drops, each at a step, relative to the base rate."""

from collections.abc import Callable, Sequence
from typing import TypeAlias

import jax
import jax.numpy as jnp
import optax
from jax.typing import ArrayLike

from sparsity_jax.errors import UserError

Schedule: TypeAlias = Callable[[ArrayLike], jax.Array]
"""Completed steps -> multiplier of the learning rate, 1.0 at step 0."""


def constant(step: ArrayLike) -> jax.Array:
    """The schedule without drops: 1.0 at every step, with the shape of ``step``.

    Args:
      step: Completed steps, any shape.

    Returns:
      Ones of that shape.

    Example:
      >>> float(constant(10))
      1.0
    """
    return jnp.ones(jnp.shape(step))


def step_schedule(drops: Sequence[tuple[int, float]]) -> Schedule:
    r"""Multiply the base learning rate by the multiplier of the last drop reached.

    .. math:: s(t) = c_k, \quad k = \max\{k : t \ge b_k\}, \quad s(t) = 1 \text{ for } t < b_1

    Args:
      drops: ``((step, multiplier), ...)`` in order. Multipliers are relative to the *base* rate,
        so ``((b1, 0.1), (b2, 0.01))`` is two drops by ten. With equal steps the later one counts.

    Returns:
      A pure function of the number of completed steps (integers, any shape, may be traced).

    Raises:
      UserError: A step below 1, steps out of order, or a multiplier that is negative.

    Example:
      >>> schedule = step_schedule(((312_500, 0.1),))
      >>> print(float(schedule(312_499)), round(float(schedule(312_500)), 3))
      1.0 0.1

    Paper: Sec. 2.1 (CIFAR: 250 epochs, then a tenth of the rate for 75).
    """
    steps = [step for step, _ in drops]
    if steps != sorted(steps) or min(steps, default=1) < 1:
        raise UserError(f"learning-rate drops at steps {steps}: they must ascend from 1 or more")
    if min((multiplier for _, multiplier in drops), default=1) < 0:
        raise UserError(f"learning-rate drops {tuple(drops)}: multipliers must be 0 or more")

    levels = [optax.constant_schedule(multiplier) for _, multiplier in drops]
    schedule = optax.join_schedules([constant, *levels], steps)
    return lambda step: jnp.asarray(schedule(step))


def drops_in_steps(
    drops: Sequence[tuple[float, float]], *, steps_per_epoch: float, scale: float = 1.0
) -> tuple[tuple[int, float], ...]:
    """Turn drops given in epochs into drops given in steps, rounded, never before step 1.

    Args:
      drops: ``((epoch, multiplier), ...)``.
      steps_per_epoch: Images over batch size at the *reference* batch size of the paper if
        iterations are held fixed, at the actual one if epochs are.
      scale: Multiplies every duration, as ``config.scale`` does.

    Returns:
      ``((step, multiplier), ...)`` for :func:`step_schedule`.

    Example:
      >>> drops_in_steps(((250, 0.1),), steps_per_epoch=1250)
      ((312500, 0.1),)
    """
    return tuple(
        (max(1, round(epoch * steps_per_epoch * scale)), multiplier) for epoch, multiplier in drops
    )
