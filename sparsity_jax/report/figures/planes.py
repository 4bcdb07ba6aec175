"""Planes that rows span: the same training at several strengths times several other values.

The other setting is the learning rate, the batch size or the width. A plane has at least three
strengths and three values, and runs in at least half of its cells; what is missing stays empty.
"""

from __future__ import annotations

import dataclasses
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Literal, get_args

import numpy as np

from sparsity_jax.optimizers import OPTIMIZERS, default_learning_rate
from sparsity_jax.report.aggregate import Group, groups, variant_parts
from sparsity_jax.report.paper.pairs import width_of
from sparsity_jax.storage.results import RunResult

Setting = Literal["learning_rate", "batch_size", "width"]
SETTINGS: tuple[Setting, ...] = get_args(Setting)
LEAST = 3  # strengths, and values of the other setting
LEAST_RUN = 0.5  # of the cells
_PREFIX = {"learning_rate": "lr=", "width": "width="}
_PAPERS = {"batch_size": 40.0, "width": 1.0}  # Sec. 2.1; learning rates are the optimizer's own


@dataclasses.dataclass(frozen=True)
class Plane:
    """Groups of runs of one optimizer and regularizer over strength and one more setting.

    Attributes:
      setting: what varies beside the strength.
      optimizer, regularizer, dataset, network, rest: what its runs have in common; `rest` is their
        variant without the part that varies.
      strengths, values: of the columns and of the lines, ascending.
      cells: (value, strength) -> the runs there; absent where nothing was run.
    """

    setting: Setting
    optimizer: str
    regularizer: str
    dataset: str
    network: str
    rest: str
    strengths: tuple[float, ...]
    values: tuple[float, ...]
    cells: Mapping[tuple[float, float], Group]

    def means(self, column: str) -> np.ndarray:
        """A column of results.csv, mean over seeds: (values, strengths), NaN where unknown."""
        return np.array(
            [
                [self._mean(value, strength, column) for strength in self.strengths]
                for value in self.values
            ]
        )

    @property
    def papers(self) -> float | None:
        """The value that the paper trains with by default, if it is among these."""
        usual = _usual(self.setting, self.optimizer)
        return usual if usual in self.values else None

    def _mean(self, value: float, strength: float, column: str) -> float:
        group = self.cells.get((value, strength))
        return group.spread(column).mean if group else math.nan


def planes(rows: Sequence[RunResult], setting: Setting) -> list[Plane]:
    """The planes over strength and this setting, one an optimizer and regularizer, in rows' order.

    Where several data sets, networks or variants span one, the planes of the one with most runs.

    Example:
      >>> rows = [RunResult(f"{s}-{b}", "d", "n", "adam", "l2", s, b)
      ...         for s in (1e-4, 1e-3, 1e-2) for b in (20, 40, 80)]
      >>> [(p.optimizer, p.values) for p in planes(rows, "batch_size")]
      [('adam', (20.0, 40.0, 80.0))]
    """
    members: dict[tuple[str, ...], list[tuple[float, Group]]] = {}
    for group in groups(rows):
        row = group.first
        value, rest = _split(row, setting)
        if row.strength > 0 and not math.isnan(value):
            same = (row.dataset, row.network, rest, row.optimizer, row.regularizer)
            members.setdefault(same, []).append((value, group))
    found = [_plane(setting, same, listed) for same, listed in members.items()]
    spanned = [plane for plane in found if _is_spanned(plane)]
    sizes = Counter[tuple[str, str, str]]()
    for plane in spanned:
        sizes[plane.dataset, plane.network, plane.rest] += len(plane.cells)
    most = max(sizes, key=lambda same: sizes[same], default=None)
    return [plane for plane in spanned if (plane.dataset, plane.network, plane.rest) == most]


def _plane(setting: Setting, same: tuple[str, ...], listed: Sequence[tuple[float, Group]]) -> Plane:
    dataset, network, rest, optimizer, regularizer = same
    return Plane(
        setting,
        optimizer,
        regularizer,
        dataset,
        network,
        rest,
        strengths=tuple(sorted({group.first.strength for _, group in listed})),
        values=tuple(sorted({value for value, _ in listed})),
        cells={(value, group.first.strength): group for value, group in listed},
    )


def _is_spanned(plane: Plane) -> bool:
    columns, lines = len(plane.strengths), len(plane.values)
    return min(columns, lines) >= LEAST and len(plane.cells) >= LEAST_RUN * columns * lines


def _split(row: RunResult, setting: Setting) -> tuple[float, str]:
    """The value of the setting, and the variant without it: (0.25, 'bg=clean')."""
    if setting == "batch_size":
        return float(row.batch_size), row.variant
    prefix, parts = _PREFIX[setting], variant_parts(row.variant)
    mine = "".join(part for part in parts if part.startswith(prefix))
    rest = [part for part in parts if not part.startswith(prefix)]
    rest += [f"batch {row.batch_size}"]
    if setting == "width":
        return width_of(mine), "+".join(rest)
    return _rate(mine, row.optimizer), "+".join(rest)


def _rate(part: str, optimizer: str) -> float:
    try:
        return float(part.removeprefix("lr="))
    except ValueError:  # no such part: the optimizer's own
        return _usual("learning_rate", optimizer) or math.nan


def _usual(setting: Setting, optimizer: str) -> float | None:
    if setting == "learning_rate":
        return default_learning_rate(optimizer) if optimizer in OPTIMIZERS else None
    return _PAPERS[setting]
