"""Gamma, beta and the fate of every filter of one run, and its confusions: measure.npz."""

from __future__ import annotations

import dataclasses
import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from sparsity_jax.errors import UserError
from sparsity_jax.storage.history import Evaluation, decode_line, encode_line
from sparsity_jax.storage.io import write_atomically

TIMED = ("gamma", "beta", "fired", "train_peak", "decay", "pull")  # (T, filters) by layer
FINAL = ("inactive_gamma", "inactive_act", "universality", "peak", "cut_step")
GROUPS = (*TIMED, *FINAL)


def _no_confusion() -> np.ndarray:
    return np.zeros((0, 3), np.int32)


@dataclasses.dataclass(frozen=True)
class Measurements:
    """Measurements of one run: every filter's gamma and beta over time, and its final fate.

    Attributes:
      step: (T,) steps at which gamma and beta were read; epoch: (T,) the same in epochs.
      gamma, beta: layer -> (T, filters).
      inactive_gamma, inactive_act: layer -> (filters,) bool, True = inactive at the end.
      universality: layer -> (filters,) in percent; empty when it was not measured.
      peak: layer -> (filters,) largest activation over the training images; empty in older files.
      fired, train_peak, decay, pull: layer -> (T, filters) over the steps since the evaluation
        before: share of the images in which a filter was active, its largest activation, the means
        of |strength * gamma| and of |d loss / d gamma|; NaN once a filter was cut. Empty where
        `config.record_activity` was off, and in older files.
      cut_step: layer -> (filters,) the step at which training cut a filter, -1 where it did not;
        empty where nothing was to be cut, and in older files.
      confusion: (pairs, 3) of the test images: class, class they were taken for, how many; without
        a line in older files.
    """

    step: np.ndarray
    epoch: np.ndarray
    gamma: Mapping[str, np.ndarray]
    beta: Mapping[str, np.ndarray]
    inactive_gamma: Mapping[str, np.ndarray] = dataclasses.field(default_factory=dict)
    inactive_act: Mapping[str, np.ndarray] = dataclasses.field(default_factory=dict)
    universality: Mapping[str, np.ndarray] = dataclasses.field(default_factory=dict)
    peak: Mapping[str, np.ndarray] = dataclasses.field(default_factory=dict)
    fired: Mapping[str, np.ndarray] = dataclasses.field(default_factory=dict)
    train_peak: Mapping[str, np.ndarray] = dataclasses.field(default_factory=dict)
    decay: Mapping[str, np.ndarray] = dataclasses.field(default_factory=dict)
    pull: Mapping[str, np.ndarray] = dataclasses.field(default_factory=dict)
    cut_step: Mapping[str, np.ndarray] = dataclasses.field(default_factory=dict)
    confusion: np.ndarray = dataclasses.field(default_factory=_no_confusion)

    @property
    def layers(self) -> tuple[str, ...]:
        """Layer names in the order they were written."""
        return tuple(self.gamma)


def encode_measurements(measurements: Measurements) -> dict[str, np.ndarray]:
    """Flatten measurements into arrays 'step', 'epoch', 'gamma/C1', 'beta/C1' and so on."""
    arrays = {"step": np.asarray(measurements.step), "epoch": np.asarray(measurements.epoch)}
    for group in GROUPS:
        for layer, values in getattr(measurements, group).items():
            arrays[f"{group}/{layer}"] = np.asarray(values)
    return arrays | ({"confusion": measurements.confusion} if len(measurements.confusion) else {})


def decode_measurements(arrays: Mapping[str, np.ndarray]) -> Measurements:
    """Undo `encode_measurements`; arrays of unknown groups are ignored."""
    groups: dict[str, Any] = {group: {} for group in GROUPS}
    for name in arrays:
        group, _, layer = name.partition("/")
        if layer and group in groups:
            groups[group][layer] = arrays[name]
    confusion = arrays.get("confusion", _no_confusion())
    return Measurements(step=arrays["step"], epoch=arrays["epoch"], confusion=confusion, **groups)


def write_measurements(path: Path, measurements: Measurements) -> None:
    """Write `measure.npz`, uncompressed: floats hardly shrink and reports read many of them."""
    buffer = io.BytesIO()
    np.savez(buffer, **encode_measurements(measurements))  # pyright: ignore[reportArgumentType]
    write_atomically(path, buffer.getvalue())


