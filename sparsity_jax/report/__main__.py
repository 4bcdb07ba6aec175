"""Reports from files that are there already, without training.

python -m sparsity_jax.report WORKDIR [WORKDIR ...]   make the reports again, print the tables
python -m sparsity_jax.report COMMAND --help          one of the commands below
"""

from __future__ import annotations

import argparse
import datetime
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NoReturn

from sparsity_jax import report
from sparsity_jax.errors import UserError
from sparsity_jax.report.figures import numbered
from sparsity_jax.report.paper import calibration, candidates
from sparsity_jax.storage.config_record import read_config
from sparsity_jax.storage.results import read_results

PROGRAM = "python -m sparsity_jax.report"


def rebuild(arguments: Sequence[str]) -> None:
    """Make the reports of workdirs again and print their tables."""
    parser = _parser("", rebuild)
    parser.add_argument("workdir", nargs="+", type=Path, metavar="WORKDIR")
    workdirs = [_workdir(path) for path in parser.parse_args(arguments).workdir]
    for workdir in workdirs:
        page = report.build(workdir)
        print(f"{report.table(workdir)}\n{page}")


def calibrate(arguments: Sequence[str]) -> None:
    """Compare the calibration candidates with the paper's 32-0.25x rows."""
    parser = _parser("calibration", calibrate)
    parser.add_argument("workdir", nargs="*", type=Path, metavar="WORKDIR")
    parser.add_argument(
        "--enter",
        action="store_true",
        help="append the workdirs' finished runs to report/paper/calibration.csv of the source",
    )
    options = parser.parse_args(arguments)
    if options.enter and not options.workdir:
        raise UserError("--enter needs the workdirs whose runs to enter")
    new = [entry for path in options.workdir for entry in _entries(_workdir(path))]
    print(candidates.as_text([*calibration.recorded(), *new]))
    if options.enter:
        path = calibration.record_path()
        print(f"\n{calibration.enter(new, path)} runs entered in {path}")


def figure(arguments: Sequence[str]) -> None:
    """Draw a figure of the paper: 1 to 5, S1 to S4."""
    parser = _parser("figure", figure)
    numbered.add_options(parser)
    path, caption = numbered.write(parser.parse_args(arguments))
    print(f"{path}\n{caption}")


# The first argument -> what it runs; anything else is a workdir. The docstrings are the help.
COMMANDS: Mapping[str, Callable[[Sequence[str]], None]] = {
    "calibration": calibrate,
    "figure": figure,
}


def main(arguments: Sequence[str]) -> int:
    """Run one command; returns the exit code: 0, or 2 for wrong input or a bad disk."""
    name, rest = (arguments[0], arguments[1:]) if arguments else ("", [])
    try:
        COMMANDS[name](rest) if name in COMMANDS else rebuild(arguments)
        sys.stdout.flush()
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except BrokenPipeError:  # the reader has seen enough: `... | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except OSError as error:
        print(f"error: {error.filename or 'a file'}: {error.strerror or error}", file=sys.stderr)
        return 2
    return 0


def _workdir(path: Path) -> Path:
    """The path of a workdir.

    Raises:
      UserError: it is no folder, or no experiment has written there.
    """
    if not path.is_dir():
        raise UserError(
            f"{path} is not a folder; give the workdir of an experiment, or a command: "
            f"{', '.join(COMMANDS)}"
        )
    if not any((path / name).exists() for name in ("config.json", "results.csv")):
        raise UserError(
            f"{path} holds neither config.json nor results.csv; give the workdir of an experiment"
        )
    return path


def _entries(workdir: Path) -> tuple[calibration.Entry, ...]:
    """The calibration runs of a workdir, unfinished workdirs included.

    Raises:
      UserError: it holds none, or its files cannot be read.
    """
    results = workdir / "results.csv"
    if not results.exists():
        return ()
    if not (workdir / "config.json").exists():
        raise UserError(f"{workdir} lacks config.json, which says what its runs were made with")
    date = datetime.datetime.fromtimestamp(results.stat().st_mtime, datetime.UTC).date()
    rows = read_results(results)
    found = calibration.entries(read_config(workdir / "config.json"), rows, date=date.isoformat())
    if rows and not found:
        raise UserError(f"{workdir} holds no run of configs/calibration.py")
    return found


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise UserError(f"{message}; usage: {' '.join(self.format_usage().split()[1:])}")

    def exit(self, status: int = 0, message: str | None = None) -> NoReturn:
        sys.stdout.flush()  # of --help, while a closed pipe can still be caught
        super().exit(status, message)


def _parser(name: str, command: Callable[[Sequence[str]], None]) -> argparse.ArgumentParser:
    """The parser of a command, whose description is the command's docstring."""
    said = command.__doc__ or ""
    if not name:
        listed = (f"  {each:<12} {run.__doc__}" for each, run in COMMANDS.items())
        said = "\n".join([__doc__ or "", "commands:", *listed])
    return _Parser(
        prog=f"{PROGRAM} {name}".strip(),
        description=said,
        allow_abbrev=False,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
