"""One command, one table: faults tried, survived, lost, silently wrong.

python tests/faults/matrix.py [--short] [--seed N] [--jobs N] [--only NAME ...]

  --short   a few minutes instead of an hour and a half; no quick starts, no long run
  --seed    of the instants, files, bits and inputs (default 0)
  --jobs    how many kinds of faults are tried at a time (default 2)
  --only    only these kinds of faults

Exit code 0 if nothing was lost and nothing silently wrong, else 1.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent.parent
LONG = {
    "kills": 32, "quick starts": 20, "damages": 320, "cases": 120_000, "disks": 6,
    "limits": (1, 8, 32, 64), "rounds": 6, "clocks": 4, "hashes": 3, "soak": 1800.0,
}  # fmt: skip
SHORT = {
    "kills": 1, "quick starts": 0, "damages": 20, "cases": 4_000, "disks": 1,
    "limits": (8,), "rounds": 1, "clocks": 1, "hashes": 2, "soak": 0.0,
}  # fmt: skip
Sizes = Mapping[str, Any]
Row = tuple[str, int, int, int, str]  # what, tried, lost, silently wrong, note


def main() -> int:
    """Try every kind of fault in a process of its own, and print the table."""
    asked = _parse()
    if asked.section:
        print(json.dumps(_tried(asked)))
        return 0
    names = asked.only or [name for name in SECTIONS if not (asked.short and name in ONLY_LONG)]
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as scratch:
        os.environ |= _environment(Path(scratch))
        with ThreadPoolExecutor(asked.jobs) as pool:
            rows = list(pool.map(lambda name: _in_a_process(name, asked), names))
    print(_table(rows))
    print(f"{'short' if asked.short else 'long'} form, {(time.monotonic() - began) / 60:.0f} min")
    return int(any(lost or wrong for _, _, lost, wrong, _ in rows))


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--short", action="store_true")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--only", nargs="+", choices=list(SECTIONS))
    parser.add_argument("--section", choices=list(SECTIONS), help=argparse.SUPPRESS)
    return parser.parse_args()


def _environment(folder: Path) -> dict[str, str]:
    path = [str(ROOT), str(Path(__file__).parent), os.environ.get("PYTHONPATH", "")]
    defaults = {
        "JAX_PLATFORMS": "cpu",
        "JAX_COMPILATION_CACHE_DIR": str(folder / "compilations"),
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
        "SPARSITY_JAX_DATA": str(folder / "data"),
    }
    return {**defaults, **os.environ, "PYTHONPATH": os.pathsep.join(path)}


def _in_a_process(name: str, asked: argparse.Namespace) -> Row:
    """One kind of fault: whatever ends its process, the others have their rows."""
    line = [sys.executable, __file__, f"--section={name}", f"--seed={asked.seed}"]
    done = subprocess.run(
        [*line, *(["--short"] if asked.short else [])],
        stdout=subprocess.PIPE, text=True, check=False,
    )  # fmt: skip
    *said, last = done.stdout.splitlines() or [""]
    print(*said, sep="\n", end="\n" if said else "", file=sys.stderr)
    try:
        what, tried, lost, wrong, note = json.loads(last)
        row = what, tried, lost, wrong, note
    except ValueError:
        row = name, 1, 1, 0, f"the trials themselves ended with {done.returncode}"
    print(_table([row], head=False), file=sys.stderr, flush=True)
    return row


def _tried(asked: argparse.Namespace) -> Row:
    sizes = SHORT if asked.short else LONG
    with tempfile.TemporaryDirectory() as scratch:
        try:
            return SECTIONS[asked.section](sizes, asked.seed, Path(scratch, "trials"))
        except Exception as error:
            traceback.print_exc()
            return asked.section, 1, 1, 0, f"the trials themselves failed: {error!r}"


def _kills(kind: str, what: str) -> Callable[[Sizes, int, Path], Row]:
    def row(sizes: Sizes, seed: int, folder: Path) -> Row:
        import kill_trials

        kills = sizes["kills"]
        if kind == "quickstart":
            kills = sizes["quick starts"] * kill_trials.KINDS[kind].lives
        found = kill_trials.run_trials(kind, kills, seed=seed, folder=folder)
        note = (
            f"{found['in_saves']} within saves, {found['in_reports']} before the report was there; "
            f"{found['workdirs']} workdirs compared, {found['resumed']} resumed in mid-run"
        )
        if kind in ("pair", "split"):
            note += f"; the other ended within {found['slowest']:.0f} s"
        return what, found["kills"], found["lost"], found["wrong"], note

    return row


def _damages(sizes: Sizes, seed: int, folder: Path) -> Row:
    import corruption_trials

    hurt = corruption_trials.run_trials(sizes["damages"], seed=seed, folder=folder)
    kinds = ", ".join(f"{hurt.get(kind, 0)} {kind}" for kind in ("repaired", "refused", "harmless"))
    return "damaged file", hurt["trials"], 0, hurt.get("silently wrong", 0), kinds


def _inputs(sizes: Sizes, seed: int, folder: Path) -> Row:
    import fuzz_trials

    odd = fuzz_trials.run_trials(sizes["cases"], seed=seed, folder=folder)
    note = f"{odd['refused']} refused, {odd['accepted']} read"
    return "odd input", odd["cases"], odd["crashed"], 0, note


def _disks(sizes: Sizes, seed: int, folder: Path) -> Row:
    import disk_trials

    full = disk_trials.run_trials(sizes["disks"], sizes["limits"], seed=seed, folder=folder)
    limits = full["trials"] - full["disks"]
    note = f"{full['disks']} small tmpfs, {limits} limits; {full['refused']} refused in one line"
    note += "" if full["disks"] else " (mounting is not permitted here)"
    return "full disk", full["trials"], full["lost"], full["wrong"], note


def _directories(sizes: Sizes, seed: int, folder: Path) -> Row:
    import directory_trials

    bad = directory_trials.run_trials(sizes["rounds"], seed=seed, folder=folder)
    note = f"{bad['refused']} refused in one line" + (
        f", {bad['skipped']} skipped: chattr +i is not permitted here" if bad["skipped"] else ""
    )
    return "bad directory", bad["trials"], bad["lost"], bad["wrong"], note


def _clocks(sizes: Sizes, seed: int, folder: Path) -> Row:
    import clock_trials

    found = clock_trials.run_clock_trials(sizes["clocks"], seed=seed, folder=folder)
    return "jumping clock", found["trials"], found["lost"], found["wrong"], "by up to 10 h"


def _hashes(sizes: Sizes, seed: int, folder: Path) -> Row:
    import clock_trials

    found = clock_trials.run_hash_trials(sizes["hashes"], folder=folder)
    return "hash seed", found["trials"], found["lost"], found["wrong"], "PYTHONHASHSEED=0, 1, ..."


def _soak(sizes: Sizes, seed: int, folder: Path) -> Row:
    import soak_trials

    found = soak_trials.run_trial(sizes["soak"], folder=folder)
    note = (
        f"resident memory {found['first']:.1f} MB, then {found['last']:.1f} MB "
        f"({found['growth']:+.1%}) in a run of {found['seconds'] / 60:g} min"
    )
    return "long run", 1, int(found["growth"] > soak_trials.ALLOWED), 0, note


ONLY_LONG = ("quickstart", "soak")
SECTIONS: dict[str, Callable[[Sizes, int, Path], Row]] = {  # the longest first
    "quickstart": _kills("quickstart", "SIGKILL, quick start"),
    "soak": _soak,
    "pair": _kills("pair", "SIGKILL, two processes"),
    "split": _kills("split", "SIGKILL, split batch"),
    "single": _kills("single", "SIGKILL, single runs"),
    "cutting": _kills("cutting", "SIGKILL, cut runs"),
    "population": _kills("population", "SIGKILL, population"),
    "streamed": _kills("streamed", "SIGKILL, streamed data"),
    "shares": _kills("shares", "SIGKILL, two shares"),
    "damage": _damages,
    "directories": _directories,
    "disks": _disks,
    "clocks": _clocks,
    "hashes": _hashes,
    "inputs": _inputs,
}


def _table(rows: Sequence[Row], *, head: bool = True) -> str:
    names = f"{'fault':22} {'tried':>8} {'survived':>9} {'lost':>5} {'silently wrong':>15}  notes"
    lines = [
        f"{what:22} {tried:8,} {max(0, tried - lost - wrong):9,} {lost:5,} {wrong:15,}  {note}"
        for what, tried, lost, wrong, note in rows
    ]
    return "\n".join([names, *lines] if head else lines)


if __name__ == "__main__":
    sys.exit(main())
