"""The length of our runs beside the paper's: full, shortened or lengthened."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from sparsity_jax.config.paper_schedule import paper_schedule
from sparsity_jax.report.loading import Records
from sparsity_jax.storage.results import RunResult

SHORTEST, LONGEST = 0.99, 1.01  # shares of the paper's steps that still are full length
# Copies of the paper's data under another name; the page says where they stand in for it.
SAME_DATASET = {"cifar10_jpeg": "CIFAR10"}
_DATA: Mapping[str, str] = {  # as results.csv has them -> as config.data names them
    "CIFAR10": "cifar10",
    "CIFAR100": "cifar100",
    "TinyImageNet": "tiny_imagenet",
    "ImageNet": "imagenet2012",
    "ObjectNet3D-30": "objectnet3d",
}


def full_steps(dataset: str, network: str) -> int | None:
    """Steps of a full-length run of the paper's.

    Args:
      dataset: as in results.csv; a copy under another name counts as the original.
      network: as in results.csv; widths of BasicNet are as long as it.

    Returns:
      The steps; None for what the paper does not train.

    Example:
      >>> full_steps("CIFAR10", "BasicNet"), full_steps("ImageNet", "VGG-16")
      (406250, 1601450)
      >>> full_steps("renderings", "BasicNet") is None
      True
    """
    network = "BasicNet" if network.startswith("BasicNet") else network
    data = _DATA.get(SAME_DATASET.get(dataset, dataset))
    schedule = paper_schedule(data, network) if data else None
    return schedule.steps if schedule else None


def share(row: RunResult, scale: float = 1.0) -> float:
    """Length of a run as a share of the full length (1.0 is full).

    Args:
      row: a row of results.csv; one without steps is taken to be as long as asked.
      scale: of its config, for rows that do not hold their own: it says how long runs are that the
        paper has no length for.

    Example:
      >>> share(RunResult("r", "CIFAR10", "BasicNet", "adam", "l2", 1e-4, 40, steps=40625))
      0.1
    """
    full = full_steps(row.dataset, row.network)
    if full and row.steps:
        return row.steps / full
    return scale if math.isnan(row.scale) else row.scale


def is_full(length: float) -> bool:
    """Whether a run of this share of the full length is judged.

    Example:
      >>> is_full(1.0), is_full(0.98), is_full(1.02)
      (True, False, False)
    """
    return SHORTEST <= length <= LONGEST


def length_text(lengths: Sequence[float]) -> str:
    """'shortened to 12 %', 'lengthened to 200 %', both, or '' for full lengths.

    Example:
      >>> length_text([1.0, 0.125]), length_text([0.1, 0.25]), length_text([1.0])
      ('shortened to 12.5 %', 'shortened to 10-25 %', '')
    """
    short = sorted({each for each in lengths if each < SHORTEST})
    long = sorted({each for each in lengths if each > LONGEST})
    said = [
        f"{word}ened to {_range(values)} %"
        for word, values in (("short", short), ("length", long))
        if values
    ]
    return ", ".join(said)


def banner(records: Records) -> str:
    """Banner above anything that sets these runs beside the paper's; '' for full length.

    Example:
      >>> banner(Records("x", (RunResult("r", "CIFAR10", "BasicNet", "adam", "l2", 1e-4, 40,
      ...                                steps=40625),)))
      'shortened to 10 %'
    """
    finished = [row for row in records.rows if row.status == "finished"]
    return length_text([share(row, records.scale) for row in finished])


def unpublished(records: Records) -> str:
    """Names of the data of these runs that the paper does not train on; '' for none.

    Example:
      >>> unpublished(Records("x", (RunResult("r", "renderings", "BasicNet", "adam", "l2", 1e-3,
      ...                                     40),)))
      'renderings'
    """
    finished = [row for row in records.rows if row.status == "finished"]
    names = {row.dataset for row in finished if not full_steps(row.dataset, row.network)}
    return ", ".join(sorted(names))


def _range(values: Sequence[float]) -> str:
    ends = dict.fromkeys((_percent(values[0]), _percent(values[-1])))
    return "-".join(ends)


def _percent(length: float) -> str:
    if math.isclose(length, round(length, 2), abs_tol=5e-4):
        return f"{100 * length:.0f}"
    return f"{100 * length:.3g}"
