"""Errors by class, and which classes are taken for which, of groups of runs."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from sparsity_jax.report.aggregate import Group, groups
from sparsity_jax.report.loading import Records


class Confused(NamedTuple):
    """A class that is taken for another: how often, in images and in percent of the class."""

    name: str
    taken_for: str
    images: int
    pct: float


@dataclasses.dataclass(frozen=True)
class ClassErrors:
    """Test images of a group of runs by class and by the class that they were taken for.

    Attributes:
      group: the runs; those with several seeds are added up.
      names: of the classes.
      pairs: (pairs, 3) class, class taken for, images.

    Example:
      >>> errors = ClassErrors(group, ("cat", "dog"), np.array([[0, 0, 8], [0, 1, 2], [1, 1, 10]]))
      ... # doctest: +SKIP
      >>> errors.pct.tolist(), errors.most_confused(1)  # doctest: +SKIP
      ([20.0, 0.0], [Confused(name='cat', taken_for='dog', images=2, pct=20.0)])
    """

    group: Group
    names: tuple[str, ...]
    pairs: np.ndarray

    @property
    def images(self) -> np.ndarray:
        """Test images of each class, over all seeds: (classes,)."""
        return np.bincount(self.pairs[:, 0], self.pairs[:, 2], len(self.names)).astype(int)

    @property
    def pct(self) -> np.ndarray:
        """Error of each class in percent, NaN for one without a test image: (classes,)."""
        wrong = self._wrong
        errors = np.bincount(wrong[:, 0], wrong[:, 2], len(self.names))
        with np.errstate(invalid="ignore"):
            return 100 * errors / self.images

    @property
    def matrix(self) -> np.ndarray:
        """Images by class and class taken for: (classes, classes)."""
        made = np.zeros((len(self.names), len(self.names)), int)
        np.add.at(made, (self.pairs[:, 0], self.pairs[:, 1]), self.pairs[:, 2])
        return made

    def hardest(self, most: int) -> list[tuple[str, float]]:
        """(name, error in percent) of the classes with most errors, those without any left out."""
        order = np.argsort(-np.nan_to_num(self.pct), kind="stable")[:most]
        return [(self.names[i], float(self.pct[i])) for i in order if self.pct[i] > 0]

    def most_confused(self, most: int) -> list[Confused]:
        """The pairs of classes that are confused most often, by images."""
        wrong, images = self._wrong, self.images.tolist()
        order = np.argsort(-wrong[:, 2], kind="stable")[:most]
        return [
            Confused(self.names[i], self.names[j], n, 100 * n / images[i])
            for i, j, n in wrong[order].tolist()
        ]

    @property
    def _wrong(self) -> np.ndarray:
        return self.pairs[self.pairs[:, 0] != self.pairs[:, 1]]


def class_errors(records: Records) -> list[ClassErrors]:
    """The errors by class of every group of runs that has them, in the rows' order."""
    known = {record.name: record.class_names for record, _ in records.data}
    found = []
    for group in groups(records.rows):
        parts = [
            records.measures[row.run].confusion
            for row in group.finished
            if row.run in records.measures and len(records.measures[row.run].confusion)
        ]
        if parts:
            pairs = _added(parts)
            classes = int(pairs[:, :2].max()) + 1
            names = known.get(group.first.dataset, ())
            if len(names) < classes:
                names = tuple(f"class {i}" for i in range(classes))
            found.append(ClassErrors(group, names, pairs))
    return found


def _added(parts: Sequence[np.ndarray]) -> np.ndarray:
    """The counts of several runs, pair by pair."""
    every = np.concatenate(parts).astype(np.int64)
    pairs, where = np.unique(every[:, :2], axis=0, return_inverse=True)
    counts = np.bincount(where.ravel(), every[:, 2], len(pairs)).astype(np.int64)
    return np.column_stack([pairs, counts])
