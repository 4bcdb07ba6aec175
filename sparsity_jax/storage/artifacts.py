"""Which files does a run, or a whole workdir, leave behind, and how are they encoded?

`config.json` (what was asked), `measure.npz` (gamma, beta, masks of one run) and `pruned.json`
(what pruning bought). The encoders and decoders are pure; `read_*` and `write_*` put files around
them. Every file is replaced whole, so that a reader never meets half of one.
"""

from __future__ import annotations

import dataclasses
import io
import json
import math
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from sparsity_jax.errors import UserError
from sparsity_jax.storage.gains import (
    FileSizes,
    Folded,
    Timing,
    decode_folded,
    decode_sizes,
    decode_timings,
)

GROUPS = ("gamma", "beta", "inactive_gamma", "inactive_act", "universality")


def write_atomically(path: Path, content: bytes) -> None:
    """Replaces the file at `path` with `content`; a reader sees the old file or the new one.

    The content is on the disk before its name is: not even a power failure leaves a half.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with temporary.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def plain(value: Any) -> Any:
    """`value` as JSON knows it: arrays and tuples become lists, NaN and infinity null."""
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, np.ndarray):
        return plain(value.tolist())
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, np.generic):
        return plain(value.item())
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value if value is None or isinstance(value, str | int | bool) else str(value)


@dataclasses.dataclass(frozen=True)
class ConfigRecord:
    """What was asked for, and with what it was computed: the content of `config.json`.

    Attributes:
      config: the resolved config as nested dictionaries.
      runs: the names of all runs of the grid, in order.
      versions: package name -> version.
      devices: one word or phrase for each device.
      commit: the commit of the code, or None.
      command: the line that starts the same thing again.
    """

    config: Mapping[str, Any]
    runs: tuple[str, ...] = ()
    versions: Mapping[str, str] = dataclasses.field(default_factory=dict)
    devices: tuple[str, ...] = ()
    commit: str | None = None
    command: str = ""


def write_config(path: Path, record: ConfigRecord) -> None:
    """Writes `config.json`; a ConfigDict inside must have been turned into dictionaries before."""
    text = json.dumps(plain(dataclasses.asdict(record)), indent=2) + "\n"
    write_atomically(path, text.encode())


def read_config(path: Path) -> ConfigRecord:
    """Reads `config.json`; raises UserError naming the file when it is not one of ours."""
    raw = _read_json(path)
    return ConfigRecord(
        config=raw.get("config") or {},
        runs=tuple(raw.get("runs") or ()),
        versions=raw.get("versions") or {},
        devices=tuple(str(device) for device in raw.get("devices") or ()),
        commit=raw.get("commit"),
        command=raw.get("command") or "",
    )


@dataclasses.dataclass(frozen=True)
class Measure:
    """What was measured in one run: every filter's gamma and beta over time, and its final fate.

    Attributes:
      step: (T,) steps at which gamma and beta were read; epoch: (T,) the same in epochs.
      gamma, beta: layer -> (T, filters).
      inactive_gamma, inactive_act: layer -> (filters,) bool, True = inactive at the end.
      universality: layer -> (filters,) in percent; empty when it was not measured.
    """

    step: np.ndarray
    epoch: np.ndarray
    gamma: Mapping[str, np.ndarray]
    beta: Mapping[str, np.ndarray]
    inactive_gamma: Mapping[str, np.ndarray] = dataclasses.field(default_factory=dict)
    inactive_act: Mapping[str, np.ndarray] = dataclasses.field(default_factory=dict)
    universality: Mapping[str, np.ndarray] = dataclasses.field(default_factory=dict)

    @property
    def layers(self) -> tuple[str, ...]:
        """Layer names in the order they were written."""
        return tuple(self.gamma)


def encode_measure(measure: Measure) -> dict[str, np.ndarray]:
    """A measure as flat arrays: 'step', 'epoch', 'gamma/C1', 'beta/C1', ..."""
    arrays = {"step": np.asarray(measure.step), "epoch": np.asarray(measure.epoch)}
    for group in GROUPS:
        for layer, values in getattr(measure, group).items():
            arrays[f"{group}/{layer}"] = np.asarray(values)
    return arrays


def decode_measure(arrays: Mapping[str, np.ndarray]) -> Measure:
    """The inverse of `encode_measure`; arrays of unknown groups are ignored."""
    groups: dict[str, Any] = {group: {} for group in GROUPS}
    for name in arrays:
        group, _, layer = name.partition("/")
        if layer and group in groups:
            groups[group][layer] = arrays[name]
    return Measure(step=arrays["step"], epoch=arrays["epoch"], **groups)


def write_measure(path: Path, measure: Measure) -> None:
    """Writes `measure.npz`, uncompressed: floats hardly shrink and reports read many of them."""
    buffer = io.BytesIO()
    np.savez(buffer, **encode_measure(measure))  # pyright: ignore[reportArgumentType]
    write_atomically(path, buffer.getvalue())


def read_measure(path: Path) -> Measure:
    """Reads `measure.npz`; raises UserError naming the file when it is damaged."""
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
            return decode_measure({name: arrays[name] for name in arrays.files})
    except FileNotFoundError:
        raise
    except Exception as error:
        raise UserError(f"{path} is damaged ({error}); delete it and run again") from None


@dataclasses.dataclass(frozen=True)
class Counts:
    """A network's size: conv filters, conv weights, all parameters, multiply-adds per image."""

    filters: int
    conv_params: int
    params: int
    macs: int


