"""Which rows has the table?"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import NamedTuple

from cells import Row
from many_runs import collectives, cpu_group, gpu_population
from one_run import cpu_step, gpu_step
from processes import cpu_grid
from share import gpu_share
from terms import Found, Terms
from workload import BATCH

NETWORK = "1x32x3"
POPULATIONS = (4, 8, 16)


class Entry(NamedTuple):
    """Where, on what work, and how a row is measured."""

    where: str
    work: str
    measure: Callable[[Terms, Found], Row]


def _rows() -> dict[str, Entry]:
    cpu, gpu = "CPU", "NVIDIA GPU"
    rows = {"cpu-group": Entry(cpu, "quick start, 4 seeds in a group, a member-step", cpu_group)}
    for width in ("1", "0.25"):
        network = f"{width}x32x3"
        measure = functools.partial(cpu_step, network=network)
        work = f"BasicNet, width {width}, batch {BATCH}, a step"
        rows[f"cpu-step-{width}"] = Entry(cpu, work, measure)
    rows["gpu-step"] = Entry(
        gpu,
        f"BasicNet, batch {BATCH}, one run, a step",
        functools.partial(gpu_step, network=NETWORK),
    )
    sizes = {1: "gpu-step"}
    for size in POPULATIONS:
        sizes[size] = f"gpu-population-{size}"
        measure = functools.partial(gpu_population, network=NETWORK, size=size)
        rows[sizes[size]] = Entry(gpu, f"population of {size}, a member-step", measure)
    measure = functools.partial(gpu_share, network=NETWORK, sizes=sizes)
    rows["gpu-roofline"] = Entry(gpu, "share of the roofline", measure)
    rows["cpu-grid"] = Entry(cpu, "the whole quick start: 4 runs, a process per core", cpu_grid)
    rows["collectives"] = Entry("8 virtual CPU devices", "population of 16", collectives)
    return rows


ROWS = _rows()
