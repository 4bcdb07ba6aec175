"""How fast is a step of one run beside PyTorch's, on a CPU and on a GPU?"""

from __future__ import annotations

from collections.abc import Sequence

from cells import Goal, Row, compared
from peers import COMPILED, EAGER, torch_process
from terms import Found, Terms
from timing import in_rounds
from workload import alone, seeded

OURS = "ours"
CPU_GOALS = (Goal(1.0, (EAGER, COMPILED), "the faster"),)
GPU_GOALS = (Goal(5.0, (EAGER,), "eager"), Goal(1.5, (COMPILED,), "compiled"))


def cpu_step(terms: Terms, _: Found, *, network: str) -> Row:
    """On a CPU, with 50 batches of data."""
    terms.want("cpu")
    return _step(terms, network, CPU_GOALS, images=2_000)


def gpu_step(terms: Terms, _: Found, *, network: str) -> Row:
    """On a GPU, with as much data as CIFAR-10 has."""
    terms.want("gpu")
    return _step(terms, network, GPU_GOALS, images=50_000, rate=True)


def _step(
    terms: Terms, network: str, goals: Sequence[Goal], *, images: int, rate: bool = False
) -> Row:
    work = terms.work(network, images=images)
    with torch_process(terms.torch_python) as torch:
        columns = {OURS: alone(work, seeded(1)[0])}
        columns |= torch.columns(work.program.plan, images=work.data.train_size)
        found = in_rounds(columns, **terms.pace, deadline=terms.deadline)
    row = compared(found, ours=OURS, peers=[EAGER, COMPILED], goals=goals, rate=rate)
    row.details = [torch.version] if torch.version else []
    return row
