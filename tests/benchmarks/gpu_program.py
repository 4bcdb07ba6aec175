"""What does XLA make of the training step for an H100, without one?

python tests/benchmarks/gpu_program.py [--network WxSxC] [--cases MAPPING:MEMBERS ...]

Compiles the steps of populations for a described device, as `config.deterministic` has them (pip
install 'jax[cuda12]' brings the compiler; no GPU or driver is needed), and prints a row for each:
its kernels, the scatters among them (whose additions have no fixed order), and memory, beside the
estimate that decides how many members a group has. Nothing is run: there are no times.
"""

from __future__ import annotations

import argparse
import os
import re
import sys
from pathlib import Path
from typing import Any
from unittest import mock

import jax
import numpy as np
from jax.experimental import topologies
from jax.sharding import SingleDeviceSharding

sys.path.insert(0, str(Path(__file__).parents[2]))

from workload import BATCH, fresh, make_workload, plan_of, seeded

from sparsity_jax.training.grouping import member_bytes
from sparsity_jax.training.population import MemberMapping, _compiled, stack

CASES = (("map", 1), ("vmap", 4), ("vmap", 16), ("unroll", 4))
# An H100 SXM by its data sheet, in the words of XLA's GpuTargetConfig.
H100 = """
gpu_device_info {
  cuda_compute_capability { major: 9 }
  core_count: 132  fpus_per_core: 128  clock_rate_ghz: 1.98
  threads_per_warp: 32  threads_per_block_limit: 1024  threads_per_core_limit: 2048
  block_dim_limit_x: 2147483647  block_dim_limit_y: 65535  block_dim_limit_z: 65535
  registers_per_core_limit: 65536  registers_per_block_limit: 65536
  shared_memory_per_block: 49152  shared_memory_per_block_optin: 232448
  shared_memory_per_core: 233472  l2_cache_size: 52428800
  memory_bandwidth: 3352320000000  device_memory_size: 84978434048
}
platform_name: "CUDA"
dnn_version_info { major: 9 minor: 8 }
device_description_str: "NVIDIA H100 80GB HBM3"
"""
# Triton's products and cuBLAS' fastest are chosen by timing them, which needs the device.
OPTIONS = {
    "xla_gpu_deterministic_ops": True,
    "xla_gpu_enable_triton_gemm": False,
    "xla_gpu_autotune_level": 0,
}
KERNEL, SCATTER = re.compile(r" (?:fusion|custom-call)\("), re.compile(r" (?:\w+-)*scatter\(")


def compiled(network: str, mapping: str, members: int, device: Any) -> tuple[str, Any, int]:
    """A population's program: its text, XLA's account of its memory, our estimate of a member's."""
    work = make_workload(plan_of(network), images=20 * BATCH)
    own = seeded(members)
    state = jax.eval_shape(lambda: fresh(work, own))
    orders = np.zeros((members, 20 * BATCH), np.int32)
    here = SingleDeviceSharding(device)
    shapes = jax.tree.map(
        lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=here),
        (stack(own), orders, state, work.data, np.int32(1)),
    )
    program: Any = _compiled(work.program, MemberMapping(mapping))
    with mock.patch.object(jax, "default_backend", return_value="gpu"):
        made = program.trace(*shapes).lower().compile(compiler_options=OPTIONS)
    return made.as_text() or "", made.memory_analysis(), member_bytes(work.program)


def main() -> None:
    """Print a row for each mapping and number of members."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--network", default="1x32x3", help="width x side x channels")
    parser.add_argument("--cases", nargs="+", default=[f"{m}:{n}" for m, n in CASES])
    asked = parser.parse_args()
    os.environ.setdefault("JAX_SKIP_CUDA_CONSTRAINTS_CHECK", "1")  # which would look for a driver
    try:
        there = topologies.get_topology_desc(platform="cuda", topology="1x1x1", target_config=H100)
    except NotImplementedError:
        parser.error("there is no compiler for CUDA here: pip install 'jax[cuda12]'")
    print("mapping  members  kernels  scatters  MB a member, by XLA  estimated")
    for case in asked.cases:
        mapping, _, members = case.partition(":")
        text, memory, estimate = compiled(asked.network, mapping, int(members), there.devices[0])
        kernels, scatters = (len(found.findall(text)) for found in (KERNEL, SCATTER))
        needed = (memory.temp_size_in_bytes + memory.output_size_in_bytes) / int(members)
        print(
            f"{mapping:7} {members:>8} {kernels:>8} {scatters:>9} "
            f"{needed / 1e6:>20.0f} {estimate / 1e6:>10.0f}",
            flush=True,
        )


if __name__ == "__main__":
    main()
