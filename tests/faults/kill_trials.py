"""Does a run that is killed at any instant end as one that never was?

The experiment runs in children that are forked after the imports and before JAX starts; SIGKILL
comes at random instants of their lives: while data are loaded, programs compiled, steps taken,
checkpoints saved, filters pruned, the report drawn. Checkpoints are saved at every look, so that
many kills fall into saves. Run it by `python tests/faults/matrix.py`.
"""

import argparse
import contextlib
import json
import os
import random
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import tiny

from sparsity_jax import fitting, main, report

LIVES = 4  # after so many lives a workdir is let finish
DRAWN = 4  # one workdir in so many draws its report; others write an empty page


def run_trials(kills: int, *, seed: int, folder: Path) -> dict[str, Any]:
    """Kill `kills` times; every workdir is let finish in the end and compared with the reference.

    Returns:
      Counts: 'kills', of them 'in_saves', 'workdirs', 'resumed' (at a step above 0), 'wrong'
      workdirs, 'lost' ones.
    """
    chance = random.Random(seed)
    _life(folder / "reference", drawn=True)  # fills the compilation cache
    lifetimes = {drawn: _lifetime(folder / f"again{drawn}", drawn=drawn) for drawn in (True, False)}
    reference = tiny.results(folder / "reference")
    counts: dict[str, Any] = {
        "kills": 0, "workdirs": 0, "resumed": 0, "in_saves": 0, "lost": 0,
        "wrong": sum(bool(tiny.differing(folder / f"again{d}", reference)) for d in lifetimes),
    }  # fmt: skip
    while counts["kills"] < kills:
        workdir = folder / f"killed{counts['workdirs']}"
        drawn = counts["workdirs"] % DRAWN == 0
        for _ in range(min(LIVES, kills - counts["kills"])):
            if chance.random() < 0.5:
                killer = _Saving(workdir, saves=chance.randint(1, 3), delay=chance.uniform(0, 0.1))
            else:
                killer = _Timer(chance.uniform(0, lifetimes[drawn]))
            code = _life(workdir, drawn=drawn, killer=killer)
            counts["kills"] += code == -signal.SIGKILL
            counts["in_saves"] += isinstance(killer, _Saving) and code == -signal.SIGKILL
        code = _life(workdir, drawn=drawn)
        said = workdir.with_suffix(".log").read_text()
        counts["workdirs"] += 1
        counts["resumed"] += " steps from " in said
        if code != 0:
            counts["lost"] += 1
            print(said, file=sys.stderr)
        elif names := tiny.differing(workdir, reference):
            counts["wrong"] += 1
            print(f"{workdir} differs in {names}", file=sys.stderr)
    return counts


def _lifetime(workdir: Path, *, drawn: bool) -> float:
    began = time.monotonic()
    assert _life(workdir, drawn=drawn) == 0, workdir.with_suffix(".log").read_text()
    return time.monotonic() - began


class _Timer:
    """Due after so many seconds."""

    def __init__(self, seconds: float) -> None:
        self._at = time.monotonic() + seconds

    def due(self) -> bool:
        return time.monotonic() >= self._at


class _Saving:
    """Due soon after as many checkpoints have begun to be written."""

    def __init__(self, workdir: Path, *, saves: int, delay: float) -> None:
        self._workdir, self._left, self._delay = workdir, saves, delay
        self._seen = self._there()

    def due(self) -> bool:
        there = self._there()
        self._left -= len(there - self._seen)
        self._seen |= there
        if self._left > 0:
            return False
        time.sleep(self._delay)
        return True

    def _there(self) -> set[Path]:
        return set(self._workdir.glob("runs/*/checkpoints/*"))


def _life(workdir: Path, *, drawn: bool, killer: _Timer | _Saving | None = None) -> int:
    """One process of the command; its exit code, -9 if it was killed."""
    child = os.fork()
    if child == 0:
        with contextlib.suppress(BaseException):
            os._exit(_command(workdir, drawn=drawn))
        os._exit(99)
    while not (ended := os.waitpid(child, os.WNOHANG))[0]:
        if killer is not None and killer.due():
            os.kill(child, signal.SIGKILL)
            ended = os.waitpid(child, 0)
            break
        time.sleep(0.002 if killer else 0.05)
    return os.waitstatus_to_exitcode(ended[1])


def _command(workdir: Path, *, drawn: bool) -> int:
    log = workdir.with_suffix(".log").open("ab", buffering=0)
    os.dup2(log.fileno(), 1)
    os.dup2(log.fileno(), 2)
    config = Path(__file__).with_name("tiny.py")
    sys.argv = ["main", f"--config={config}", f"--workdir={workdir}"]
    fitting.SECONDS_BETWEEN_CHECKPOINTS = 0.0
    if not drawn:
        report.build = lambda workdir: (workdir / "report.html").write_text("")
    try:
        return main.main()
    except BaseException:
        traceback.print_exc()
        return 98


def _parse(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=32)
    parser.add_argument("--seed", type=int, default=0)
    return parser.parse_args(arguments)


if __name__ == "__main__":
    asked = _parse(sys.argv[1:])
    with tempfile.TemporaryDirectory() as scratch:
        os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", f"{scratch}/compilations")
        os.environ.setdefault("SPARSITY_JAX_DATA", f"{scratch}/data")
        print(json.dumps(run_trials(asked.kills, seed=asked.seed, folder=Path(scratch))))
