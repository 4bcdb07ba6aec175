"""How fast is a whole training step in each way of compiling it, and does it compute the same?

    python tests/benchmarks/gpu_variants.py [--out=FILE.json] [--only ROW ...] [--minutes=9]
        [--precisions float32 bfloat16] [--quick]

A row is a mapping, a number of members and what XLA is told of graphs:

  off             XLA's own graphs, cut around convolutions and the loop
  lhs             the whole call one graph, in the scheduler's order
  concurrent      the same, what is independent may overlap: what training takes
  no_while        as concurrent, without loops in graphs, the number of steps compiled in
  no_convolution  as no_while, without convolutions too

Each row runs in a process of its own, which is ended after two minutes: a compilation without end,
a hang or a crash costs its row and nothing else. Figures: milliseconds a member-step (median and
minimum), seconds until the first call returned, and the mean loss of the first member's first 50
steps, which must agree with `off` to 1e-3 in float32. The file is resumed. --quick measures in
miniature, anywhere, in one process: its figures mean nothing.
"""

from __future__ import annotations

import argparse
import dataclasses
import functools
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import jax

sys.path.insert(0, str(Path(__file__).parents[2]))

from resumable import ROW_SECONDS, Figures, measured
from terms import Terms
from timing import in_rounds, timed
from workload import BATCH, MINIATURE, Workload, fresh, make_workload, plan_of, seeded

from sparsity_jax.distributed.graphs import KINDS, Options, graph_options
from sparsity_jax.training import TrainState
from sparsity_jax.training.calls import FIXED_STEPS
from sparsity_jax.training.members import stack
from sparsity_jax.training.population import EpochOrders, MemberMapping, _compiled

NO_LOOPS = [kind for kind in KINDS if kind not in ("WHILE", "CONDITIONAL")]
VARIANTS: dict[str, Options] = {
    "off": (),
    "lhs": graph_options(KINDS, "LHS"),
    "concurrent": graph_options(),
    "no_while": graph_options(NO_LOOPS),
    "no_convolution": graph_options([kind for kind in NO_LOOPS if kind != "CONVOLUTION"]),
}
_PREALLOCATE = "XLA_PYTHON_CLIENT_PREALLOCATE"
FIXED = ("no_while", "no_convolution")
CASES = (
    "unroll:1:off", "unroll:1:lhs", "unroll:1:concurrent", "unroll:1:no_while",
    "unroll:1:no_convolution", "hybrid:7:concurrent", "hybrid:7:lhs", "hybrid:5:concurrent",
    "unroll:4:concurrent", "unroll:7:concurrent", "hybrid:16:concurrent", "hybrid:16:lhs",
    "vmap:16:concurrent", "vmap:16:off",
)  # fmt: skip


def variant_row(case: str, *, quick: bool) -> Figures:
    """Measure 'MAPPING:MEMBERS:VARIANT:PRECISION' here."""
    mapping, members, variant, precision = case.split(":")
    plan, batches = (MINIATURE, 5) if quick else (plan_of("1x32x3"), 1250)
    work = make_workload(plan, images=batches * BATCH)
    program = dataclasses.replace(work.program, precision=precision)
    work = dataclasses.replace(work, program=program)
    options = VARIANTS[variant]
    if jax.default_backend() != "gpu":
        options = ()
    fixed = variant in FIXED
    training = _Training(work, int(members), MemberMapping(mapping), options, fixed=fixed)
    began = time.monotonic()
    training.call()
    until_first = time.monotonic() - began
    loss = float(training.state.loss_sum[0]) / training.steps
    found = in_rounds({case: timed(training.take)}, **Terms(quick=quick).pace)
    times = [each / training.steps / int(members) for each in found.times[case]]
    return {
        "ms": sorted(times)[len(times) // 2],
        "least_ms": min(times),
        "first_call_s": until_first,
        "loss": loss,
    }


class _Training:
    """A population that trains in calls of 50 steps, of its first epoch again and again."""

    def __init__(
        self, work: Workload, members: int, mapping: MemberMapping, options: Options, *, fixed: bool
    ) -> None:
        own = seeded(members)
        self._hparams, self._data = stack(own), work.data
        self.steps = min(FIXED_STEPS, work.data.train_size // BATCH)
        self._compiled = _compiled(work.program, mapping, self.steps if fixed else None, options)
        self._orders = EpochOrders(self._hparams, work.data).of(0)
        self.state: TrainState = fresh(work, own)

    def call(self) -> None:
        """Take the steps of one call and wait."""
        self.take(1)
        jax.block_until_ready(self.state)

    def take(self, calls: int) -> TrainState:
        """Take the steps of that many calls; the device is not waited for in between."""
        for _ in range(calls):
            self.state = self._compiled(
                self._hparams, self._orders, self.state, self._data, self.steps
            )
        return self.state


def _apart(case: str) -> Figures:
    """Measure a row in a process of its own.

    Raises:
      RuntimeError: it failed, or took too long.
    """
    command = [sys.executable, __file__, "--row", case]
    usual = {name: value for name, value in os.environ.items() if name != _PREALLOCATE}
    try:
        done = subprocess.run(
            command, env=usual, capture_output=True, text=True, timeout=ROW_SECONDS, check=False
        )
    except subprocess.TimeoutExpired:
        raise RuntimeError(f"ended after {ROW_SECONDS:.0f} s") from None
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["no word"])[-1]
        raise RuntimeError(f"exit code {done.returncode}: {last}")
    return json.loads(done.stdout.splitlines()[-1])


def main() -> None:
    """Print a row for each case and precision."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path)
    parser.add_argument("--only", nargs="+", default=CASES, metavar="MAPPING:MEMBERS:VARIANT")
    parser.add_argument("--precisions", nargs="+", default=["float32", "bfloat16"])
    parser.add_argument("--minutes", type=float, default=9.0)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--row", help="measure this row alone and print it as JSON")
    asked = parser.parse_args()
    if asked.row:
        print(json.dumps(variant_row(asked.row, quick=asked.quick)))
        return
    names = [f"{case}:{precision}" for precision in asked.precisions for case in asked.only]
    os.environ[_PREALLOCATE] = "false"  # this process measures nothing: leave the memory to others
    here = functools.partial(variant_row, quick=True) if asked.quick else _apart
    rows = {name: functools.partial(here, name) for name in names}
    measured(rows, out=asked.out, minutes=asked.minutes, heading="milliseconds a member-step")


if __name__ == "__main__":
    main()
