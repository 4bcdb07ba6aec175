"""The whole table of speed, ours beside its peers, as Markdown for the README.

    python tests/benchmarks/table.py [--only ROW ...] [--quick] [--out=FILE.json]
        [--minutes=8.5] [--torch_python=PATH]

Every row's columns take turns in one run; printed are medians (and minima) of milliseconds per step
and member, and how many times as fast ours is, beside its goal. Rows that this machine cannot
measure say so. Rows are measured in the order of --only. With --out, every finished row is kept at
once and not measured again by the next call. Nothing is begun after --minutes. PyTorch may be
another interpreter's (--torch_python). --quick measures everything in miniature, to see that it
works: its figures mean nothing.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from cells import Row, table
from rows import ROWS
from terms import Terms
from timing import NotMeasuredError, load, machine


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and print; 2 when --out is another machine's."""
    asked = _parser().parse_args(arguments)
    here = f"{machine()}{'; in miniature' if asked.quick else ''}"
    found = _kept(asked.out, here)
    if found is None:
        print(f"{asked.out} was measured elsewhere or otherwise; give another --out")
        return 2
    terms = Terms(
        quick=asked.quick,
        torch_python=asked.torch_python,
        deadline=time.monotonic() + 60 * asked.minutes,
    )
    before, reasons = load(), dict[str, str]()
    for name in asked.only or ROWS:
        if name in found and found[name].complete:
            continue
        print(f"{name} ...", file=sys.stderr, flush=True)
        try:
            found[name] = _measured(name, terms, found)
        except NotMeasuredError as error:
            reasons[name] = str(error)
            continue
        if asked.out:
            _keep(asked.out, here, found)
    print(_page(found, reasons, f"{here}; {before}"))
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", nargs="+", action="extend", choices=ROWS, metavar="ROW")
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--out", type=Path)
    parser.add_argument("--minutes", type=float, default=8.5)
    parser.add_argument("--torch_python", default=sys.executable)
    return parser


def _measured(name: str, terms: Terms, found: Mapping[str, Row]) -> Row:
    if time.monotonic() > terms.deadline:
        raise NotMeasuredError("out of time")
    return ROWS[name].measure(terms, found)


def _page(found: Mapping[str, Row], reasons: Mapping[str, str], here: str) -> str:
    """The table, and below it where and how."""
    lines, details = [], []
    for name, (where, work, _) in ROWS.items():
        if name in found:
            row = found[name]
            lines.append([where, work, row.ours, row.peer, row.ratio, row.goal])
            details += [line for line in row.details if line not in details]
        elif name in reasons:
            lines.append([where, work, f"not measured: {reasons[name]}", "–", "–", "–"])
    return "\n".join([table(lines), "", f"Measured on {here}.", *(f"- {d}" for d in details)])


def _kept(path: Path | None, here: str) -> dict[str, Row] | None:
    """What an earlier call measured; None if that was elsewhere."""
    if path is None or not path.exists():
        return {}
    kept = json.loads(path.read_text())
    if kept["machine"] != here:
        return None
    return {name: Row(**row) for name, row in kept["rows"].items()}


def _keep(path: Path, here: str, found: Mapping[str, Row]) -> None:
    rows = {name: dataclasses.asdict(row) for name, row in found.items()}
    fresh = path.with_suffix(".new")
    fresh.write_text(json.dumps({"machine": here, "rows": rows}, indent=1))
    os.replace(fresh, path)


if __name__ == "__main__":
    sys.exit(main())
