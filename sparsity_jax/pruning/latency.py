"""Forward time of the dense and the pruned network."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from sparsity_jax.models.convnet import logits
from sparsity_jax.models.plans import Plan

BATCHES = (1, 32, 256)
LEAST_ROUNDS, MOST_ROUNDS = 3, 200
PATIENCE = 10.0  # slow networks may take this multiple of their time to reach the least rounds

Variables = Mapping[str, Any]


@dataclasses.dataclass(frozen=True)
class Latency:
    """Times of one forward pass at one batch size, dense and pruned.

    Attributes:
      batch: images at a time.
      dense_ms: median milliseconds of the dense network.
      pruned_ms: median milliseconds of the pruned network.
      noise_pct: half the interquartile range over the median, in percent; the larger of the two.
    """

    batch: int
    dense_ms: float
    pruned_ms: float
    noise_pct: float = 0.0

    @property
    def speedup(self) -> float:
        """Time of the dense network over the pruned one's; below 1 the pruned one is slower."""
        return self.dense_ms / self.pruned_ms

    @property
    def is_faster(self) -> bool:
        """Whether the gain exceeds 5 % and the noise of the measurement."""
        return self.speedup > 1 + max(0.05, self.noise_pct / 100)


def compare_latency(
    dense: tuple[Plan, Variables],
    pruned: tuple[Plan, Variables],
    *,
    seconds: float,
    batches: Sequence[int] = BATCHES,
) -> tuple[Latency, ...]:
    """Time two networks' compiled forward passes on the default device, in turns.

    A call counts from handing over arrays that are already on the device until its logits are
    ready, the launch from Python included. Compilation and the first call do not count. The two
    networks take turns, so that a machine that slows down slows both.

    Args:
      dense: (plan, variables) of the network as trained.
      pruned: (plan, variables) of the smaller one; the same plan is fine and gives noise around 1.
      seconds: about how long to measure, all batch sizes together; compilation comes on top.
      batches: batch sizes.

    Returns:
      One `Latency` for each batch size.

    Example:
      >>> smaller = prune(plan, variables, keep)  # doctest: +SKIP
      >>> compare_latency((plan, variables), smaller, seconds=3.0)[0]  # doctest: +SKIP
      Latency(batch=1, dense_ms=1.21, pruned_ms=0.74, noise_pct=2.1)
    """
    networks = [(plan, jax.device_put(dict(variables))) for plan, variables in (dense, pruned)]
    found = []
    for batch in batches:
        calls = [_compiled(plan, variables, batch) for plan, variables in networks]
        times = time_in_turns(calls, seconds=seconds / len(batches))
        middle = np.median(times, axis=0)
        low, high = np.percentile(times, [25, 75], axis=0)
        noise = float(np.max(50 * (high - low) / middle))
        found.append(Latency(batch, 1e3 * float(middle[0]), 1e3 * float(middle[1]), noise))
    return tuple(found)


def time_in_turns(
    calls: Sequence[Callable[[], Any]],
    *,
    seconds: float,
    clock: Callable[[], float] = time.perf_counter,
) -> np.ndarray:
    """Time functions in rounds, each once a round, after one round that does not count.

    Rounds go on until `seconds` have passed, with LEAST_ROUNDS of them unless that takes PATIENCE
    times as long, and MOST_ROUNDS at most.

    Args:
      calls: functions that return when their work is done.
      seconds: for how long.
      clock: tells the time in seconds.

    Returns:
      Seconds (rounds, calls), one round at least.

    Example:
      >>> time_in_turns([lambda: 1, lambda: 2], seconds=1.0).shape
      (200, 2)
    """
    for call in calls:
        call()
    began, rounds = clock(), []
    while not rounds or _goes_on(len(rounds), clock() - began, seconds):
        line = []
        for call in calls:
            start = clock()
            call()
            line.append(clock() - start)
        rounds.append(line)
    return np.array(rounds)


def _goes_on(rounds: int, passed: float, seconds: float) -> bool:
    if rounds < LEAST_ROUNDS:
        return passed < PATIENCE * seconds
    return rounds < MOST_ROUNDS and passed < seconds


def _compiled(plan: Plan, variables: Any, batch: int) -> Callable[[], jax.Array]:
    """The forward pass on fixed random images, compiled ahead, returning when it is done."""
    images = jax.random.normal(jax.random.key(0), (batch, *plan.input_shape), jnp.float32)
    program = jax.jit(logits, static_argnums=0).lower(plan, variables, images).compile()
    return lambda: jax.block_until_ready(program(variables, images))
