"""How much faster is a grid in a process per core than in one?

    python tests/benchmarks/processes.py [--rounds=3] [--scale=1] [--processes 1 2]

Every round runs the whole command for the quick start once with each number of processes, from
nothing but the prepared pictures: start, compilation, training, measuring and report.
"""

from __future__ import annotations

import argparse
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

sys.path.insert(0, str(Path(__file__).parents[2]))

from cells import Row, verdict
from terms import Found, Terms
from timing import NotMeasuredError, load, machine

from sparsity_jax import data
from sparsity_jax.config.command_line import load_config
from sparsity_jax.distributed.cores import core_count

ROOT = Path(__file__).parents[2]
QUICK_START = ROOT / "configs" / "quickstart.py"
SMALL = ROOT / "tests" / "helpers" / "small_grid.py"
GOAL = 1.25


class Spent(NamedTuple):
    """What a command took, in seconds: by the clock, and on all cores together."""

    wall: float
    cores: float


def command(config: Path, processes: int, *, scale: float) -> Spent:
    """Run a config's whole command once, in a folder of its own, with nothing compiled before."""
    path = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
    with tempfile.TemporaryDirectory() as folder:
        line = [
            *(sys.executable, "-m", "sparsity_jax.main", f"--config={config}"),
            *(f"--workdir={folder}/grid", f"--processes={processes}", f"--config.scale={scale}"),
        ]
        env = {k: v for k, v in os.environ.items() if k != "JAX_COMPILATION_CACHE_DIR"}
        before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
        done = subprocess.run(
            line, env=env | {"PYTHONPATH": path}, capture_output=True, text=True, check=False
        )
        wall, after = time.perf_counter() - began, resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode:
        raise NotMeasuredError((done.stderr.strip().splitlines() or ["it failed"])[-1][:400])
    return Spent(wall, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)


def in_turns(config: Path, numbers: Sequence[int], *, rounds: int, scale: float) -> list[list]:
    """What the command took with each number of processes, one `Spent` a round."""
    views = load_config(str(config)).to_dict()["renderings"]
    data.load("renderings", renderings=views)  # drawn once, before anything is timed
    found: list[list[Spent]] = [[] for _ in numbers]
    for _ in range(rounds):
        for spent, number in zip(found, numbers, strict=True):
            spent.append(command(config, number, scale=scale))
    return found


def cpu_grid(terms: Terms, _: Found) -> Row:
    """The whole quick start, a process per core beside one."""
    terms.want("cpu")
    config, scale = (SMALL, 0.1) if terms.quick else (QUICK_START, 1.0)
    count = max(2, core_count())
    one, many = in_turns(config, (1, count), rounds=1 if terms.quick else 2, scale=scale)
    ratio = statistics.median(s.wall for s in one) / statistics.median(s.wall for s in many)
    return Row(
        ours=f"{count} processes {_text(many)}",
        peer=f"one process {_text(one)}",
        ratio=f"{ratio:.2f}×",
        goal=f"≥ {GOAL}×: {verdict(ratio >= GOAL)}",
    )


def _text(spent: Sequence[Spent]) -> str:
    wall, cores = (statistics.median(values) for values in zip(*spent, strict=True))
    return f"{wall:.3g} s ({cores:.3g} core-s)"


def main() -> None:
    """Print a line per round and number, and the ratios of the medians."""
    parser = argparse.ArgumentParser(description="Time the quick start in several processes.")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--scale", type=float, default=1.0)
    parser.add_argument("--processes", type=int, nargs="+", default=[1, max(2, core_count())])
    asked = parser.parse_args()
    print(f"{machine()}; {load()}")
    found = in_turns(QUICK_START, asked.processes, rounds=asked.rounds, scale=asked.scale)
    first = statistics.median(spent.wall for spent in found[0])
    for number, spent in zip(asked.processes, found, strict=True):
        ratio = first / statistics.median(each.wall for each in spent)
        each = ", ".join(f"{s.wall:.1f}" for s in spent)
        print(f"--processes={number}: {_text(spent)}, {ratio:.2f}x; rounds {each}")


if __name__ == "__main__":
    main()
