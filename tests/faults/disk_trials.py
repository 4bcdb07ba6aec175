"""What happens when a disk is full, or when files may not grow any further?

A disk is full: the workdir lies on a small tmpfs, where mounting one is permitted. Files may not
grow: the command runs in a process whose files are limited to so many KiB. It must end with exit
code 0, or 2 and one line that says what could not be written; with room, the same command must
then end as if nothing had been.
"""

import random
import shutil
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

import commands
import lives
import tiny


def run_trials(disks: int, limits: Iterable[int], *, seed: int, folder: Path) -> dict[str, int]:
    """As many small disks of random sizes, and one trial for each limit in KiB.

    Returns:
      Counts: 'trials', 'refused' (exit code 2, one line), 'lost', 'wrong', 'disks'.
    """
    folder.mkdir(parents=True, exist_ok=True)
    counts = {"trials": 0, "refused": 0, "lost": 0, "wrong": 0, "disks": 0}
    assert lives.start(folder / "reference").wait() == 0
    reference = tiny.results(folder / "reference")
    kib = sum(p.stat().st_size for p in (folder / "reference").rglob("*")) // 1024
    chance = random.Random(seed)
    for number in range(disks if mounts(folder / "probe") else 0):
        disk = folder / f"disk{number}"
        _mount(disk, kib=chance.randint(4, kib))
        try:
            first = lives.start(disk / "workdir", log=folder / f"disk{number}.log").wait()
            _mount(disk, kib=64 * 1024, options="remount,")
            said = (folder / f"disk{number}.log").read_text()
            again = lives.start(disk / "workdir", log=folder / f"disk{number}.log").wait()
            _count(counts, disk / "workdir", reference, (first, again), said)
        finally:
            subprocess.run(["umount", str(disk)], check=True)
        counts["disks"] += 1
    for limit in limits:
        workdir = folder / f"limited{limit}"
        first = commands.run(workdir, limit=limit)
        again = commands.run(workdir)
        codes = first.returncode, again.returncode
        _count(counts, workdir, reference, codes, first.stderr + again.stderr)
    return counts


def mounts(folder: Path) -> bool:
    """Whether a small file system may be mounted here."""
    try:
        _mount(folder, kib=64)
        subprocess.run(["umount", str(folder)], check=True)
    except (OSError, subprocess.CalledProcessError):
        return False
    return True


def _mount(folder: Path, *, kib: int, options: str = "") -> None:
    folder.mkdir(exist_ok=True)
    line = ["mount", "-t", "tmpfs", "-o", f"{options}size={kib}k", "none", str(folder)]
    subprocess.run(line, check=True, stderr=subprocess.DEVNULL)


def _count(
    counts: dict[str, int],
    workdir: Path,
    reference: dict,
    codes: tuple[int | None, int | None],
    said: str,
) -> None:
    errors = [line for line in said.splitlines() if line.startswith("error: ")]
    counts["trials"] += 1
    counts["refused"] += codes[0] == 2 and len(errors) == 1
    if codes[0] not in (0, 2) or len(errors) != (codes[0] == 2) or codes[1] != 0:
        counts["lost"] += 1
        print(f"{workdir}: {codes}\n{said[-3000:]}", file=sys.stderr)
    elif names := tiny.differing(workdir, reference):
        counts["wrong"] += 1
        print(f"{workdir} differs in {names}\n{said[-3000:]}", file=sys.stderr)
    shutil.rmtree(workdir, ignore_errors=True)
