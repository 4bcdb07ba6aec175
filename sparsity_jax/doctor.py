"""Health of this machine and of what lies on it: what to paste into a bug report.

python -m sparsity_jax.doctor [--workdir DIR] [--data_dir DIR]

  --workdir   also look at what an experiment left there (nothing is changed)
  --data_dir  where prepared data lie (default ~/.cache/sparsity_jax, or SPARSITY_JAX_DATA)

Prints versions, devices, memory, the data found, the health of caches and of the workdir, and tries
the compiled training step. Exit code 0: healthy; 1: something is not, and is named.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import os
import shutil
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import jax

from sparsity_jax import __version__
from sparsity_jax.data import default_data_dir
from sparsity_jax.data.files.cache import read_cache
from sparsity_jax.data.sources.tfds_arrays import prepared_folders
from sparsity_jax.errors import UserError, user_path
from sparsity_jax.experiment.self_test import compiler_line, self_test
from sparsity_jax.storage import completion, lock
from sparsity_jax.storage.checkpoints import checkpoint_problem
from sparsity_jax.storage.config_record import read_record
from sparsity_jax.storage.history import cut_off_line, read_history
from sparsity_jax.storage.results import read_results

Finding = tuple[bool, str]  # healthy, one line
_PACKAGES = ("flax", "optax", "orbax-checkpoint", "tensorflow-datasets")  # beside those JAX names


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; 0 when all is well, 1 when anything is not, 2 for wrong input."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--workdir", type=user_path)
    parser.add_argument("--data_dir", type=user_path)
    try:
        asked = parser.parse_args(arguments)
        data_dir = asked.data_dir or default_data_dir()
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    healthy = True
    for well, line in findings(asked.workdir, data_dir):
        print(f"{'ok ' if well else 'BAD'}  {line}", flush=True)
        healthy &= well
    print("healthy" if healthy else "not healthy: see the lines that begin with BAD")
    return 0 if healthy else 1


def findings(workdir: Path | None, data_dir: Path) -> Iterator[Finding]:
    """Say everything there is to say, line by line.

    Args:
      workdir: what an experiment left, to look at as well.
      data_dir: where prepared data lie.

    Yields:
      Whether it is healthy, and one line about it.
    """
    versions = ", ".join(f"{name} {importlib.metadata.version(name)}" for name in _PACKAGES)
    yield True, f"sparsity_jax {__version__}, {versions}"
    said = str(jax.print_environment_info(return_string=True))  # with nvidia-smi where there is one
    yield from ((True, line) for line in said.splitlines() if line.strip())
    yield True, f"host {os.cpu_count()} cores{_memory()}"
    yield True, compiler_line()
    yield from _data(data_dir)
    if workdir is not None:
        yield from _workdir(workdir)
    yield self_test()


def _memory() -> str:
    if not hasattr(os, "sysconf") or "SC_PHYS_PAGES" not in os.sysconf_names:
        return ""
    return f", {os.sysconf('SC_PHYS_PAGES') * os.sysconf('SC_PAGE_SIZE') / 2**30:.1f} GiB memory"


def _data(folder: Path) -> Iterator[Finding]:
    for prepared in prepared_folders(folder):
        size = sum(path.stat().st_size for path in prepared.iterdir() if path.is_file())
        yield True, f"data prepared by TFDS: {prepared} ({size / 1e6:,.1f} MB)"
    if not folder.is_dir():
        yield True, f"no data prepared in {folder} yet"
        return
    yield True, f"{folder}: {shutil.disk_usage(folder).free / 2**30:.1f} GiB free"
    for path in sorted(folder.glob("*/*.npz")):
        dataset = read_cache(path, pixels=False)
        if dataset is None:
            why = "is of an older version, or damaged"
            yield False, f"{path} {why}; delete it, it is made again when needed"
        else:
            count = f"{len(dataset.train_labels):,} + {len(dataset.test_labels):,} images"
            yield True, f"data {dataset.name} {dataset.variant}: {count} ({path.name})"


def _workdir(folder: Path) -> Iterator[Finding]:
    if not folder.is_dir():
        yield False, f"{folder} is not a folder"
        return
    if lock.is_held(folder):
        yield True, f"{folder} is in use by {lock.holder(folder)}"
    runs = sorted((folder / "runs").glob("*"))
    any_finished = any((run / completion.NAME).exists() for run in runs)
    for name, read, due in (
        ("config.json", lambda path: read_record(path.parent), True),
        ("results.csv", read_results, any_finished),
        ("history.jsonl", read_history, any_finished),
    ):
        yield _readable(folder / name, read, due=due)
    if cut_off_line(folder / "history.jsonl"):
        yield False, "history.jsonl ends in a cut-off line; the same command again mends it"
    for run in runs:
        _, problem = completion.verify_run(run)
        yield (not problem, problem) if problem else _progress(run)


def _readable(path: Path, read: Callable[[Path], object], *, due: bool) -> Finding:
    if not path.exists():
        why = "missing; the same command again makes it" if due else "not there yet"
        return not due, f"{path} is {why}"
    try:
        read(path)
    except (UserError, OSError) as error:
        return False, str(error)
    return True, f"{path} can be read"


def _progress(run: Path) -> Finding:
    if (run / completion.NAME).exists():
        return True, f"run {run.name}: finished, every file as it was written"
    steps = {int(p.name): p for p in (run / "checkpoints").glob("*") if p.name.isdigit()}
    if not steps:
        return True, f"run {run.name}: not finished, no checkpoint yet"
    newest = max(steps)
    if wrong := checkpoint_problem(steps[newest], newest):
        return False, f"{wrong}; the same command again sets it aside and goes on without it"
    return True, f"run {run.name}: not finished, sound checkpoint at step {newest:,}"


if __name__ == "__main__":
    sys.exit(main())
