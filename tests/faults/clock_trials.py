"""Do results depend on the clock, or on the order in which Python hashes?

Every clock that the package reads jumps by hours, forwards and back, at random calls; a life is
killed on the way, and the next goes on. And two processes with other PYTHONHASHSEEDs are compared.
"""

import random
import sys
import time
import types
from pathlib import Path

import commands
import lives
import tiny

from sparsity_jax.training import trainer

HOUR = 3600.0
CLOCKS = ("time", "monotonic", "perf_counter")


class JumpingClock(types.ModuleType):
    """The module `time`, whose clocks jump by up to ten hours at every fifth call."""

    def __init__(self, seed: int) -> None:
        super().__init__("time")
        self._chance, self._ahead = random.Random(seed), 0.0

    def __getattr__(self, name: str) -> object:
        if name not in CLOCKS:
            return getattr(time, name)
        if self._chance.random() < 0.2:
            self._ahead = self._chance.uniform(-10, 10) * HOUR
        ahead = self._ahead
        return lambda: getattr(time, name)() + ahead


def let_clocks_jump(seed: int) -> None:
    """In the package's modules, for the rest of this process; Python's own keep theirs."""
    clock = JumpingClock(seed)
    found = [
        module for name, module in sys.modules.items()
        if name.startswith("sparsity_jax") and getattr(module, "time", None) is time
    ]  # fmt: skip
    assert trainer in found
    for module in found:
        module.time = clock  # pyright: ignore[reportAttributeAccessIssue]


def run_clock_trials(count: int, *, seed: int, folder: Path) -> dict[str, int]:
    """Lives with jumping clocks, each killed once on the way: 'trials', 'lost', 'wrong'."""
    folder.mkdir(parents=True, exist_ok=True)
    chance = random.Random(seed)
    assert lives.start(folder / "reference").wait() == 0
    reference = tiny.results(folder / "reference")
    counts = {"trials": 0, "lost": 0, "wrong": 0}
    for number in range(count):
        workdir = folder / f"jumping{number}"
        killed = _start(workdir, seed=2 * number)
        killed.wait(chance.uniform(1, 8))
        killed.kill()
        killed.wait()
        code = _start(workdir, seed=2 * number + 1).wait(300)
        _count(counts, workdir, reference, code, lives.log_of(workdir).read_text())
    return counts


def _start(workdir: Path, *, seed: int) -> lives.Child:
    """With checkpoints a minute apart by a clock that jumps by hours."""
    return lives.start(workdir, checkpoint_seconds=60.0, prepare=lambda: let_clocks_jump(seed))


def run_hash_trials(count: int, *, folder: Path) -> dict[str, int]:
    """Processes with PYTHONHASHSEED 0, 1, ...: 'trials', 'lost', 'wrong' (unlike the first)."""
    folder.mkdir(parents=True, exist_ok=True)
    counts = {"trials": 0, "lost": 0, "wrong": 0}
    reference: dict = {}
    for number in range(count):
        workdir = folder / f"hash{number}"
        done = commands.run(workdir, PYTHONHASHSEED=str(number))
        if done.returncode == 0:
            reference = reference or tiny.results(workdir)
        _count(counts, workdir, reference, done.returncode, done.stderr)
    return counts


def _count(
    counts: dict[str, int], workdir: Path, reference: dict, code: int | None, said: str
) -> None:
    counts["trials"] += 1
    if code != 0:
        counts["lost"] += 1
        print(f"{workdir}: {code}\n{said[-3000:]}", file=sys.stderr)
    elif names := tiny.differing(workdir, reference):
        counts["wrong"] += 1
        print(f"{workdir} differs in {names}", file=sys.stderr)
