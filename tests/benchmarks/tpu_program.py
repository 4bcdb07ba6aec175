"""What does XLA make of a population's training steps for a TPU slice, without one?

    python tests/benchmarks/tpu_program.py [--network WxSxC] [--members 8] [--mappings vmap ...]

Compiles the steps of a population whose members four chips of a described v5e slice share (pip
install libtpu brings the compiler; no TPU is needed), in both precisions, and prints for each: the
collectives in it (members never talk: there must be none), and megabytes a member. Nothing is run.
"""

from __future__ import annotations

import argparse
import dataclasses
import os
import re
import sys
from pathlib import Path
from typing import Any
from unittest import mock

import jax
import numpy as np
from jax.experimental import topologies
from jax.sharding import NamedSharding
from jax.sharding import PartitionSpec as P

sys.path.insert(0, str(Path(__file__).parents[2]))

from workload import BATCH, fresh, make_workload, plan_of, seeded

from sparsity_jax.training.grouping import member_bytes
from sparsity_jax.training.members import stack
from sparsity_jax.training.population import MemberMapping, _compiled, _mesh

SLICE = "v5e:2x2"
COLLECTIVE = re.compile(
    r" (all-reduce|all-gather|all-to-all|collective-permute|reduce-scatter)(?:-start)?\("
)


def chips() -> list[Any]:
    """The chips of the described slice.

    Raises:
      NotImplementedError, RuntimeError: there is no compiler for TPUs here.
    """
    os.environ.setdefault("TPU_SKIP_MDS_QUERY", "1")  # which would ask the cloud for its metadata
    there = topologies.get_topology_desc(platform="tpu", topology_name=SLICE)
    return list(there.devices)


def compiled(network: str, mapping: str, members: int, precision: str, devices: list[Any]) -> str:
    """Compile, and say in a row what is in it."""
    work, own = make_workload(plan_of(network), images=20 * BATCH), seeded(members)
    program = dataclasses.replace(work.program, precision=precision)
    state = jax.eval_shape(lambda: fresh(work, own))
    orders = np.zeros((members, 20 * BATCH), np.int32)
    mapping_there = MemberMapping(mapping, devices=len(devices))
    with mock.patch.object(jax, "local_devices", return_value=devices):
        mesh = _mesh(mapping_there)
    split, whole = NamedSharding(mesh, P("members")), NamedSharding(mesh, P())
    shapes = [
        jax.tree.map(
            lambda leaf, where=where: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=where),
            tree,
        )
        for tree, where in (
            (stack(own), split), (orders, split), (state, split), (work.data, whole),
            (np.int32(1), whole),
        )
    ]  # fmt: skip
    with (
        mock.patch.object(jax, "default_backend", return_value="tpu"),
        mock.patch.object(jax, "local_devices", return_value=devices),
    ):
        steps: Any = _compiled(program, mapping_there, None, ())
        made = steps.trace(*shapes).lower().compile()
    memory = made.memory_analysis()
    held = (memory.temp_size_in_bytes + memory.output_size_in_bytes) * len(devices) / members
    found = sorted(set(COLLECTIVE.findall(made.as_text() or "")))
    return (
        f"{mapping:8} {members:7} {precision:9} {', '.join(found) or 'none':>12} "
        f"{held / 1e6:8.0f} {member_bytes(program) / 1e6:10.0f}"
    )


def main() -> None:
    """Print a row for each mapping and precision."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--network", default="1x32x3", help="width x side x channels")
    parser.add_argument("--members", type=int, default=8)
    parser.add_argument("--mappings", nargs="+", default=["vmap", "hybrid", "unroll"])
    asked = parser.parse_args()
    try:
        devices = chips()
    except (NotImplementedError, RuntimeError):
        parser.error("there is no compiler for TPUs here: pip install libtpu")
    print(f"{SLICE}\nmapping  members precision  collectives  MB held  estimated")
    for precision in ("float32", "bfloat16"):
        for mapping in asked.mappings:
            print(compiled(asked.network, mapping, asked.members, precision, devices), flush=True)


if __name__ == "__main__":
    main()
