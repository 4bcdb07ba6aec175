"""Compiled calls of a stretch of training: of how many steps each, and in which order of images.

A GPU gets calls of a fixed number of steps: the compiler then knows how often its loop turns, and
nothing waits for the host in between. What is left over goes through the program whose number of
steps is traced, which is the only one elsewhere.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import jax

FIXED_STEPS = 50  # divides the epochs of the paper's data sets, and the steps between two checks
_CHECK_EVERY = {"cpu": 50}
_CHECK_ELSEWHERE = 250


class Call(NamedTuple):
    """Steps of one compiled call, all within one epoch; `fixed` if their number is compiled in."""

    epoch: int
    steps: int
    fixed: bool = False


def check_every_steps() -> int:
    """Steps between checks of the loss, the clock and signals: 50 on a CPU, 250 elsewhere.

    Example:
      >>> check_every_steps()
      50
    """
    return _CHECK_EVERY.get(jax.default_backend(), _CHECK_ELSEWHERE)


def calls(start: int, until: int, *, steps_per_epoch: int) -> Iterator[Call]:
    """Divide the steps from `start` to `until` into calls.

    Args:
      start: absolute step.
      until: absolute step, at least `start`.
      steps_per_epoch: an epoch's order of images lasts so long.

    Example:
      >>> list(calls(0, 130, steps_per_epoch=100))
      [Call(epoch=0, steps=100, fixed=False), Call(epoch=1, steps=30, fixed=False)]
    """
    fixed = FIXED_STEPS if jax.default_backend() == "gpu" else 0
    while start < until:
        epoch, place = divmod(start, steps_per_epoch)
        steps = min(until - start, steps_per_epoch - place)
        if fixed and steps >= fixed:
            steps = fixed
        yield Call(epoch, steps, steps == fixed)
        start += steps