@dataclasses.dataclass(frozen=True)
class PrunedRecord:
    """What pruning one run bought: the content of `pruned.json`; errors in percent.

    `test_error` is the dense network's, `masked_test_error` the same network's with the marked
    filters set to zero, `pruned_test_error` the smaller network's, after fine-tuning if there was
    any (`error_before_finetuning` is then that of the network as pruned). `max_logit_difference`
    is between the network with filters set to zero and the smaller one as pruned.
    """

    threshold: float
    test_error: float
    masked_test_error: float
    pruned_test_error: float
    max_logit_difference: float
    dense: Counts
    pruned: Counts
    layers: Mapping[str, Mapping[str, int]]  # layer -> {'filters': ..., 'kept': ...}
    kept_emptied: tuple[str, ...] = ()
    mode: str = "author"
    criterion: str = "gamma"
    finetune_steps: int = 0
    error_before_finetuning: float = math.nan
    folded: Folded | None = None  # measured in mode 'exact'
    file_bytes: FileSizes | None = None
    latency: tuple[Timing, ...] = ()


def encode_pruned(record: PrunedRecord) -> dict[str, Any]:
    """A pruned record as JSON knows it."""
    return plain(dataclasses.asdict(record))


def decode_pruned(raw: Mapping[str, Any]) -> PrunedRecord:
    """The inverse of `encode_pruned`; null numbers become NaN."""
    errors = ("test_error", "masked_test_error", "pruned_test_error", "max_logit_difference")
    values: dict[str, Any] = {name: number(raw.get(name)) for name in errors}
    return PrunedRecord(
        **values,
        threshold=number(raw.get("threshold")),
        dense=_counts(raw["dense"]),
        pruned=_counts(raw["pruned"]),
        layers={
            layer: {"filters": int(counts["filters"]), "kept": int(counts["kept"])}
            for layer, counts in raw.get("layers", {}).items()
        },
        kept_emptied=tuple(raw.get("kept_emptied", ())),
        mode=str(raw.get("mode", "author")),
        criterion=str(raw.get("criterion", "gamma")),
        finetune_steps=int(raw.get("finetune_steps", 0)),
        error_before_finetuning=number(raw.get("error_before_finetuning")),
        folded=decode_folded(raw.get("folded")),
        file_bytes=decode_sizes(raw.get("file_bytes")),
        latency=decode_timings(raw.get("latency")),
    )


def write_pruned(path: Path, record: PrunedRecord) -> None:
    """Writes `pruned.json`."""
    write_atomically(path, (json.dumps(encode_pruned(record), indent=2) + "\n").encode())


def read_pruned(path: Path) -> PrunedRecord:
    """Reads `pruned.json`; raises UserError naming the file when it is not one of ours."""
    try:
        return decode_pruned(_read_json(path))
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise UserError(f"{path} lacks or garbles {error}; delete it and run again") from None


def number(value: Any) -> float:
    """A JSON or CSV number; null and the empty cell are NaN."""
    return math.nan if value is None or value == "" else float(value)


def _counts(raw: Mapping[str, Any]) -> Counts:
    return Counts(**{field.name: int(raw[field.name]) for field in dataclasses.fields(Counts)})


def _read_json(path: Path) -> dict[str, Any]:
    try:
        raw = json.loads(path.read_text())
    except (ValueError, UnicodeDecodeError) as error:
        raise UserError(f"{path} is not valid JSON ({error}); delete it and run again") from None
    if not isinstance(raw, dict):
        raise UserError(f"{path} must hold a JSON object; delete it and run again")
    return raw
