"""Timing: what counts, how long it takes, and that it runs; never how fast this machine is."""

import numpy as np
import pytest

from sparsity_jax.pruning import compare_latency, prune
from sparsity_jax.pruning.latency import LEAST_ROUNDS, MOST_ROUNDS, time_in_turns


class Clock:
    """Time passes only when work is done."""

    def __init__(self):
        self.now, self.calls = 0.0, []

    def __call__(self):
        return self.now

    def work(self, name, *seconds):
        durations = iter([*seconds[:-1], *[seconds[-1]] * 10_000])

        def call():
            self.calls.append(name)
            self.now += next(durations)

        return call


def test_the_first_call_does_not_count_and_calls_take_turns():
    clock = Clock()
    calls = [clock.work("dense", 9.0, 0.25), clock.work("pruned", 5.0, 0.125)]
    times = time_in_turns(calls, seconds=3.75, clock=clock)
    np.testing.assert_allclose(times, [[0.25, 0.125]] * 10)
    assert clock.calls == ["dense", "pruned"] * 11


@pytest.mark.parametrize(
    ("duration", "rounds"),
    [(1e-6, MOST_ROUNDS), (2.0, LEAST_ROUNDS), (7.0, 2), (60.0, 1)],
)
def test_the_time_is_bounded_for_fast_and_for_slow_networks(duration, rounds):
    clock = Clock()
    assert len(time_in_turns([clock.work("net", duration)], seconds=1.0, clock=clock)) == rounds


def test_two_networks_are_timed_at_every_batch_size(networks):
    plan = networks.plans["global"]
    variables = networks.variables(plan, 0)
    smaller = prune(plan, variables, networks.keep(plan, 0))
    found = compare_latency((plan, variables), smaller, seconds=0.05, batches=(1, 3))
    assert [latency.batch for latency in found] == [1, 3]
    for latency in found:
        assert min(latency.dense_ms, latency.pruned_ms) > 0
        assert latency.noise_pct >= 0
