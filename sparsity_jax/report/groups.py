"""Which runs belong together, and what does a reader call them?

Runs that differ in their seed alone form a group; a group is reported as mean ± standard deviation
over its finished runs. Names shown to readers mention what varies and leave out what does not.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence

import numpy as np

from sparsity_jax.storage.records import RunResult, strength_text

OPTIMIZER_NAMES = {
    "sgd": "SGD", "adam": "Adam", "amsgrad": "AMSGrad", "adamax": "Adamax", "rmsprop": "RMSProp",
    "adadelta": "Adadelta", "adagrad": "Adagrad",
}  # fmt: skip
REGULARIZER_NAMES = {"l2": "L2", "wd": "WD"}

Key = tuple[str, str, str, str, float, int, str]


@dataclasses.dataclass(frozen=True)
class Spread:
    """Mean, sample standard deviation (NaN for n < 2) and number of the values that exist."""

    mean: float
    std: float
    n: int


@dataclasses.dataclass(frozen=True)
class Group:
    """The runs that differ in their seed alone."""

    key: Key
    label: str
    rows: tuple[RunResult, ...]

    @property
    def finished(self) -> tuple[RunResult, ...]:
        """Its finished runs: the only ones that numbers are taken from."""
        return tuple(row for row in self.rows if row.status == "finished")

    @property
    def first(self) -> RunResult:
        """One run that stands for the group: a finished one where there is one."""
        return (*self.finished, *self.rows)[0]

    def spread(self, column: str) -> Spread:
        """Mean ± std of a column of results.csv over the finished runs."""
        return spread([float(_value(row, column)) for row in self.finished])

    def layers(self) -> list[Spread]:
        """Mean ± std of the sparsity of every layer."""
        depth = max((len(row.layers) for row in self.finished), default=0)
        return [
            spread([row.layers[i] for row in self.finished if i < len(row.layers)])
            for i in range(depth)
        ]

    def status(self) -> str:
        """'finished', or what became of the runs: '2 finished, 1 diverged'."""
        names = [row.status for row in self.rows]
        if len(set(names)) == 1:
            return names[0]
        return ", ".join(f"{names.count(name)} {name}" for name in dict.fromkeys(names))


def spread(values: Sequence[float]) -> Spread:
    """Mean ± sample standard deviation of the values that are not NaN.

    Example:
      >>> spread([1.0, 3.0, float("nan")])
      Spread(mean=2.0, std=1.4142135623730951, n=2)
    """
    known = [value for value in values if not math.isnan(value)]
    if not known:
        return Spread(math.nan, math.nan, 0)
    std = float(np.std(known, ddof=1)) if len(known) > 1 else math.nan
    return Spread(float(np.mean(known)), std, len(known))


def key(row: RunResult) -> Key:
    """What a run is, its seed aside."""
    return (
        row.dataset, row.network, row.optimizer, row.regularizer, row.strength, row.batch_size,
        row.variant,
    )  # fmt: skip


def groups(rows: Sequence[RunResult]) -> list[Group]:
    """The groups in the order in which their first run appears."""
    members: dict[Key, list[RunResult]] = {}
    for row in rows:
        members.setdefault(key(row), []).append(row)
    varying, shared = varies(rows), shared_parts(rows)
    return [
        Group(which, label(same[0], varying, shared), tuple(same))
        for which, same in members.items()
    ]


def varies(rows: Sequence[RunResult]) -> frozenset[str]:
    """Which of dataset, network and batch size differ among the rows."""
    names = ("dataset", "network", "batch_size")
    return frozenset(name for name in names if len({getattr(row, name) for row in rows}) > 1)


def variant_parts(variant: str) -> tuple[str, ...]:
    """The parts of a variant: 'width=0.25+bg=clean' -> ('width=0.25', 'bg=clean')."""
    return tuple(part for part in variant.split("+") if part)


def shared_parts(rows: Sequence[RunResult]) -> frozenset[str]:
    """The parts of their variants that all rows have in common."""
    parts = [frozenset(variant_parts(row.variant)) for row in rows]
    return frozenset.intersection(*parts) if parts else frozenset()


def label(
    row: RunResult,
    varying: frozenset[str] = frozenset(),
    shared: frozenset[str] = frozenset(),
) -> str:
    """What a reader calls a run: its `varying` fields, its variant without the `shared` parts.

    Example:
      >>> label(RunResult("r", "CIFAR10", "BasicNet", "adam", "l2", 1e-3, 40))
      'Adam L2 1e-03'
    """
    regularizer = REGULARIZER_NAMES.get(row.regularizer, row.regularizer)
    kind = f" {regularizer} {strength_text(row.strength)}"
    if row.regularizer == "none":
        kind = ", no regularizer"
    parts = [OPTIMIZER_NAMES.get(row.optimizer, row.optimizer) + kind]
    parts += [f"batch {row.batch_size}"] if "batch_size" in varying else []
    parts += [str(getattr(row, name)) for name in ("network", "dataset") if name in varying]
    return ", ".join([*parts, *(p for p in variant_parts(row.variant) if p not in shared)])


def run_labels(rows: Sequence[RunResult]) -> dict[str, str]:
    """Run -> its label, with the seed where the group has several."""
    labels = {}
    for group in groups(rows):
        for row in group.rows:
            seed = f", seed {row.seed}" if len(group.rows) > 1 else ""
            labels[row.run] = group.label + seed
    return labels


def panel_labels(rows: Sequence[RunResult]) -> dict[str, str]:
    """Run -> its group's label, for figures that show one run of each group."""
    return {row.run: group.label for group in groups(rows) for row in group.rows}


def representatives(rows: Sequence[RunResult], limit: int) -> tuple[str, ...]:
    """Runs that stand for all: the first finished one of each group, in the rows' order.

    With more groups than `limit`, those evenly spread over the ranks of sparsity, the least and the
    most sparse among them.
    """
    candidates = [group.first for group in groups(rows) if group.finished]
    if len(candidates) > limit:
        ranked = sorted(candidates, key=lambda row: (row.sparsity_gamma, row.run))
        ranks = np.linspace(0, len(ranked) - 1, limit).round().astype(int)
        picked = {ranked[i].run for i in ranks}
        candidates = [row for row in candidates if row.run in picked]
    return tuple(row.run for row in candidates)


def _value(row: RunResult, column: str) -> float:
    value = getattr(row, column)
    return math.nan if value is None else value
