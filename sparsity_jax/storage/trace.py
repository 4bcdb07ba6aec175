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


@dataclasses.dataclass
class Trace:
    """Evaluations in order of steps, and gamma and beta of every layer (filters,) at each."""

    evaluations: list[Evaluation] = dataclasses.field(default_factory=list)
    gamma: list[Layers] = dataclasses.field(default_factory=list)
    beta: list[Layers] = dataclasses.field(default_factory=list)

    def add(self, evaluation: Evaluation, *, gamma: Layers, beta: Layers) -> None:
        """Append what was observed at one evaluation."""
        self.evaluations.append(evaluation)
        self.gamma.append(gamma)
        self.beta.append(beta)

    def arrays(self) -> dict[str, np.ndarray]:
        """'gamma/C1' -> (evaluations, filters), and the same for beta."""
        return {
            f"{group}/{layer}": np.stack([entry[layer] for entry in entries])
            for group, entries in (("gamma", self.gamma), ("beta", self.beta))
            for layer in (entries[0] if entries else ())
        }

    def lines(self) -> list[str]:
        """The evaluations as text, for a checkpoint's notes."""
        return [encode_line(evaluation) for evaluation in self.evaluations]

    @classmethod
    def of(cls, lines: list[str], arrays: Mapping[str, np.ndarray]) -> Trace:
        """The trace whose `lines` and `arrays` these are."""
        groups: dict[str, list[Layers]] = {}
        for group in ("gamma", "beta"):
            names = [name for name in arrays if name.startswith(f"{group}/")]
            groups[group] = [
                {name.partition("/")[2]: arrays[name][time] for name in names}
                for time in range(len(lines))
            ]
        return cls([decode_line(line) for line in lines], groups["gamma"], groups["beta"])

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
