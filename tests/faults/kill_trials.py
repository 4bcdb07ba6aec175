"""Does a grid whose processes are killed at any instant end as one that was never touched?

SIGKILL comes at random instants: while data are loaded, programs compiled, steps taken, filters
pruned; half of them is aimed at saves and at the drawing of the report, and checkpoints are saved
at every look, so that there are many saves to hit. Three kinds of grids: runs one by one, a
population in one program, and two processes that work together, of which one dies (or both) and
the other must notice and end. Every workdir is let finish in the end, and compared bit for bit.

python tests/faults/kill_trials.py [--kind=single|population|pair] [--kills=N] [--seed=N]
"""

import argparse
import json
import os
import random
import signal
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import lives
import tiny

LIVES = 4  # after so many kills a workdir is let finish
DRAWN = 4  # one workdir in so many draws its report in the end; others write an empty page
SURVIVOR_SECONDS = 60  # in which a process must end after another's death; else it is stuck
REPORT_SECONDS = 4.0  # in which a report is certainly not yet drawn


class Kind(NamedTuple):
    """What is killed: the tiny config's argument, flags of the command, processes, runs."""

    config: str = ""
    flags: tuple[str, ...] = ()
    processes: int = 1
    runs: int = 2


KINDS = {
    "single": Kind(flags=("--config.members=1",)),
    "population": Kind(config="population", runs=3),
    "pair": Kind(processes=2),
}


def run_trials(kind: str, kills: int, *, seed: int, folder: Path) -> dict[str, Any]:
    """Kill a kind of grid so many times; every workdir is let finish in the end and compared.

    Returns:
      Counts: 'kills', of them 'in_saves' (a checkpoint was left half written) and 'in_reports'
      (all rows were there, the report was not), 'workdirs', 'resumed' (at a step above 0), 'lost'
      ones, 'wrong' ones, and 'slowest': the seconds that a survivor took to end.
    """
    return _Trials(KINDS[kind], random.Random(seed), folder).run(kills)


class _Trials:
    """The trials of a kind: what an untouched grid ends with, and what was counted."""

    def __init__(self, kind: Kind, chance: random.Random, folder: Path) -> None:
        self._kind, self._chance, self._folder = kind, chance, folder
        folder.mkdir(parents=True, exist_ok=True)
        alone = kind._replace(processes=1)
        whole = folder / "reference"
        codes = _life(alone, whole, drawn=True)  # fills the compilation cache
        assert codes == [0], lives.log_of(whole).read_text()
        self._reference, self._figures = tiny.results(whole), _figures(whole)
        self._counts: dict[str, Any] = dict.fromkeys(
            ("kills", "in_saves", "in_reports", "workdirs", "resumed", "lost", "wrong"), 0
        )
        self._counts["slowest"] = 0.0
        self._seconds = self._lifetime(folder / "again")

    def run(self, kills: int) -> dict[str, Any]:
        """Kill so many times."""
        while self._counts["kills"] < kills:
            workdir = self._folder / f"killed{self._counts['workdirs']}"
            for life in range(min(LIVES, kills - self._counts["kills"])):
                self._kill_once(workdir, aim=self._aim(life))
            drawn = self._counts["workdirs"] % DRAWN == 0
            codes = _life(self._kind, workdir, drawn=drawn)
            self._counts["workdirs"] += 1
            self._counts["resumed"] += " steps from " in lives.log_of(workdir).read_text()
            self._judge(workdir, codes, drawn=drawn)
        return self._counts

    def _lifetime(self, workdir: Path) -> float:
        """Of an untouched grid whose programs are compiled; it must end as the reference."""
        began = time.monotonic()
        self._judge(workdir, _life(self._kind, workdir, drawn=False), drawn=False)
        return time.monotonic() - began

    def _aim(self, life: int) -> str:
        """The last kill of a workdir is aimed at its report."""
        return "report" if life == LIVES - 1 else self._chance.choice(("time", "save"))

    def _kill_once(self, workdir: Path, *, aim: str) -> None:
        before = lives.unfinished_saves(workdir)
        killer = _Killer(self._kind, self._chance, self._fate(workdir, aim))
        codes = _life(self._kind, workdir, drawn=aim == "report", killer=killer)
        self._counts["slowest"] = max(self._counts["slowest"], killer.slowest)
        if killer.struck:
            self._counts["kills"] += 1
            self._counts["in_saves"] += bool(lives.unfinished_saves(workdir) - before)
            self._counts["in_reports"] += lives.is_reporting(workdir, self._kind.runs)
        if killer.stuck or not all(code == -signal.SIGKILL for code in codes if code) and not (
            killer.struck
        ):
            self._counts["lost"] += 1
            print(f"{workdir}: ended with {codes}", lives.log_of(workdir).read_text())

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
        if drawn and _figures(workdir) != self._figures:
            names.append("figures")
        if names:
            self._counts["wrong"] += 1
            print(f"{workdir} differs in {names}", file=sys.stderr)
