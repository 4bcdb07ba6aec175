"""The command as a process of its own, for what must be said before Python starts."""

import os
import subprocess
import sys
from pathlib import Path

import tiny

PAGE = """
from sparsity_jax import main, report
report.build = lambda workdir: (workdir / "report.html").touch()
raise SystemExit(main.main())
"""


def run(
    workdir: Path, *flags: str, limit: int | None = None, **environment: str
) -> subprocess.CompletedProcess[str]:
    """The tiny experiment, with an empty page as its report.

    Args:
      workdir: where its results go.
      flags: further ones of the command.
      limit: KiB that a file may have.
      environment: variables, beside those of this process.
    """
    line = f'exec "$0" -c "$1" --config={tiny.__file__} --workdir={workdir} "${{@:2}}"'
    limited = f"ulimit -f {limit}; {line}" if limit is not None else line
    return subprocess.run(
        ["bash", "-c", limited, sys.executable, PAGE, *flags],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
    )
