"""What has been observed of a run so far: its evaluations, and every filter's gamma and beta.

A trace travels with the run's checkpoints, so that a resumed run has the same past as one that was
never interrupted.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np

from sparsity_jax.storage.artifacts import Measure
from sparsity_jax.storage.history import Evaluation, decode_line, encode_line

Layers = Mapping[str, np.ndarray]
_GROUPS = ("gamma", "beta")


@dataclasses.dataclass
class Trace:
    """Evaluations in order of steps, and gamma and beta of every filter at each.

    Fields:
      evaluations: in order.
      filters: layer -> its number of filters, in the network's order.
      norms: for each evaluation gamma of all layers, then beta, in one array of its own: it grows
        for as long as a run trains, and views would keep the device's buffers.
    """

    evaluations: list[Evaluation] = dataclasses.field(default_factory=list)
    filters: dict[str, int] = dataclasses.field(default_factory=dict)
    norms: list[np.ndarray] = dataclasses.field(default_factory=list)

    def add(self, evaluation: Evaluation, *, gamma: Layers, beta: Layers) -> None:
        """Append what was observed at one evaluation."""
        self.evaluations.append(evaluation)
        self.filters = {layer: len(values) for layer, values in gamma.items()}
        self.norms.append(np.concatenate([*gamma.values(), *beta.values()]))

    def arrays(self) -> dict[str, np.ndarray]:
        """'gamma/C1' -> (evaluations, filters), and the same for beta."""
        if not self.norms:
            return {}
        names = [f"{group}/{layer}" for group in _GROUPS for layer in self.filters]
        ends = np.cumsum([*self.filters.values()] * len(_GROUPS))[:-1]
        parts = np.split(np.stack(self.norms), ends, axis=1)
        return {name: part.copy() for name, part in zip(names, parts, strict=True)}

    def lines(self) -> list[str]:
        """The evaluations as text, for a checkpoint's notes."""
        return [encode_line(evaluation) for evaluation in self.evaluations]

    @classmethod
    def of(cls, lines: list[str], arrays: Mapping[str, np.ndarray]) -> Trace:
        """The trace whose `lines` and `arrays` these are."""
        filters = {
            name.partition("/")[2]: values.shape[1]
            for name, values in arrays.items()
            if name.startswith("gamma/")
        }
        parts = [arrays[f"{group}/{layer}"] for group in _GROUPS for layer in filters]
        norms = list(np.concatenate(parts, axis=1)) if parts else []
        return cls([decode_line(line) for line in lines], filters, norms)

    def measure(self, **final: Any) -> Measure:
        """The run's `Measure`, with its `final` masks and universality."""
        arrays = self.arrays()
        times: dict[str, dict[str, np.ndarray]] = {"gamma": {}, "beta": {}}
        for name, values in arrays.items():
            group, _, layer = name.partition("/")
            times[group][layer] = values
        return Measure(
            step=np.array([evaluation.step for evaluation in self.evaluations]),
            epoch=np.array([evaluation.epoch for evaluation in self.evaluations]),
            gamma=times["gamma"],
            beta=times["beta"],
            **final,
        )
