"""A run's course on disk: one JSON line per evaluation in `history.jsonl`.

A line counts once its newline is written; what stands after the last newline was cut off by a crash
and is ignored, and removed by the next append. Nothing here depends on the wall clock, so a resumed
run leaves the same file as one that was never interrupted.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from sparsity_jax.distributed.shards import WHOLE, Shard
from sparsity_jax.errors import UserError
from sparsity_jax.storage.io import number, plain, write_atomically


@dataclasses.dataclass(frozen=True)
class Evaluation:
    """One evaluation of one run. Errors and sparsity in percent; NaN where unknown.

    Example:
      >>> encode_line(Evaluation(run="a", step=3, epoch=0.5, train_loss=1.25, layers={"C1": 12.5}))
      ... # doctest: +ELLIPSIS
      '{"run": "a", "step": 3, "epoch": 0.5, "learning_rate": null, "train_loss": 1.25, ...'
    """

    run: str
    step: int
    epoch: float
    learning_rate: float = float("nan")
    train_loss: float = float("nan")
    test_loss: float = float("nan")
    test_error: float = float("nan")
    top5_error: float = float("nan")
    sparsity_gamma: float = float("nan")
    layers: Mapping[str, float] = dataclasses.field(default_factory=dict)


_NUMBERS = tuple(field.name for field in dataclasses.fields(Evaluation))[2:-1]
_NAMES = tuple(field.name for field in dataclasses.fields(Evaluation))


def history_name(shard: Shard = WHOLE) -> str:
    """Name the file that a process writes its evaluations to while it trains.

    Example:
      >>> history_name(), history_name(Shard(0, 4))
      ('history.jsonl', 'history.0-of-4.jsonl')
    """
    return "history.jsonl" if shard == WHOLE else f"history.{shard.index}-of-{shard.count}.jsonl"


_NOT_AN_EVALUATION = (
    ValueError,
    KeyError,
    TypeError,
    AttributeError,
    OverflowError,
    RecursionError,
)


def encode_line(evaluation: Evaluation) -> str:
    """Write one line of `history.jsonl`, without its newline; NaN becomes null."""
    return json.dumps(plain({name: getattr(evaluation, name) for name in _NAMES}))


def decode_line(line: str) -> Evaluation:
    """Read one line of `history.jsonl`; null is NaN, unknown fields are ignored.

    Raises:
      ValueError, KeyError, TypeError, AttributeError: it is not an evaluation.

    Example:
      >>> decode_line('{"run": "a", "step": 3, "epoch": 0.5, "test_error": 12.5}').test_error
      12.5
    """
    raw: dict[str, Any] = json.loads(line)
    values: dict[str, Any] = {name: number(raw.get(name)) for name in _NUMBERS}
    values["layers"] = {layer: number(pct) for layer, pct in (raw.get("layers") or {}).items()}
    return Evaluation(run=str(raw["run"]), step=int(raw["step"]), **values)


def append_history(path: Path, evaluations: Iterable[Evaluation]) -> None:
    """Append evaluations, after removing what a crash may have left behind the last newline.

    Args:
      path: the file; made if there is none.
      evaluations: in order.
    """
    text = "".join(encode_line(evaluation) + "\n" for evaluation in evaluations)
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("ab+") as file:
        tail = _cut_off(file)
        if tail:
            file.truncate(file.seek(0, 2) - len(tail))
        file.write(text.encode())


def iterate_history(path: Path) -> Iterator[Evaluation]:
    """Yield the evaluations in the file's order; a last line without its newline is skipped.

    Raises:
      UserError: a whole line is not an evaluation; names the file and the line.
    """
    with path.open("rb") as file:
        for count, line in enumerate(file, start=1):
            if not line.endswith(b"\n"):
                return
            try:
                yield decode_line(line.decode())
            except _NOT_AN_EVALUATION as error:
                raise UserError(
                    f"{path}, line {count} is not an evaluation ({error}); delete the line"
                ) from None


def read_history(path: Path) -> list[Evaluation]:
    """Read all evaluations of the file; none when there is no file."""
    return list(iterate_history(path)) if path.exists() else []


def cut_off_line(path: Path) -> str:
    """Return what a crash left after the last newline: '' if nothing, or for no file."""
    if not path.exists():
        return ""
    with path.open("rb") as file:
        return _cut_off(file).decode(errors="replace")


def truncate_after(path: Path, run: str, step: int) -> int:
    """Drop the evaluations of `run` after `step`, as a resume from `step` will make them again.

    Other runs keep theirs, and every kept line stays as it was, byte for byte.

    Returns:
      How many evaluations were dropped.
    """
    if not path.exists():
        return 0
    lines = path.read_bytes().splitlines(keepends=True)
    whole = [line for line in lines if line.endswith(b"\n")]
    evaluations = iterate_history(path)
    kept = [
        line
        for line, evaluation in zip(whole, evaluations, strict=True)
        if evaluation.run != run or evaluation.step <= step
    ]
    if len(kept) < len(lines):
        write_atomically(path, b"".join(kept))
    return len(whole) - len(kept)


def _cut_off(file: Any) -> bytes:
    """The bytes after the last newline, read from the end so that long files stay cheap."""
    end = file.seek(0, 2)
    tail = b""
    while end > 0 and b"\n" not in tail:
        start = max(0, end - 4096)
        file.seek(start)
        tail = file.read(end - start) + tail
        end = start
    return tail.rpartition(b"\n")[2]
