"""Gains of pruning one run, kept in `pruned.json`.

The decoder is ours: msgspec refuses null where a float is expected, and null is how our files say
that something was not measured.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

from sparsity_jax.errors import UserError
from sparsity_jax.pruning.cost import Cost
from sparsity_jax.pruning.fold import FoldError
from sparsity_jax.pruning.latency import Latency
from sparsity_jax.storage.io import number, plain, read_object, write_json

_Flat = TypeVar("_Flat")


@dataclasses.dataclass(frozen=True)
class FileSizes:
    """Bytes on disk of the saved network, before and after pruning."""

    dense: int
    pruned: int


@dataclasses.dataclass(frozen=True)
class PrunedRecord:
    """Gains of pruning one run: the content of `pruned.json`.

    Attributes:
      threshold: of |gamma|, below which a filter is inactive.
      test_error: the dense network's, in percent, as the other errors.
      masked_test_error: the same network's with the dropped filters set to zero.
      pruned_test_error: the smaller network's, after fine-tuning if there was any.
      max_logit_difference: between the network with filters set to zero and the smaller one as
        pruned.
      dense, pruned: sizes of the two networks.
      layers: layer -> {'filters': ..., 'kept': ...}.
      kept_emptied: layers that would have lost every filter and keep one.
      mode: 'author' or 'exact'.
      criterion: by which filters were chosen.
      finetune_steps: training steps of the smaller network.
      error_before_finetuning: that of the network as pruned; NaN without fine-tuning.
      folded: how exact folding was; None but in mode 'exact'.
      file_bytes: sizes on disk.
      latency: forward passes, timed at several batch sizes.
      masked_act_error: the dense network's with the filters inactive by activation set to zero; NaN
        where activity by activation was not measured.
    """

    threshold: float
    test_error: float
    masked_test_error: float
    pruned_test_error: float
    max_logit_difference: float
    dense: Cost
    pruned: Cost
    layers: Mapping[str, Mapping[str, int]]
    kept_emptied: tuple[str, ...] = ()
    mode: str = "author"
    criterion: str = "gamma"
    finetune_steps: int = 0
    error_before_finetuning: float = math.nan
    folded: FoldError | None = None
    file_bytes: FileSizes | None = None
    latency: tuple[Latency, ...] = ()
    masked_act_error: float = math.nan


def encode_pruned(record: PrunedRecord) -> dict[str, Any]:
    """Turn a record into what JSON can hold.

    Example:
      >>> cost = Cost(filters=2, conv_params=18, params=30, macs=900)
      >>> encode_pruned(PrunedRecord(1e-3, math.nan, 1.5, 1.5, 0.0, cost, cost, {}))['test_error']
    """
    return plain(dataclasses.asdict(record))


def decode_pruned(raw: Mapping[str, Any]) -> PrunedRecord:
    """Make a record of what `encode_pruned` returned; unknown fields are ignored, null is NaN.

    Raises:
      KeyError, TypeError, ValueError, AttributeError: `raw` is of no such record.
    """
    errors = ("test_error", "masked_test_error", "pruned_test_error", "max_logit_difference")
    return PrunedRecord(
        **{name: number(raw.get(name)) for name in ("threshold", *errors)},
        dense=_decode(Cost, raw["dense"]),
        pruned=_decode(Cost, raw["pruned"]),
        layers={
            layer: {"filters": int(counts["filters"]), "kept": int(counts["kept"])}
            for layer, counts in raw.get("layers", {}).items()
        },
        kept_emptied=tuple(raw.get("kept_emptied", ())),
        mode=str(raw.get("mode", "author")),
        criterion=str(raw.get("criterion", "gamma")),
        finetune_steps=int(raw.get("finetune_steps", 0)),
        error_before_finetuning=number(raw.get("error_before_finetuning")),
        folded=_decode(FoldError, raw["folded"]) if raw.get("folded") else None,
        file_bytes=_decode(FileSizes, raw["file_bytes"]) if raw.get("file_bytes") else None,
        latency=tuple(_decode(Latency, timing) for timing in raw.get("latency") or ()),
        masked_act_error=number(raw.get("masked_act_error")),
    )


def write_pruned(path: Path, record: PrunedRecord) -> None:
    """Write `pruned.json`."""
    write_json(path, encode_pruned(record))


def read_pruned(path: Path) -> PrunedRecord:
    """Read `pruned.json`.

    Raises:
      UserError: it is damaged or none of ours; names the file.
    """
    try:
        return decode_pruned(read_object(path))
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise UserError(f"{path} lacks or garbles {error}; delete it and run again") from None


def _decode(kind: type[_Flat], raw: Mapping[str, Any]) -> _Flat:
    """A dataclass whose fields are ints and floats; what has a default may be missing."""
    fields = dataclasses.fields(kind)  # pyright: ignore[reportArgumentType]
    there = [field for field in fields if field.name in raw]
    return kind(**{f.name: (int if f.type == "int" else number)(raw[f.name]) for f in there})
