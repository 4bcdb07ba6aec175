"""Is any damage to any file believed?

Each trial damages one file (or swaps two) of a workdir or of the data cache, gives the same
command again, and looks at what comes out: 'refused' with the file's name, 'repaired' with a
warning and the very results of an undamaged run, or 'harmless': the same results without a word,
because the damage cannot matter. Anything else is 'silently wrong'. Reports are not drawn.

Run it by `python tests/faults/matrix.py`.
"""

import collections
import contextlib
import io
import itertools
import json
import random
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from unittest import mock

import numpy as np
import tiny

from sparsity_jax import report
from sparsity_jax.distributed.preemption import Interrupted
from sparsity_jax.errors import UserError
from sparsity_jax.experiment import run as experiment
from sparsity_jax.training import trainer

DAMAGES = ("truncate", "delete", "flip", "swap", "dtype")
Outcome = tuple[str, str]  # verdict, what was said


class Matrix:
    """Finished and interrupted workdirs, and data, to be copied and damaged."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self._data = folder / "data"
        self._finished, self._stopped = folder / "finished", folder / "stopped"
        with _quick():
            _command(self._finished, self._data)
            with _stopping_late(), contextlib.suppress(Interrupted):
                _command(self._stopped, self._data)
        # A finished run's checkpoints are not read again; when they are, they are verified.
        for run in {path.parent for path in self._stopped.glob("runs/*/finished.json")}:
            shutil.rmtree(run / "checkpoints")
        self._reference = tiny.results(self._finished)

    @property
    def _first_checkpoint(self) -> str:
        return next(name for name in sorted(self._reference) if name.endswith("last checkpoint"))

    def subjects(self) -> list[tuple[str, Path]]:
        """Every file that can be damaged: (of what, path)."""
        runs = [path for path in _files(self._finished / "runs") if "checkpoints" not in path.parts]
        top = [self._finished / n for n in ("results.csv", "history.jsonl", "config.json")]
        saved = [
            path for path in _files(self._stopped) if path.name not in (".lock", "config.json")
        ]
        return [
            *(("finished", path) for path in (*runs, *top)),
            *(("stopped", path) for path in saved),
            *(("data", path) for path in _files(self._data)),
        ]

    def trial(self, kind: str, path: Path, damage: str, chance: random.Random) -> Outcome | None:
        """Damage a copy and run again; None where the file knows no such damage."""
        at = self._folder / "trial"
        shutil.rmtree(at, ignore_errors=True)
        source = {"finished": self._finished}.get(kind, self._stopped)
        shutil.copytree(source, at / "workdir")
        shutil.copytree(self._data, at / "data")
        root = self._data if kind == "data" else source
        target = at / ("data" if kind == "data" else "workdir") / path.relative_to(root)
        if not damaged(target, damage, chance):
            return None
        said = io.StringIO()
        try:
            with _quick(), contextlib.redirect_stderr(said), _log(said):
                _command(at / "workdir", at / "data")
        except UserError as error:
            return "refused", str(error)
        wrong = tiny.differing(at / "workdir", self._reference)
        if kind != "finished":  # whose first run has no checkpoint to compare
            wrong = wrong[1:] if wrong[:1] == [self._first_checkpoint] else wrong
        if wrong:
            return "silently wrong", f"{wrong}; {said.getvalue()}"
        return ("repaired" if said.getvalue() else "harmless"), said.getvalue()


def run_trials(count: int, *, seed: int, folder: Path) -> dict[str, int]:
    """As many trials, over all files and damages in turn; their outcomes counted."""
    chance = random.Random(seed)
    matrix = Matrix(folder)
    cells = list(itertools.product(matrix.subjects(), DAMAGES))
    chance.shuffle(cells)
    outcomes = collections.Counter[str]()
    for (kind, path), damage in itertools.cycle(cells):
        if outcomes.total() >= count:
            break
        outcome = matrix.trial(kind, path, damage, chance)
        if outcome is None:
            continue
        outcomes[outcome[0]] += 1
        if outcome[0] == "silently wrong":
            print(f"SILENT: {damage} of {kind} {path}: {outcome[1]}", flush=True)
    return {"trials": outcomes.total(), **outcomes}


def damaged(path: Path, damage: str, chance: random.Random) -> bool:
    """Damage a file in place; False where that is not possible or changes nothing."""
    before = path.read_bytes()
    if damage == "delete":
        path.unlink()
        return True
    if damage == "swap":
        return _swap(path, chance)
    if damage == "dtype":
        return _other_dtype(path)
    if not before:
        return False
    after = bytearray(before)
    if damage == "truncate":
        after = after[: chance.randrange(len(after))]
    else:
        after[chance.randrange(len(after))] ^= 1 << chance.randrange(8)
    path.write_bytes(after)
    return True


def _swap(path: Path, chance: random.Random) -> bool:
    """With a file of the same kind elsewhere: another run's, another checkpoint's."""
    root = next(parent for parent in path.parents if parent.name in ("workdir", "data"))
    kin = [p for p in _files(root) if p.suffix == path.suffix and p.name != ".lock"]
    named_alike = [p for p in kin if p.name == path.name]
    others = [
        p for p in (named_alike if len(named_alike) > 1 else kin)
        if p.read_bytes() != path.read_bytes()
    ]  # fmt: skip
    if not others:
        return False
    other = chance.choice(others)
    first, second = path.read_bytes(), other.read_bytes()
    path.write_bytes(second)
    other.write_bytes(first)
    return True


def _other_dtype(path: Path) -> bool:
    """One array as float64, or the first number of a text as a text."""
    if path.suffix == ".npz":
        with path.open("rb") as file, np.load(file) as stored:
            arrays = {name: stored[name] for name in stored.files}
        first = next(name for name in arrays if name != "header")
        arrays[first] = arrays[first].astype(np.float64)
        np.savez(path, **arrays)  # pyright: ignore[reportArgumentType]
        return True
    if path.suffix in (".json", ".jsonl") or path.name in ("metadata", "_METADATA"):
        text = path.read_text()
        values = json.loads(text.splitlines()[0] if path.suffix == ".jsonl" else text)
        number = next((n for n in _numbers(values)), None)
        changed = text.replace(f": {number}", f': "{number}"', 1)
        path.write_text(changed)
        return changed != text
    if path.suffix == ".csv":
        path.write_text(path.read_text().replace(",120,", ",120.0,", 1))
        return True
    return False


def _numbers(value: object) -> Iterator[int | float]:
    if isinstance(value, dict):
        for item in value.values():
            yield from _numbers(item)
    elif isinstance(value, int | float) and not isinstance(value, bool):
        yield value


def _files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


def _command(workdir: Path, data: Path) -> None:
    config = tiny.get_config()
    config.checkpoint_seconds = 0.0
    config.data_dir = "data"  # the same words wherever the trial lies
    with contextlib.chdir(data.parent), contextlib.redirect_stdout(io.StringIO()):
        experiment.run(config, workdir)


@contextlib.contextmanager
def _quick() -> Iterator[None]:
    def page(workdir: Path) -> None:
        (workdir / "report.html").write_text("")

    with mock.patch.object(report, "build", page):
        yield


@contextlib.contextmanager
def _stopping_late() -> Iterator[None]:
    """Stop in the second run, when it has two checkpoints."""
    observe: Callable = trainer.observe
    seen = itertools.count(1)

    def late(*arguments: object) -> object:
        if next(seen) == 2 * tiny.EVALUATIONS:
            raise Interrupted(15)
        return observe(*arguments)

    with mock.patch.object(trainer, "observe", late):
        yield


@contextlib.contextmanager
def _log(stream: io.StringIO) -> Iterator[None]:
    """The data room warns by logging."""
    import logging

    handler = logging.StreamHandler(stream)
    logging.getLogger("sparsity_jax").addHandler(handler)
    try:
        yield
    finally:
        logging.getLogger("sparsity_jax").removeHandler(handler)
