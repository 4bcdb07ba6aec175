"""Constants of removed filters, moved into one filter that stays."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple

import numpy as np
from jax.extend import core

from sparsity_jax.pruning.constants import Constants
from sparsity_jax.pruning.places import Line, Places


class Fold(NamedTuple):
    """Rows of a kernel that go into another row, times a factor.

    kernel[into] += factor * kernel[rows]      along one axis

    Exact wherever the rows' channels are constant maps: zero padding and strides treat the
    carrier's map as they treat theirs.

    Attributes:
      weights: the kernel and its axis of inputs.
      carrier: filter that stays.
      into: places of the carrier.
      rows: places of the filter that goes, as many.
      factor: constant of the filter that goes over the carrier's.
    """

    weights: Line
    carrier: int
    into: np.ndarray
    rows: np.ndarray
    factor: float


def find_folds(
    places: Places, constants: Constants, foldable: Collection[Line], gone: np.ndarray
) -> list[Fold]:
    """Choose carriers for the constants of filters that go.

    Filters that send constants other than zero to the same layers share one carrier: the one with
    the largest constant.

    Args:
      places: the network's.
      constants: what is known of its values.
      foldable: kernels that can take constants in.
      gone: (filters,) bool, filters that go.

    Example:
      >>> find_folds(places, constants, foldable, gone)  # doctest: +SKIP
      []
    """
    sent: dict[int, dict[Line, tuple[np.ndarray, float]]] = {}
    for meeting in places.meetings:
        constant = constants.get(meeting.value)
        if meeting.weights not in foldable or meeting.weights is None or constant is None:
            continue
        filters = places.filters[meeting.value]
        live = gone[filters] & constant.known & (constant.values != 0)
        for number in np.unique(filters[live]):
            at = np.flatnonzero(filters == number)
            found = sent.setdefault(int(number), {})
            found[meeting.weights] = (at, float(constant.values[at[0]]))
    alike: dict[frozenset[Line], list[int]] = {}
    for number, found in sent.items():
        alike.setdefault(frozenset(found), []).append(number)
    folds = []
    for lines, numbers in alike.items():
        carrier = max(numbers, key=lambda n: min(abs(sent[n][line][1]) for line in lines))
        for line in lines:
            into, largest = sent[carrier][line]
            folds += [
                Fold(line, carrier, into, rows, value / largest)
                for rows, value in (sent[n][line] for n in numbers if n != carrier)
            ]
            folds.append(Fold(line, carrier, into, into[:0], 0.0))  # names a carrier of its own
    return folds


def fold_kernels(
    folds: Sequence[Fold], kernels: Mapping[core.Var, np.ndarray]
) -> dict[core.Var, np.ndarray]:
    """Kernels with rows folded into their carriers'.

    Args:
      folds: what goes where.
      kernels: the kernels as they are.

    Example:
      >>> fold_kernels([], {})
      {}
    """
    found: dict[core.Var, np.ndarray] = {}
    for fold in folds:
        if not fold.rows.size:
            continue
        variable, axis = fold.weights
        kernel = np.moveaxis(np.array(found.get(variable, kernels[variable])), axis, 0)
        rows = np.moveaxis(kernels[variable], axis, 0)[fold.rows]
        kernel[fold.into] += (fold.factor * rows).astype(kernel.dtype)
        found[variable] = np.moveaxis(kernel, 0, axis)
    return found