def read_measurements(path: Path) -> Measurements:
    """Read `measure.npz`.

    Raises:
      UserError: it is damaged; names the file.
      FileNotFoundError: it is not there.
    """
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
            return decode_measurements({name: arrays[name] for name in arrays.files})
    except FileNotFoundError:
        raise
    except Exception as error:
        raise UserError(f"{path} is damaged ({error}); delete it and run again") from None


@dataclasses.dataclass
class EvalLog:
    """Evaluations in order of steps, and what was seen of every filter at each.

    Attributes:
      evaluations: in order.
      filters: layer -> its number of filters, in the network's order.
      groups: what is kept of every filter, of `TIMED`.
      rows: for each evaluation the first group of all layers, then the next, in one array of its
        own: it grows for as long as a run trains, and views would keep the device's buffers.
    """

    evaluations: list[Evaluation] = dataclasses.field(default_factory=list)
    filters: dict[str, int] = dataclasses.field(default_factory=dict)
    groups: tuple[str, ...] = ()
    rows: list[np.ndarray] = dataclasses.field(default_factory=list)

    def add(self, evaluation: Evaluation, **groups: Layers) -> None:
        """Append what was observed at one evaluation: gamma, beta, and others of `TIMED`."""
        self.evaluations.append(evaluation)
        self.filters = {layer: len(values) for layer, values in groups["gamma"].items()}
        self.groups = tuple(groups)
        self.rows.append(
            np.concatenate([values for layers in groups.values() for values in layers.values()])
        )

    def arrays(self) -> dict[str, np.ndarray]:
        """'gamma/C1' -> (evaluations, filters), and the same for the other groups."""
        if not self.rows:
            return {}
        names = [f"{group}/{layer}" for group in self.groups for layer in self.filters]
        ends = np.cumsum([*self.filters.values()] * len(self.groups))[:-1]
        parts = np.split(np.stack(self.rows), ends, axis=1)
        return {name: part.copy() for name, part in zip(names, parts, strict=True)}

    def latest_norms(self) -> dict[str, dict[str, np.ndarray]]:
        """'gamma' and 'beta' -> layer -> (filters,), of the last evaluation."""
        ends = np.cumsum([*self.filters.values()] * len(self.groups))[:-1]
        parts = iter(np.split(self.rows[-1], ends))
        found = {group: dict(zip(self.filters, parts, strict=False)) for group in self.groups}
        return {group: found[group] for group in ("gamma", "beta")}

    def layers(self, group: str) -> dict[str, np.ndarray]:
        """Layer -> (evaluations, filters) of one group; empty where it is not kept."""
        prefix, arrays = f"{group}/", self.arrays()
        return {
            name.removeprefix(prefix): values
            for name, values in arrays.items()
            if name.startswith(prefix)
        }

    def lines(self) -> list[str]:
        """Write the evaluations as text, for a checkpoint's notes."""
        return [encode_line(evaluation) for evaluation in self.evaluations]

    @classmethod
    def of(cls, lines: list[str], arrays: Mapping[str, np.ndarray]) -> EvalLog:
        """Make the log whose `lines` and `arrays` these are."""
        filters = {
            name.partition("/")[2]: values.shape[1]
            for name, values in arrays.items()
            if name.startswith("gamma/")
        }
        groups = tuple(group for group in TIMED if any(n.startswith(f"{group}/") for n in arrays))
        parts = [arrays[f"{group}/{layer}"] for group in groups for layer in filters]
        rows = list(np.concatenate(parts, axis=1)) if parts else []
        return cls([decode_line(line) for line in lines], filters, groups, rows)

    def measure(self, **final: Any) -> Measurements:
        """Make the run's `Measurements`, with its `final` masks, universality and cuts."""
        return Measurements(
            step=np.array([evaluation.step for evaluation in self.evaluations]),
            epoch=np.array([evaluation.epoch for evaluation in self.evaluations]),
            **{"gamma": {}, "beta": {}, **{group: self.layers(group) for group in self.groups}},
            **final,
        )


Layers = Mapping[str, np.ndarray]
