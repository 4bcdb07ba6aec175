"""Does any input from outside end in anything but a value or the clear error?

Seeded random damage to what readers read: the CSV of results, the lines of the history, a
checkpoint's notes, config.json, plan.json, a run's seal, and overrides of every field of the
config. Only UserError (or, for a checkpoint, DamageError) may come out.
"""

import contextlib
import io
import json
import random
from collections.abc import Callable
from pathlib import Path

import tiny
from ml_collections import ConfigDict

from sparsity_jax.config.base import default_config
from sparsity_jax.config.sweep import expand
from sparsity_jax.errors import UserError
from sparsity_jax.storage import checkpoints, completion
from sparsity_jax.storage.config_record import read_record
from sparsity_jax.storage.history import Evaluation, encode_line, read_history
from sparsity_jax.storage.io import json_digest
from sparsity_jax.storage.models import load_model
from sparsity_jax.storage.results import RunResult, encode_results, read_results

Reader = Callable[[Path], object]
_ODD = (
    "", " ", "0", "-1", "1e999", "nan", "-inf", "null", "true", "[]", "{}", '"', ",", "\n", "\r\n",
    "\x00", "\u0661", "\u00e9", "\u00ff\u00fe\x00\u00d8", "9" * 400, "1_0", "0x1", "[" * 99,
    "[" * 100_000, '{"a":' * 100_000,
)  # fmt: skip
_VALUES = (
    None, 0, -1, 1, 2.5, 1e308, float("nan"), float("inf"), True, "", "adam", "x" * 50, "0.25", (),
    (1,), [1, 2], (1, 3, 5), ((1, 2),), ((2, 1), (1, 1)), ({"optimizer": "sgd"},), ({"no": 1},),
    ("x",), {}, {"a": 1}, b"\xff", 10**30, -0.0, "renderings", "cifar10", "\x00",
)  # fmt: skip


def run_trials(count: int, *, seed: int, folder: Path) -> dict[str, int]:
    """As many cases, spread over all readers.

    Returns:
      Counts: 'cases', 'accepted', 'refused', 'crashed'; crashes are printed.
    """
    chance = random.Random(seed)
    readers = list(_subjects(folder).values())
    counts = {"cases": 0, "accepted": 0, "refused": 0, "crashed": 0}
    for case in range(count):
        counts["cases"] += 1
        try:
            with contextlib.redirect_stderr(io.StringIO()):
                if case % (len(readers) + 1) == 0:
                    expand(_overridden(chance))
                else:
                    path, content, read = readers[case % (len(readers) + 1) - 1]
                    path.write_bytes(_mutated(content, chance))
                    read(path)
            counts["accepted"] += 1
        except (UserError, checkpoints.DamageError):
            counts["refused"] += 1
        except Exception as error:
            counts["crashed"] += 1
            print(f"CRASH in case {case} of seed {seed}: {error!r}", flush=True)
    return counts


def _subjects(folder: Path) -> dict[str, tuple[Path, bytes, Reader]]:
    """What is read -> (its file, its sound content, its reader)."""
    for name in ("run", "pruned"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    row = RunResult("a", "d", "BasicNet", "adam", "l2", 1e-3, 40, test_error=1.5, layers=(1.0, 2.0))
    line = encode_line(Evaluation("a", 3, 0.5, train_loss=1.25, layers={"C1": 12.5}))
    completion.write_run_record(folder / "run", completion.RunRecord(row, (line,)), of="x")
    notes = {"step": 3, "of": "x", "leaves": {"a": "0" * 32}, "notes": {"seconds": 1.5}}
    notes = {"digest": json_digest(notes), **notes}
    config = {"format": 1, "config": {"name": "a"}, "versions": {"sparsity_jax": "0"}}
    config = {"digest": json_digest(config), **config}
    plan = {"digest": "0" * 32, "plan": {"name": "a", "convs": []}, "arrays": {}}
    return {
        "results": (folder / "results.csv", encode_results([row]).encode(), read_results),
        "history": (folder / "history.jsonl", f"{line}\n{line}\n".encode(), read_history),
        "notes": (folder / "metadata", _bytes(notes), _read_notes),
        "config": (folder / "config.json", _bytes(config), lambda p: read_record(p.parent)),
        "plan": (folder / "pruned" / "plan.json", _bytes(plan), lambda p: load_model(p.parent)),
        "seal": (
            folder / "run" / completion.NAME,
            (folder / "run" / completion.NAME).read_bytes(),
            lambda p: completion.read_run_record(p.parent, of="x"),
        ),
    }


def _bytes(value: object) -> bytes:
    return json.dumps(value).encode()


def _read_notes(path: Path) -> None:
    """As a checkpoint does, once Orbax has parsed them."""
    try:
        content = json.loads(path.read_bytes())
    except (ValueError, RecursionError):
        raise checkpoints.DamageError("not JSON") from None  # Orbax's part
    checkpoints.verified_metadata(content, 3)


def _mutated(content: bytes, chance: random.Random) -> bytes:
    """One to four cuts, flips, insertions, repetitions."""
    data = bytearray(content)
    for _ in range(chance.randint(1, 4)):
        at = chance.randrange(len(data) + 1)
        kind = chance.randrange(5)
        if kind == 0:
            del data[at:]
        elif kind == 1 and data:
            data[at % len(data)] ^= 1 << chance.randrange(8)
        elif kind == 2:
            data[at:at] = chance.choice(_ODD).encode()
        elif kind == 3:
            del data[at : at + chance.randint(1, 9)]
        else:
            end = min(len(data), at + chance.randint(1, 40))
            data[at:at] = data[at:end]
    return bytes(data)


def _overridden(chance: random.Random) -> ConfigDict:
    """A config with one to three fields replaced by anything that its types let pass."""
    config = tiny.get_config() if chance.random() < 0.5 else default_config()
    for _ in range(chance.randint(1, 3)):
        field = chance.choice(sorted(config.keys()))
        try:
            config[field] = chance.choice(_VALUES)
        except (TypeError, ValueError):  # as a config file would end; the command says so
            raise UserError(f"config.{field} is of another type") from None
    return config
