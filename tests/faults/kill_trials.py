"""Does a grid whose processes are killed at any instant end as one that was never touched?

SIGKILL comes at random instants: while data are loaded, programs compiled, steps taken, filters
pruned; half of them is aimed at saves and at the drawing of the report, and checkpoints are saved
at every look, so that there are many saves to hit. Every workdir is let finish in the end, and
compared bit for bit with that of a grid which was never touched.

Kinds of grids: runs one by one; runs whose dead filters are cut on the way; a population in one
program; data that stream, networks trained on after pruning, and a store; two processes that work
together, of which one dies (or both) and the other must notice and end; two that split every batch;
two shares, of which one must not even notice that the other dies; and the quick start as it is,
with a checkpoint every five seconds.

python tests/faults/kill_trials.py [--kind=KIND] [--kills=N] [--seed=N]
"""

import argparse
import json
import os
import random
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import lives
import tiny

DRAWN = 4  # one workdir in so many draws its report in the end; others write an empty page
SURVIVOR_SECONDS = 60  # in which a process must end after another's death; else it is stuck
REPORT_SECONDS = 4.0  # in which a report is certainly not yet drawn


class Kind(NamedTuple):
    """What is killed.

    Fields:
      config: the experiment.
      flags: of the command, in which {workdir} stands for each one's own.
      processes: how many.
      joined: whether they work together, or are shares that do not know of each other.
      untouched: how many processes make what the results are compared with.
      runs: of the grid.
      lives: after so many kills a workdir is let finish.
      checkpoint_seconds: between checkpoints.
    """

    config: str = tiny.__file__
    flags: tuple[str, ...] = ()
    processes: int = 1
    joined: bool = True
    untouched: int = 1
    runs: int = 2
    lives: int = 4
    checkpoint_seconds: float = 0.0


QUICK_START = str(Path(__file__).parents[2] / "configs" / "quickstart.py")
KINDS = {
    "single": Kind(flags=("--config.members=1",)),
    "population": Kind(config=f"{tiny.__file__}:population", runs=3),
    "streamed": Kind(config=f"{tiny.__file__}:streamed", flags=("--config.store={workdir}.store",)),
    "cutting": Kind(config=f"{tiny.__file__}:cutting"),
    "pair": Kind(processes=2),
    "split": Kind(flags=("--config.split=batch",), processes=2, untouched=2),
    "shares": Kind(processes=2, joined=False),
    "quickstart": Kind(
        config=QUICK_START,
        flags=("--config.latency_seconds=0",),
        runs=4,
        lives=3,
        checkpoint_seconds=5.0,
    ),
}


def run_trials(kind: str, kills: int, *, seed: int, folder: Path) -> dict[str, Any]:
    """Kill a kind of grid so many times; every workdir is let finish in the end and compared.

    Returns:
      Counts: 'kills', of them 'in_saves' (a checkpoint was left half written) and 'in_reports'
      (all rows were there, the report was not), 'workdirs', 'resumed' (at a step above 0), 'lost'
      ones, 'wrong' ones, and 'slowest': the seconds that a survivor took to end.
    """
    return _Trials(kind, random.Random(seed), folder).run(kills)


