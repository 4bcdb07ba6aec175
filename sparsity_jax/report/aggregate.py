"""Groups of runs that differ in their seed alone, and what readers call them.

Runs that differ in their seed alone form a group; a group is reported as mean ± standard deviation
over its finished runs. Names shown to readers mention what varies and leave out what does not.
"""

from __future__ import annotations

import dataclasses
import math
from collections import Counter
from collections.abc import Sequence

import numpy as np

from sparsity_jax.config.naming import strength_text
from sparsity_jax.storage.results import RunResult

OPTIMIZER_NAMES = {
    "sgd": "SGD",
    "adam": "Adam",
    "amsgrad": "AMSGrad",
    "adamax": "Adamax",
    "rmsprop": "RMSProp",
    "adadelta": "Adadelta",
    "adagrad": "Adagrad",
}
REGULARIZER_NAMES = {"l2": "L2", "wd": "WD"}
FIELDS = ("dataset", "network", "batch_size")  # that labels tell where they vary
MOST = 0.75  # of a grid's settings: what they have in common goes without saying
KIND_BONUS = 10.0  # points of sparsity that an optimizer and regularizer not yet shown is worth

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
    """A run's identity, its seed aside."""
    return (
        row.dataset,
        row.network,
        row.optimizer,
        row.regularizer,
        row.strength,
        row.batch_size,
        row.variant,
    )


def groups(rows: Sequence[RunResult]) -> list[Group]:
    """The groups in the order in which their first run appears."""
    members: dict[Key, list[RunResult]] = {}
    for row in rows:
        members.setdefault(key(row), []).append(row)
    varying, unsaid = varies(rows), shared_parts(rows) | usual(rows)
    return [
        Group(which, label(same[0], varying, unsaid), tuple(same))
        for which, same in members.items()
    ]


def varies(rows: Sequence[RunResult]) -> frozenset[str]:
    """Those of dataset, network and batch size that differ among the rows."""
    return frozenset(name for name in FIELDS if len({getattr(row, name) for row in rows}) > 1)


def variant_parts(variant: str) -> tuple[str, ...]:
    """The parts of a variant: 'width=0.25+bg=clean' -> ('width=0.25', 'bg=clean')."""
    return tuple(part for part in variant.split("+") if part)


def shared_parts(rows: Sequence[RunResult]) -> frozenset[str]:
    """The parts of their variants that all rows have in common."""
    parts = [frozenset(variant_parts(row.variant)) for row in rows]
    return frozenset.intersection(*parts) if parts else frozenset()


def shared_text(rows: Sequence[RunResult]) -> str:
    """Text of the settings that all or most runs share; labels leave them out.

    Example:
      >>> shared_text([RunResult("r", "CIFAR10", "BasicNet", "adam", "l2", 1e-3, 40)])
      'BasicNet on CIFAR10, batch 40.'
    """
    where = " and ".join(dict.fromkeys(f"{row.network} on {row.dataset}" for row in rows[:50]))
    batch = [] if "batch_size" in varies(rows) else [f"batch {row.batch_size}" for row in rows[:1]]
    said = ", ".join([where, *batch, *sorted(shared_parts(rows))]) + "."
    common = ", ".join(sorted(usual(rows)))
    return f"{said} Unless said otherwise: {common}." if common else said


def usual(rows: Sequence[RunResult]) -> frozenset[str]:
    """Settings that most runs of a sweep have, such as 'batch 40'; the others name theirs.

    Of a batch size, a network, a data set or a part of the variants, the value that `MOST` of the
    settings have, if the others have another one. (A setting without the part would else be taken
    for a usual one.)
    """
    words = [_words(row) for row in {key(row): row for row in rows}.values()]
    counts = Counter(item for each in words for item in each.items())
    return frozenset(
        word
        for (kind, word), count in counts.items()
        if MOST * len(words) <= count < len(words) and all(kind in each for each in words)
    )


def label(
    row: RunResult,
    varying: frozenset[str] = frozenset(),
    unsaid: frozenset[str] = frozenset(),
) -> str:
    """Label of a run: its `varying` fields and its variant, without what is `unsaid`.

    Example:
      >>> label(RunResult("r", "CIFAR10", "BasicNet", "adam", "l2", 1e-3, 40))
      'Adam L2 1e-3'
    """
    regularizer = REGULARIZER_NAMES.get(row.regularizer, row.regularizer)
    kind = f" {regularizer} {strength_text(row.strength).replace('e-0', 'e-')}"
    if row.regularizer == "none":
        kind = ", no regularizer"
    optimizer = OPTIMIZER_NAMES.get(row.optimizer, row.optimizer) + kind
    told = [
        word
        for kind, word in _words(row).items()
        if word not in unsaid and (kind in varying or kind not in FIELDS)
    ]
    return ", ".join([optimizer, *told])


def _words(row: RunResult) -> dict[str, str]:
    """Words that a label may hold beside its first, by kind: 'lr' -> 'lr=1'."""
    fields = {"batch_size": f"batch {row.batch_size}", "network": row.network}
    parts = {part.partition("=")[0]: part for part in variant_parts(row.variant)}
    return fields | {"dataset": row.dataset} | parts


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

    With more groups than `limit`, the least and the most sparse, and then, one by one, the run
    farthest in sparsity from those already there; kinds of runs not yet there come first.
    """
    candidates = [group.first for group in groups(rows) if group.finished]
    if len(candidates) > limit:
        ranked = sorted(candidates, key=lambda row: (row.sparsity_gamma, row.run))
        picked = [ranked[-1], ranked[0]][:limit]
        while len(picked) < limit:
            there = {row.run for row in picked}
            left = [row for row in candidates if row.run not in there]
            picked.append(max(left, key=lambda row: _novelty(row, picked)))
        there = {row.run for row in picked}
        candidates = [row for row in candidates if row.run in there]
    return tuple(row.run for row in candidates)


def _novelty(row: RunResult, picked: Sequence[RunResult]) -> float:
    apart = min(abs(row.sparsity_gamma - other.sparsity_gamma) for other in picked)
    apart = 0.0 if math.isnan(apart) else apart
    kinds = {(other.optimizer, other.regularizer) for other in picked}
    return apart + KIND_BONUS * ((row.optimizer, row.regularizer) not in kinds)


def _value(row: RunResult, column: str) -> float:
    value = getattr(row, column)
    return math.nan if value is None else value
