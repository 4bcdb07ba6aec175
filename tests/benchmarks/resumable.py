"""Rows of a benchmark, kept in a file as they are measured: the same command goes on after them.

A row that fails says why, and the next is measured. A device is borrowed for minutes: nothing that
was measured may be lost, and no row may take the rest with it.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import jax
from timing import machine

Figures = dict[str, Any]
ROW_SECONDS = 120.0  # a row that takes longer is told apart in the file


def measured(
    rows: Mapping[str, Callable[[], Figures]],
    *,
    out: Path | None,
    minutes: float,
    heading: str = "",
) -> dict[str, Figures]:
    """Measure the rows that the file has not yet, print each at once, and keep it.

    Args:
      rows: by name, in order; each returns its figures.
      out: the file; what another machine measured is refused.
      minutes: nothing is begun after them.
      heading: printed first.

    Raises:
      SystemExit: the file is of another machine.
    """
    elsewhere = "" if jax.default_backend() == "gpu" else "; no GPU: the figures mean nothing"
    here = machine() + elsewhere
    found = _kept(out, here)
    print(f"{here}\n{heading}".rstrip())
    deadline = time.monotonic() + 60 * minutes
    for name, measure in rows.items():
        if name not in found:
            if time.monotonic() > deadline:
                print(f"{name:34} not measured: out of time")
                continue
            found[name] = _row(measure)
            _keep(out, here, found)
        print(f"{name:34} {told(found[name])}", flush=True)
    return found


def told(figures: Figures) -> str:
    """Figures as a line."""
    return "  ".join(f"{key} {_text(value)}" for key, value in figures.items())


def _text(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _row(measure: Callable[[], Figures]) -> Figures:
    began = time.monotonic()
    try:
        figures = measure()
    except Exception as error:  # whatever it is, the next row is measured
        figures = {"failed": f"{type(error).__name__}: {str(error).strip().splitlines()[0][:160]}"}
    seconds = time.monotonic() - began
    late = {"too_long": True} if seconds > ROW_SECONDS else {}
    return {**figures, "row_seconds": seconds, **late}


def _kept(out: Path | None, here: str) -> dict[str, Figures]:
    if out is None or not out.exists():
        return {}
    kept = json.loads(out.read_text())
    if kept["machine"] != here:
        raise SystemExit(f"{out} was measured on {kept['machine']}; give another --out")
    return kept["rows"]


def _keep(out: Path | None, here: str, found: Mapping[str, Figures]) -> None:
    if out is None:
        return
    fresh = out.with_suffix(".new")
    fresh.write_text(json.dumps({"machine": here, "rows": found}, indent=1))
    os.replace(fresh, out)
