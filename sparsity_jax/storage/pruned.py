"""What pruning one run bought: pruned.json."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sparsity_jax.errors import UserError
from sparsity_jax.storage.io import _read_json, number, plain, write_atomically


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


def _counts(raw: Mapping[str, Any]) -> Counts:
    return Counts(**{field.name: int(raw[field.name]) for field in dataclasses.fields(Counts)})


@dataclasses.dataclass(frozen=True)
class Timing:
    """Median milliseconds of one forward pass at one batch size, on the run's device.

    `noise_pct` is half the interquartile range over the median, the larger of the two networks'.
    """

    batch: int
    dense_ms: float
    pruned_ms: float
    noise_pct: float = 0.0

    @property
    def speedup(self) -> float:
        """How many times faster the pruned network is; below 1 it is slower."""
        return self.dense_ms / self.pruned_ms

    @property
    def is_faster(self) -> bool:
        """Whether the gain is more than 5 % and more than the noise of the measurement."""
        return self.speedup > 1 + max(0.05, self.noise_pct / 100)


@dataclasses.dataclass(frozen=True)
class Folded:
    """How far the folded, pruned network is from the original on test images ('exact' mode).

    `border` is the part of the logit difference that is due to zero padding.
    """

    max_logit_difference: float
    border: float
    changed_pct: float


@dataclasses.dataclass(frozen=True)
class FileSizes:
    """Bytes on disk of the saved network, before and after pruning."""

    dense: int
    pruned: int


def decode_timings(raw: Any) -> tuple[Timing, ...]:
    """What a JSON list of timings says; None is no timing."""
    return tuple(
        Timing(
            batch=int(entry["batch"]),
            dense_ms=float(entry["dense_ms"]),
            pruned_ms=float(entry["pruned_ms"]),
            noise_pct=float(entry.get("noise_pct") or 0.0),
        )
        for entry in raw or ()
    )


def decode_folded(raw: Mapping[str, Any] | None) -> Folded | None:
    """The inverse of `dataclasses.asdict`; null numbers become NaN."""
    if raw is None:
        return None
    names = [field.name for field in dataclasses.fields(Folded)]
    return Folded(**{n: math.nan if raw.get(n) is None else float(raw[n]) for n in names})


def decode_sizes(raw: Mapping[str, Any] | None) -> FileSizes | None:
    """The inverse of `dataclasses.asdict`."""
    return None if raw is None else FileSizes(int(raw["dense"]), int(raw["pruned"]))
