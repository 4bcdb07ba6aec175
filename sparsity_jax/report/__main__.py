"""Reports from files that are there already, without training.

python -m sparsity_jax.report PATH [PATH ...] [--out DIR] [--json]
    PATH is a workdir or a results.csv, of another machine too: print their tables, and what the
    paper's claims and published numbers say of all their runs together; a run that stands in two
    of them counts once. Reports of workdirs are made again, unless --out or --json is given.
python -m sparsity_jax.report COMMAND --help
    one of the commands below
"""

from __future__ import annotations

import argparse
import datetime
import functools
import os
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NoReturn

from sparsity_jax import report
from sparsity_jax.errors import UserError, user_path
from sparsity_jax.report import tables
from sparsity_jax.report.figures import figure_file, numbered
from sparsity_jax.report.figures.calibration import CAPTION, calibration_planes
from sparsity_jax.report.paper import calibration, candidates, joined, reproduced
from sparsity_jax.report.paper.length import banner
from sparsity_jax.report.paper.terminal import paper_text, reproduced_text
from sparsity_jax.storage.config_record import ConfigRecord, read_config
from sparsity_jax.storage.results import read_results

PROGRAM = "python -m sparsity_jax.report"


def judge(arguments: Sequence[str]) -> None:
    """Print tables, the paper's claims and the comparison; make the workdirs' reports again."""
    parser = _parser("", judge)
    parser.add_argument(
        "path",
        nargs="+",
        type=user_path,
        metavar="PATH",
        help="a workdir, or a results.csv of any name",
    )
    parser.add_argument(
        "--out",
        type=user_path,
        metavar="DIR",
        help="write claims.json, compare.csv and tables/ of all paths together; make no report",
    )
    parser.add_argument(
        "--json",
        action="store_true",
        help="print claims and comparison of all paths together as JSON; make no report",
    )
    options = parser.parse_args(arguments)
    sources = joined.read_sources(options.path)
    together = joined.join(sources)
    if options.out:
        _writable(options.out, sources)
        joined.write(options.out, together.records)
    for note in together.notes:
        print(f"note: {note}", file=sys.stderr)
    if options.json:
        sys.stdout.write(joined.as_json(together.records))
        return
    said = [_table(source, build=source.is_workdir and not options.out) for source in sources]
    said.append(f"\n{paper_text(together.records)}")
    if options.out:
        said.append(f"\n{options.out}")
    print("\n".join(said))  # last, so that a reader who has seen enough stops no report


def _table(source: joined.Source, *, build: bool) -> str:
    """A source's table of results, above the page that is made again of a workdir."""
    shown = tables.text(source.records.rows, source.records.pruned, length=banner(source.records))
    return f"{shown}\n{report.build(source.path) if build else source.path}"


def _writable(out: Path, sources: Sequence[joined.Source]) -> None:
    """Refuse a place for the files of all paths together that holds something else.

    Raises:
      UserError: it is a file, or one of the workdirs that are read.
    """
    if out.exists() and not out.is_dir():
        raise UserError(f"--out {out} is not a folder")
    if (out / "config.json").exists() or out.resolve() in {s.path.resolve() for s in sources}:
        raise UserError(f"--out {out} is a workdir, whose own claims would be lost; give another")


def calibrate(arguments: Sequence[str]) -> None:
    """Compare the calibration candidates with the paper's 32-0.25x rows."""
    parser = _parser("calibration", calibrate)
    figure_file.add_options(parser, "draw the candidates too, into this file")
    options = _asked(parser, "calibration.csv", arguments)
    new = [entry for path in options.workdir for entry in _entries(_workdir(path))]
    lines = [*calibration.recorded(), *new]
    said = [candidates.as_text(lines)]
    if options.out:
        figure_file.save(functools.partial(calibration_planes, lines), options.out, options.theme)
        said.append(f"{options.out}\n{CAPTION}")
    if options.enter:
        path = calibration.record_path()
        said.append(f"{calibration.enter(new, path)} runs entered in {path}")
    print("\n\n".join(said))  # last, so that a reader who has seen enough stops none of it


def record(arguments: Sequence[str]) -> None:
    """Compare the full-length runs on record with the paper's rows; enter new ones."""
    options = _asked(_parser("reproduced", record), "reproduced.csv", arguments)
    new = [entry for path in options.workdir for entry in _full_runs(_workdir(path))]
    kept = {entry.identity: entry for entry in [*new, *reproduced.reproduced()]}
    said = [reproduced_text(tuple(kept.values()))]
    if options.enter:
        path = reproduced.record_path()
        said.append(f"{reproduced.enter(new, path)} runs entered in {path}")
    print("\n\n".join(said))


def _asked(
    parser: argparse.ArgumentParser, file: str, arguments: Sequence[str]
) -> argparse.Namespace:
    """The workdirs that a command sets beside the paper, and whether `file` is to keep their runs.

    Raises:
      UserError: there are no workdirs whose runs to enter.
    """
    parser.add_argument("workdir", nargs="*", type=user_path, metavar="WORKDIR")
    parser.add_argument(
        "--enter",
        action="store_true",
        help=f"append the workdirs' finished runs to report/paper/{file} of the source",
    )
    options = parser.parse_args(arguments)
    if options.enter and not options.workdir:
        raise UserError("--enter needs the workdirs whose runs to enter")
    return options


def figure(arguments: Sequence[str]) -> None:
    """Draw a figure of the paper: 1 to 5, S1 to S4."""
    parser = _parser("figure", figure)
    numbered.add_options(parser)
    path, caption = numbered.write(parser.parse_args(arguments))
    print(f"{path}\n{caption}")


# The first argument -> what it runs; anything else is a path. The docstrings are the help.
COMMANDS: Mapping[str, Callable[[Sequence[str]], None]] = {
    "calibration": calibrate,
    "figure": figure,
    "reproduced": record,
}


def main(arguments: Sequence[str]) -> int:
    """Run one command; returns the exit code: 0, or 2 for wrong input or a bad disk."""
    name, rest = (arguments[0], arguments[1:]) if arguments else ("", [])
    try:
        COMMANDS[name](rest) if name in COMMANDS else judge(arguments)
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
    rows = read_results(results)
    found = calibration.entries(_config(workdir), rows, date=_last_change(results))
    if rows and not found:
        raise UserError(f"{workdir} holds no run of configs/calibration.py")
    return found


def _full_runs(workdir: Path) -> tuple[reproduced.Reproduced, ...]:
    """The finished runs of a workdir, all of them of full length.

    Raises:
      UserError: a run is shortened or in no table of the paper, or the files cannot be read.
    """
    results = workdir / "results.csv"
    if not results.exists():
        return ()
    about = _config(workdir)
    config = re.search(r"--config=(\S+)", about.command)
    return reproduced.entries(
        about,
        read_results(results),
        config=Path(config[1]).name if config else "",
        date=_last_change(results),
    )


def _config(workdir: Path) -> ConfigRecord:
    """The config record of a workdir.

    Raises:
      UserError: there is none, or it cannot be read.
    """
    if not (workdir / "config.json").exists():
        raise UserError(f"{workdir} lacks config.json, which says what its runs were made with")
    return read_config(workdir / "config.json")


def _last_change(path: Path) -> str:
    """The day of a file's last change, as 2026-01-31."""
    return datetime.datetime.fromtimestamp(path.stat().st_mtime, datetime.UTC).date().isoformat()


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
