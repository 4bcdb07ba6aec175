"""What share of what the device could do at best do one run and populations reach?"""

from __future__ import annotations

import statistics

from cells import Row, verdict
from one_run import OURS
from roofline import count, counted_by_xla, measure_ceilings
from terms import Found, Terms
from timing import NotMeasuredError
from workload import BATCH, MAPPINGS, seeded

GOAL = 35  # percent, of the largest population


def gpu_share(terms: Terms, done: Found, *, network: str, sizes: dict[int, str]) -> Row:
    """The least milliseconds of a step over what a member-step took, by population.

    Args:
      terms: how much is measured.
      done: the rows so far, whose best mapping counts.
      network: theirs.
      sizes: the name of the row of every number of members, the largest last.
    """
    terms.want("gpu")
    best = {size: _best(done[name]) for size, name in sizes.items() if name in done}
    if not best:
        raise NotMeasuredError("none of the GPU's steps was")
    least, said = _least(terms, network)
    shares = {size: 100 * least / ms for size, ms in best.items()}
    largest = max(sizes)
    judged = verdict(shares[largest] >= GOAL) if largest in shares else "not measured"
    return Row(
        ours="; ".join(f"{size} members {share:.2g} %" for size, share in shares.items()),
        goal=f"≥ {GOAL} % with {largest}: {judged}",
        details=[said],
        complete=all(name in done and done[name].complete for name in sizes.values()),
    )


def _best(row: Row) -> float:
    return min(
        statistics.median(row.times[name]) for name in (OURS, *MAPPINGS) if name in row.times
    )


def _least(terms: Terms, network: str) -> tuple[float, str]:
    """Milliseconds that a step takes at least, and how that comes about."""
    work = terms.work(network, images=BATCH)
    ours, theirs = count(work.program.plan, BATCH), counted_by_xla(work, seeded(1)[0])
    ceilings = measure_ceilings(quick=terms.quick, **terms.pace)
    least = ceilings.least_ms(ours)
    return least, (
        f"a step needs {ours.flops / 1e9:.3g} GFLOP and {ours.bytes / 1e9:.3g} GB, counted from "
        f"the plan (XLA counts {theirs.flops / 1e9:.3g} and {theirs.bytes / 1e9:.3g}); a large "
        f"matrix product runs at {ceilings.flops / 1e12:.3g} TFLOP/s, a large copy at "
        f"{ceilings.bytes / 1e12:.3g} TB/s: it takes {least:.3g} ms at least"
    )
