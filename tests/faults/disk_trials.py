"""What happens when files may not grow any further, as on a full disk?

The command runs in a process whose files are limited to so many KiB. It must end with exit code 0,
or 2 and a line that says what could not be written; without the limit, the same command must then
end as if nothing had been.
"""

import os
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

import tiny


def run_trials(limits: Iterable[int], *, folder: Path) -> dict[str, int]:
    """One trial for each limit in KiB.

    Returns:
      Counts: 'trials', 'refused' (exit code 2, one line), 'lost', 'wrong'.
    """
    counts = {"trials": 0, "refused": 0, "lost": 0, "wrong": 0}
    _command(folder / "reference", folder / "data")
    reference = tiny.results(folder / "reference")
    for limit in limits:
        workdir = folder / f"limited{limit}"
        first = _command(workdir, folder / "data", limit=limit)
        said = [line for line in first.stderr.splitlines() if line.startswith("error: ")]
        counts["trials"] += 1
        counts["refused"] += first.returncode == 2 and len(said) == 1
        again = _command(workdir, folder / "data")
        if first.returncode not in (0, 2) or again.returncode != 0:
            counts["lost"] += 1
            print(first.returncode, first.stderr[-2000:], again.stderr[-2000:], file=sys.stderr)
        elif tiny.differing(workdir, reference):
            counts["wrong"] += 1
    return counts


def _command(
    workdir: Path, data: Path, limit: int | None = None
) -> subprocess.CompletedProcess[str]:
    config = Path(__file__).with_name("tiny.py")
    line = f'"$0" -m sparsity_jax.main --config={config} --workdir={workdir}'
    limited = f"ulimit -f {limit}; {line}" if limit is not None else line
    return subprocess.run(
        ["bash", "-c", limited, sys.executable],
        env={**os.environ, "SPARSITY_JAX_DATA": str(data)},
        capture_output=True,
        text=True,
        check=False,
    )
