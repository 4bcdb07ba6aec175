"""What does a member-step of a population cost here, beside runs one after the other?

    python tests/benchmarks/population.py [--rounds=9] [--members=4] [--network=0.25x16x1 ...]

The runs alone and each way of mapping members take turns in rounds of ten steps; all train the
project's real step on data of their own. 'bits' says whether every member is its run alone bit for
bit.
"""

from __future__ import annotations

import argparse
import os
import platform
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

import jax
import jax.numpy as jnp
import numpy as np

from sparsity_jax.models.networks import basicnet
from sparsity_jax.training import Corpus, Hypers, Setup, State, advance, init_state
from sparsity_jax.training.population import Layout, advance_members, member, stack

STEPS = 10


def measure(network: str, *, members: int, rounds: int) -> dict[str, tuple[list[float], bool]]:
    """Milliseconds per member-step of every column, and whether its bits are those of 'alone'."""
    width, side, channels = network.split("x")
    plan = basicnet(classes=10, input_shape=(int(side), int(side), int(channels)), width=width)
    setup = Setup(plan, "adam", "l2", "schedule", 40, (), flip=True)
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (2000, *plan.input_shape), np.uint8)
    labels = rng.integers(0, 10, 2000).astype(np.int32)
    half = np.full(plan.input_shape[2], 0.5, np.float32)
    corpus = Corpus(*map(jnp.asarray, (images, labels, images, labels, half, half)))
    numbers = [jnp.float32(value) for value in (1e-3, 1e-3, 1, 1, 0)]
    own = [Hypers(*numbers, seed=jnp.uint32(s), gamma_l1=jnp.float32(0)) for s in range(members)]
    alone = [init_state(setup, each) for each in own]

    def one_after_the_other(until: int) -> None:
        for i, each in enumerate(own):
            alone[i] = advance(setup, each, corpus, alone[i], until=until)

    states: dict[str, State] = {}

    def together(mapping: str) -> Callable[[int], None]:
        states[mapping] = stack([init_state(setup, each) for each in own])

        def run(until: int) -> None:
            states[mapping] = advance_members(
                setup, stack(own), corpus, states[mapping], until=until, layout=Layout(mapping)
            )

        return run

    columns = {"alone": one_after_the_other}
    columns |= {mapping: together(mapping) for mapping in ("unroll", "map", "vmap")}
    times: dict[str, list[float]] = {name: [] for name in columns}
    for turn in range(rounds + 1):
        for name, run in columns.items():
            start = time.perf_counter()
            run((turn + 1) * STEPS)
            if turn:  # the first compiles
                times[name].append((time.perf_counter() - start) * 1e3 / STEPS / members)

    def same(state: State) -> bool:
        pairs = [(member(state, i), alone[i]) for i in range(members)]
        return all(
            bool((a == b).all())
            for left, right in pairs
            for a, b in zip(jax.tree.leaves(left), jax.tree.leaves(right), strict=True)
        )

    return {name: (taken, name == "alone" or same(states[name])) for name, taken in times.items()}


def main() -> None:
    """Print one block per network."""
    parser = argparse.ArgumentParser(description="Time the member-steps of a population.")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--members", type=int, default=4)
    parser.add_argument("--network", nargs="+", default=["0.25x16x1", "0.25x32x3"])
    arguments = parser.parse_args()
    print(
        f"{platform.machine()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}; "
        f"{jax.devices()[0].device_kind}; jax {jax.__version__}"
    )
    for network in arguments.network:
        found = measure(network, members=arguments.members, rounds=arguments.rounds)
        reference = statistics.median(found["alone"][0])
        print(f"\nBasicNet {network}, {arguments.members} members, batch 40, ms per member-step")
        print(f"{'':8}{'median':>8}{'min':>8}{'times alone':>13}  bits")
        for name, (taken, bits) in found.items():
            median = statistics.median(taken)
            ratio = median / reference
            print(f"{name:8}{median:8.2f}{min(taken):8.2f}{ratio:13.2f}  {bits}")


if __name__ == "__main__":
    main()
