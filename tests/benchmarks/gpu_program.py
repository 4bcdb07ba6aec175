"""What does XLA make of the training step for an H100, without one?

    python tests/benchmarks/gpu_program.py [--network WxSxC] [--cases MAPPING:MEMBERS[:bf16] ...]
        [--fixed] [--no_graphs] [--deterministic] [--as_trained] [--json=FILE]

Compiles the steps of populations for a described device (pip install 'jax[cuda13]' brings the
compiler; no GPU or driver is needed), with the options that `distributed.graphs` gives them, and
prints a row for each:

  kernels   kernels, convolutions, products and copies of a member-step
  outside   of a step, those that are launched by themselves, outside of any graph
  graphs    in a call; 1 and nothing outside: the call is one graph
  waits     the host waits for the device at every step
  grouped   grouped convolutions; scatters: additions that have no fixed order
  MB moved  a member-step's operands and results, by XLA; MB held: memory of a member, by XLA, and
            as the grouping of runs estimates it

With --fixed the program is the one whose number of steps is compiled in; with --no_graphs XLA's own
graphs are left as they are; with --deterministic it is that of `config.deterministic`; with
--as_trained it also flips images, drops the learning rate and watches every filter, as the runs of
Table 1 do. Nothing is run: there are no times.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import re
import sys
import tempfile
import time
from pathlib import Path
from typing import Any
from unittest import mock

import jax
import numpy as np
from jax.experimental import topologies
from jax.sharding import SingleDeviceSharding

sys.path.insert(0, str(Path(__file__).parents[2]))

import thunks
from moved import step_bytes
from workload import BATCH, fresh, make_workload, plan_of, seeded

from sparsity_jax.distributed import graphs
from sparsity_jax.training.calls import FIXED_STEPS
from sparsity_jax.training.grouping import member_bytes
from sparsity_jax.training.members import stack
from sparsity_jax.training.population import MemberMapping, _compiled

CASES = (
    "unroll:1", "unroll:1:bf16", "unroll:4", "hybrid:5", "hybrid:7", "hybrid:8:bf16", "hybrid:16",
    "vmap:16",
)  # fmt: skip
# An H100 SXM by its data sheet, in the words of XLA's GpuTargetConfig. Without the three versions
# XLA takes the driver for one that knows no graphs of convolutions and loops.
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
  driver_version: "13.0.0"  runtime_version: "13.0.0"  compile_time_toolkit_version: "13.0.0"
}
platform_name: "CUDA"
dnn_version_info { major: 9 minor: 8 }
device_description_str: "NVIDIA H100 80GB HBM3"
"""
# Triton's products and cuBLAS' fastest are chosen by timing them, which needs the device.
OPTIONS = {"xla_gpu_enable_triton_gemm": False, "xla_gpu_autotune_level": 0}
TRAINED = {"flip": True, "activity": True, "drops": ((312_500, 0.1),)}
SCATTER = re.compile(r" (?:\w+-)*scatter\(")
GROUPED = re.compile(r"(?:feature|batch)_group_count=(\d+)")
HEADER = (
    "case              kernels  outside  graphs  waits  grouped  scatters  "
    "MB moved  MB held  estimated  compiled in"
)


@dataclasses.dataclass(frozen=True)
class Program:
    """A compiled program in numbers; megabytes and kernels are a member's."""

    case: str
    kernels: float
    outside: int
    graphs: int
    waits: bool
    grouped: int
    scatters: int
    moved: float
    held: float
    estimated: float
    seconds: float

    def __str__(self) -> str:
        """A row."""
        waits = "yes" if self.waits else "no"
        return (
            f"{self.case:17} {self.kernels:7.1f} {self.outside:8} {self.graphs:7} {waits:>6} "
            f"{self.grouped:8} {self.scatters:9} {self.moved:9.0f} {self.held:8.0f} "
            f"{self.estimated:10.0f} {self.seconds:8.0f} s"
        )


def h100() -> Any:
    """The described device.

    Raises:
      NotImplementedError: there is no compiler for CUDA here.
    """
    os.environ.setdefault("JAX_SKIP_CUDA_CONSTRAINTS_CHECK", "1")  # which would look for a driver
    there = topologies.get_topology_desc(platform="cuda", topology="1x1x1", target_config=H100)
    return there.devices[0]


def compiled(case: str, asked: argparse.Namespace, device: Any) -> Program:
    """Compile a case ('hybrid:8:bf16') and count what is in it."""
    mapping, members, *precision = case.split(":")
    lowered, estimate = _lowered(mapping, int(members), bool(precision), asked, device)
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        made = lowered.compile(compiler_options=_options(asked) | {"xla_dump_to": folder})
        launches = thunks.count(thunks.read(Path(folder)), traced=not asked.fixed)
    text, memory = made.as_text() or "", made.memory_analysis()
    return Program(
        case=case,
        kernels=launches.step / int(members),
        outside=launches.outside,
        graphs=launches.graphs,
        waits=launches.waits,
        grouped=sum(int(groups) > 1 for groups in GROUPED.findall(text)),
        scatters=len(SCATTER.findall(text)),
        moved=step_bytes(text) / int(members) / 1e6,
        held=(memory.temp_size_in_bytes + memory.output_size_in_bytes) / int(members) / 1e6,
        estimated=estimate / 1e6,
        seconds=time.monotonic() - began,
    )


def _lowered(
    mapping: str, members: int, bf16: bool, asked: argparse.Namespace, device: Any
) -> tuple[Any, int]:
    """The program before compilation, and our estimate of a member's bytes."""
    work, own = make_workload(plan_of(asked.network), images=20 * BATCH), seeded(members)
    precision = "bfloat16" if bf16 else "float32"
    setup = dataclasses.replace(
        work.program, precision=precision, **(TRAINED if asked.as_trained else {})
    )
    state = jax.eval_shape(lambda: fresh(dataclasses.replace(work, program=setup), own))
    orders = np.zeros((members, 20 * BATCH), np.int32)
    here = SingleDeviceSharding(device)
    shapes = jax.tree.map(
        lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=here),
        (stack(own), orders, state, work.data, np.int32(1)),
    )
    fixed = FIXED_STEPS if asked.fixed else None
    with mock.patch.object(jax, "default_backend", return_value="gpu"):
        program: Any = _compiled(setup, MemberMapping(mapping), fixed, ())
        return program.trace(*shapes).lower(), member_bytes(setup)


def _options(asked: argparse.Namespace) -> dict[str, Any]:
    with mock.patch.object(jax, "default_backend", return_value="gpu"):
        own = {} if asked.no_graphs else dict(graphs.compiler_options())
    deterministic = {"xla_gpu_deterministic_ops": True} if asked.deterministic else {}
    return OPTIONS | own | deterministic


def main() -> None:
    """Print a row for each case."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--network", default="1x32x3", help="width x side x channels")
    parser.add_argument("--cases", nargs="+", default=CASES)
    for name in ("fixed", "no_graphs", "deterministic", "as_trained"):
        parser.add_argument(f"--{name}", action="store_true")
    parser.add_argument("--json", type=Path)
    asked = parser.parse_args()
    try:
        device = h100()
    except NotImplementedError:
        parser.error("there is no compiler for CUDA here: pip install 'jax[cuda13]'")
    print(HEADER)
    rows = []
    for case in asked.cases:
        rows.append(compiled(case, asked, device))
        print(rows[-1], flush=True)
        if asked.json:
            asked.json.write_text(json.dumps([dataclasses.asdict(row) for row in rows], indent=1))


if __name__ == "__main__":
    main()
