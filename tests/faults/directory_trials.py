"""What happens when the workdir is not what it should be: a file, read-only, or suddenly gone?

The superuser may write everywhere, so a directory is made read-only by `chattr +i`, where that is
permitted. The command must end with exit code 2 and one line; when all is well again, the same
command must end as if nothing had been.
"""

import random
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import lives
import tiny


class Accident(NamedTuple):
    """What befalls a workdir, what mends it, and whether it comes before the start."""

    do: Callable[[Path], object]
    undo: Callable[[Path], object]
    first: bool = False


def run_trials(rounds: int, *, seed: int, folder: Path) -> dict[str, int]:
    """Every accident so many times, at random instants.

    Returns:
      Counts: 'trials', 'refused' (exit code 2, one line), 'lost', 'wrong', 'skipped'.
    """
    folder.mkdir(parents=True, exist_ok=True)
    chance = random.Random(seed)
    began = time.monotonic()
    for _ in range(2):  # the second knows the programs
        seconds, began = time.monotonic() - began, time.monotonic()
        shutil.rmtree(folder / "reference", ignore_errors=True)
        assert lives.start(folder / "reference").wait() == 0
    seconds = time.monotonic() - began
    reference = tiny.results(folder / "reference")
    counts: dict[str, int] = dict.fromkeys(("trials", "refused", "lost", "wrong", "skipped"), 0)
    for number in range(rounds):
        for name, accident in _ACCIDENTS.items():
            if accident.undo is _writable and not freezes(folder / "probe"):
                counts["skipped"] += 1
                print(f"{name}: skipped, chattr +i is not permitted here", file=sys.stderr)
                continue
            at = 0.0 if accident.first else chance.uniform(0, seconds)
            _trial(accident, at, folder / f"{name}{number}", reference, counts)
    return counts


def freezes(folder: Path) -> bool:
    """Whether a directory can be made read-only even for the superuser."""
    folder.mkdir(exist_ok=True)
    frozen = subprocess.run(["chattr", "+i", str(folder)], stderr=subprocess.DEVNULL, check=False)
    subprocess.run(["chattr", "-i", str(folder)], stderr=subprocess.DEVNULL, check=False)
    return frozen.returncode == 0


def _trial(
    accident: Accident, at: float, workdir: Path, reference: dict, counts: dict[str, int]
) -> None:
    if accident.first:
        accident.do(workdir)
    child = lives.start(workdir)
    struck = True
    if not accident.first:
        child.wait(at)
        while child.poll() is None and not workdir.exists():
            time.sleep(0.01)
        struck = child.poll() is None
        accident.do(workdir)
    try:
        first = child.wait(120)
    finally:
        accident.undo(workdir)
    errors = [line for line in lives.log_of(workdir).read_text().splitlines()
              if line.startswith("error: ")]  # fmt: skip
    believed = first == 0 and workdir.exists()  # it said that all was well
    lies = tiny.differing(workdir, reference) if believed else []
    again = lives.start(workdir).wait()
    counts["trials"] += 1
    counts["refused"] += first == 2 and len(errors) == 1
    if first not in (0, 2) or len(errors) != (first == 2) or again != 0:
        counts["lost"] += 1
        said = lives.log_of(workdir).read_text()
        print(f"{workdir}: {first}, {again}, struck {struck}\n{said[-3000:]}", file=sys.stderr)
    elif names := lies or tiny.differing(workdir, reference):
        counts["wrong"] += 1
        print(f"{workdir} differs in {names}", file=sys.stderr)


def _frozen(workdir: Path) -> None:
    workdir.mkdir(exist_ok=True)
    subprocess.run(["chattr", "-R", "+i", str(workdir)], stderr=subprocess.DEVNULL, check=False)


def _writable(workdir: Path) -> None:
    subprocess.run(["chattr", "-R", "-i", str(workdir)], stderr=subprocess.DEVNULL, check=False)


def _removed(workdir: Path) -> None:
    """As `rm -rf` would, again and again until nothing is written beside it."""
    while workdir.exists():
        shutil.rmtree(workdir, ignore_errors=True)


def _away(workdir: Path) -> None:
    workdir.rename(workdir.with_name(f"{workdir.name}.away"))


def _back(workdir: Path) -> None:
    """What was made anew in its place is not what was there."""
    shutil.rmtree(workdir, ignore_errors=True)
    workdir.with_name(f"{workdir.name}.away").rename(workdir)


_ACCIDENTS = {
    "file": Accident(Path.touch, Path.unlink, first=True),
    "frozen": Accident(_frozen, _writable, first=True),
    "freezing": Accident(_frozen, _writable),
    "vanishing": Accident(_away, _back),
    "removed": Accident(_removed, lambda workdir: None),
}
