"""One command, one table: faults tried, survived, lost, silently wrong.

python tests/faults/matrix.py [--short] [--seed N]

  --short   a minute or two instead of about fifteen minutes
  --seed    of the instants, files, bits and inputs (default 0)

Exit code 0 if nothing was lost and nothing silently wrong, else 1.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent.parent
LONG = {"kills": 32, "damages": 320, "cases": 120_000, "limits": (1, 8, 32, 64)}
SHORT = {"kills": 3, "damages": 20, "cases": 4_000, "limits": (8,)}


def main() -> int:
    """Run everything and print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--short", action="store_true")
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args()
    sizes: dict[str, Any] = SHORT if asked.short else LONG
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        _environment(folder)
        rows = [
            _kills(sizes["kills"], asked.seed),  # first: it forks, so JAX must not have started
            *_in_process(sizes, asked.seed, folder),
        ]
    print(_table(rows))
    return int(any(lost or wrong for _, _, _, lost, wrong, _ in rows))


Row = tuple[str, int, int, int, int, str]  # what, tried, survived, lost, silently wrong, note


def _environment(folder: Path) -> None:
    os.environ["PYTHONPATH"] = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
    os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", str(folder / "compilations"))
    os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0")
    sys.path[:0] = [str(ROOT), str(Path(__file__).parent)]


def _kills(count: int, seed: int) -> Row:
    script = Path(__file__).with_name("kill_trials.py")
    done = subprocess.run(
        [sys.executable, str(script), f"--kills={count}", f"--seed={seed}"],
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    found = json.loads(done.stdout.splitlines()[-1])
    note = f"{found['in_saves']} aimed at saves; {found['workdirs']} resumed runs compared"
    bad = found["lost"] + found["wrong"]
    return "SIGKILL", found["kills"], found["kills"] - bad, found["lost"], found["wrong"], note


def _in_process(sizes: dict[str, Any], seed: int, folder: Path) -> list[Row]:
    import corruption_trials
    import disk_trials
    import fuzz_trials

    hurt = corruption_trials.run_trials(sizes["damages"], seed=seed, folder=folder / "damage")
    wrong = hurt.get("silently wrong", 0)
    kinds = ", ".join(f"{hurt.get(kind, 0)} {kind}" for kind in ("repaired", "refused", "harmless"))
    odd = fuzz_trials.run_trials(sizes["cases"], seed=seed, folder=folder / "fuzz")
    full = disk_trials.run_trials(sizes["limits"], folder=folder / "disk")
    kept = full["trials"] - full["lost"] - full["wrong"]
    return [
        ("damaged file", hurt["trials"], hurt["trials"] - wrong, 0, wrong, kinds),
        (
            "odd input",
            odd["cases"],
            odd["cases"] - odd["crashed"],
            odd["crashed"],
            0,
            f"{odd['refused']} refused, {odd['accepted']} read",
        ),
        (
            "full disk",
            full["trials"],
            kept,
            full["lost"],
            full["wrong"],
            f"{full['refused']} refused in one line",
        ),
    ]


def _table(rows: list[Row]) -> str:
    head = f"{'fault':14} {'tried':>8} {'survived':>9} {'lost':>5} {'silently wrong':>15}  notes"
    lines = [
        f"{what:14} {tried:8,} {survived:9,} {lost:5,} {wrong:15,}  {note}"
        for what, tried, survived, lost, wrong, note in rows
    ]
    return "\n".join([head, *lines])


if __name__ == "__main__":
    sys.exit(main())
