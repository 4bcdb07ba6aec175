"""What does a member-step of a population cost here, beside runs one after the other?

    python tests/benchmarks/population.py [--rounds=9] [--members=4] [--network 0.25x16x1 ...]

The runs alone and each way of mapping members take turns; all train the project's real step.
'bits' says whether every member is its run alone bit for bit after ten steps.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

import jax
from timing import in_rounds, load, machine
from workload import (
    BATCH,
    MAPPINGS,
    Workload,
    fresh,
    make_workload,
    one_after_the_other,
    plan_of,
    seeded,
    together,
)

from sparsity_jax.training import Hparams, init_state, train_steps
from sparsity_jax.training.members import stack
from sparsity_jax.training.population import MemberMapping, train_population

STEPS = 10


def same_bits(work: Workload, members: Sequence[Hparams], mapping: MemberMapping) -> bool:
    """Whether the members' states are those of the runs alone."""
    state, data = fresh(work, members), work.data
    hparams = stack(members)
    grouped = train_population(work.program, hparams, data, state, until=STEPS, mapping=mapping)
    single = stack(
        [
            train_steps(work.program, own, data, init_state(work.program, own), until=STEPS)
            for own in members
        ]
    )
    pairs = zip(jax.tree.leaves(grouped), jax.tree.leaves(single), strict=True)
    return all(bool((a == b).all()) for a, b in pairs)


def main() -> None:
    """Print one block per network."""
    parser = argparse.ArgumentParser(description="Time the member-steps of a population.")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--members", type=int, default=4)
    parser.add_argument("--network", nargs="+", default=["0.25x16x1", "0.25x32x3"])
    asked = parser.parse_args()
    print(f"{machine()}; {load()}")
    for network in asked.network:
        work, members = make_workload(plan_of(network), images=50 * BATCH), seeded(asked.members)
        columns = {"alone": one_after_the_other(work, members)}
        columns |= {name: together(work, members, MemberMapping(name)) for name in MAPPINGS}
        found = in_rounds(columns, rounds=asked.rounds, seconds=0.5)
        found = found.divided(len(members), *columns)
        print(f"\nBasicNet {network}, {len(members)} members, batch {BATCH}, ms per member-step")
        print(f"{'':8}{'median':>8}{'min':>8}{'times alone':>13}  bits")
        for name, taken in found.times.items():
            median, ratio = found.median(name), found.median(name) / found.median("alone")
            bits = name == "alone" or same_bits(work, members, MemberMapping(name))
            print(f"{name:8}{median:8.2f}{min(taken):8.2f}{ratio:13.2f}  {bits}")


if __name__ == "__main__":
    main()