class _Trials:
    """The trials of a kind: what an untouched grid ends with, and what was counted."""

    def __init__(self, name: str, chance: random.Random, folder: Path) -> None:
        self._name, self._chance, self._folder = name, chance, folder
        self._kind = kind = KINDS[name]
        folder.mkdir(parents=True, exist_ok=True)
        untouched = kind._replace(processes=kind.untouched)
        whole = folder / "reference"
        began = time.monotonic()
        codes = _life(untouched, whole, drawn=True)  # fills the compilation cache
        # Too long by what was compiled and drawn: whoever is not killed in time corrects it.
        self._seconds = time.monotonic() - began
        assert not any(codes), lives.log_of(whole).read_text()
        self._reference, self._figures = tiny.results(whole), _figures(whole)
        self._counts: dict[str, Any] = dict.fromkeys(
            ("kills", "in_saves", "in_reports", "workdirs", "resumed", "lost", "wrong"), 0
        )
        self._counts["slowest"] = 0.0

    def run(self, kills: int) -> dict[str, Any]:
        """Kill so many times."""
        while self._counts["kills"] < kills:
            workdir = self._folder / f"killed{self._counts['workdirs']}"
            for life in range(min(self._kind.lives, kills - self._counts["kills"])):
                if not self._kill_once(workdir, aim=self._aim(life)):
                    break  # it has finished before
            drawn = self._counts["workdirs"] % DRAWN == 0
            codes = _life(self._kind, workdir, drawn=drawn)
            self._counts["workdirs"] += 1
            self._counts["resumed"] += " steps from " in lives.log_of(workdir).read_text()
            self._judge(workdir, codes, drawn=drawn)
            print(f"so far: {self._name} {self._counts}", file=sys.stderr, flush=True)
        return self._counts

    def _aim(self, life: int) -> str:
        """The last kill of a workdir is aimed at its report."""
        last = life == self._kind.lives - 1
        return "report" if last else self._chance.choice(("time", "save"))

    def _kill_once(self, workdir: Path, *, aim: str) -> bool:
        """Whether it could be killed before it had finished."""
        began, before = time.monotonic(), lives.unfinished_saves(workdir)
        killer = _Killer(self._fate(workdir, aim), self._victims())
        codes = _life(self._kind, workdir, drawn=aim == "report", killer=killer)
        self._counts["slowest"] = max(self._counts["slowest"], round(killer.slowest, 1))
        if killer.struck:
            self._counts["kills"] += 1
            self._counts["in_saves"] += bool(lives.unfinished_saves(workdir) - before)
            self._counts["in_reports"] += lives.is_reporting(workdir, self._kind.runs)
        if killer.stuck or self._failed(codes, killer.killed):
            self._counts["lost"] += 1
            print(f"{workdir}: {codes}\n{lives.log_of(workdir).read_text()}", file=sys.stderr)
        elif codes[0] == 0 and self._kind.joined:  # it writes what is written once: all is well
            self._judge(workdir, [0], drawn=False)
        if not killer.struck:
            self._seconds = min(self._seconds, time.monotonic() - began)
        return killer.struck

    def _failed(self, codes: Sequence[int | None], killed: set[int]) -> bool:
        """Whether a process failed without a reason; whoever works with a dead one has one."""
        excused = set(range(len(codes))) if killed and self._kind.joined else killed
        return any(code for i, code in enumerate(codes) if i not in excused)

    def _victims(self) -> set[int]:
        """Each in turn, the one that leads first; now and then all, as when their machine fails."""
        if self._counts["kills"] and self._chance.random() < 0.25:
            return set(range(self._kind.processes))
        return {self._counts["kills"] % self._kind.processes}

    def _fate(self, workdir: Path, aim: str) -> lives.Fate:
        if aim == "save":
            delay = self._chance.uniform(0, 0.02)
            return lives.WhileSaving(workdir, saves=self._chance.randint(1, 4), delay=delay)
        if aim == "report":
            delay = self._chance.uniform(0, REPORT_SECONDS)
            return lives.WhileReporting(workdir, rows=self._kind.runs, delay=delay)
        return lives.AtTime(self._chance.uniform(0, self._seconds))

    def _judge(self, workdir: Path, codes: list[int | None], *, drawn: bool) -> None:
        if any(codes):
            self._counts["lost"] += 1
            said = lives.log_of(workdir).read_text()
            print(f"{workdir} ended with {codes}: {said}", file=sys.stderr)
            return
        names = tiny.differing(workdir, self._reference)
        page = workdir / "report.html"  # empty if a life that was to be killed had finished
        if drawn and page.stat().st_size and _figures(workdir) != self._figures:
            names.append("figures")
        if names:
            self._counts["wrong"] += 1
            print(f"{workdir} differs in {names}", file=sys.stderr)


class _Killer:
    """Kills some of the processes when it is due, and sees how long the others live on."""

    def __init__(self, fate: lives.Fate, victims: set[int]) -> None:
        self._fate, self._victims = fate, victims
        self.killed: set[int] = set()
        self.stuck = False
        self.slowest = 0.0

    @property
    def struck(self) -> bool:
        """Whether any process was killed before it had ended."""
        return bool(self.killed)

    def watch(self, children: Sequence[lives.Child]) -> None:
        """Until all have ended, or until it has killed."""
        while any(child.poll() is None for child in children):
            if self._fate.due():
                self._strike(children)
                return
            time.sleep(0.002)

    def _strike(self, children: Sequence[lives.Child]) -> None:
        alive = {index for index, child in enumerate(children) if child.poll() is None}
        self.killed = alive & self._victims
        for index in self._victims:
            children[index].kill()
        began = time.monotonic()
        for child in children:
            if child.wait(SURVIVOR_SECONDS) is None:
                self.stuck = True
                child.kill()
                child.wait()
        if self.killed and alive - self._victims:
            self.slowest = time.monotonic() - began


def _life(
    kind: Kind, workdir: Path, *, drawn: bool, killer: _Killer | None = None
) -> list[int | None]:
    """One start of the command; the exit codes of its processes, -9 of those that were killed."""
    children = lives.start_together(
        workdir,
        *(flag.format(workdir=workdir) for flag in kind.flags),
        count=kind.processes,
        joined=kind.joined,
        config=kind.config,
        drawn=drawn,
        checkpoint_seconds=kind.checkpoint_seconds,
    )
    if killer:
        killer.watch(children)
    return [child.wait() for child in children]


def _figures(workdir: Path) -> list[str]:
    return sorted(path.name for path in (workdir / "figures").glob("[!.]*"))


def _parse(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kind", choices=sorted(KINDS), default="single")
    parser.add_argument("--kills", type=int, default=32)
    parser.add_argument("--seed", type=int, default=0)
    return parser.parse_args(arguments)


if __name__ == "__main__":
    asked = _parse(sys.argv[1:])
    with tempfile.TemporaryDirectory() as scratch:
        os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", f"{scratch}/compilations")
        os.environ.setdefault("SPARSITY_JAX_DATA", f"{scratch}/data")
        found = run_trials(asked.kind, asked.kills, seed=asked.seed, folder=Path(scratch, "kills"))
        print(json.dumps(found))
