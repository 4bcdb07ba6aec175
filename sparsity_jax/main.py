"""Train networks, see which filters die, cut them out, read a report.

python -m sparsity_jax.main --config=configs/NAME.py[:ARG] [--workdir=DIR] [--overwrite]
                            [--config.FIELD=VALUE ...] [--share=I/N]

  --config     the experiment: a Python file, which is run; start with configs/quickstart.py
  --workdir    where results.csv, history.jsonl, figures/ and report.html go (default runs/NAME);
               the same command again goes on where it stopped
  --overwrite  start anew, even where another config's results lie
  --config.F=V set a field of the config, such as --config.strength=1e-3, --config.seeds=3,
               --config.data=folder:PATH, --config.renderings.background=cluttered,
               --config.scale=0.1 (shortens every duration); sparsity_jax/config/base.py lists them
  --share      train only part I (from 0) of N of the grid; start one process for each, on any
               machines that see the workdir (python -m sparsity_jax.launch --help does that)

Processes of one job (a TPU slice, a SLURM step of several tasks) find each other and share the
grid by themselves; where nothing tells them, give each --coordinator=HOST:PORT --process=I/N.
"""

from __future__ import annotations

import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

from absl import flags
from ml_collections import config_flags

from sparsity_jax.distributed import determinism
from sparsity_jax.distributed import preemption as interruption
from sparsity_jax.distributed.processes import initialize
from sparsity_jax.distributed.shards import WHOLE, Shard, parse_shard
from sparsity_jax.errors import UserError
from sparsity_jax.experiment import run as experiment


def main() -> int:
    """Run the command line; returns 0, 2 for wrong input or a bad disk, 130 or 143 if stopped."""
    command = shlex.join(["python", "-m", "sparsity_jax.main", *sys.argv[1:]])
    try:
        values = _parse(sys.argv)  # the config flag finds its overrides in sys.argv by itself
        if values.help:
            print(__doc__)
            return 0
        config = values.config
        workdir = Path(values.workdir or f"runs/{config.name}")
        if config.get("deterministic"):
            determinism.demand()
        invocation = experiment.Invocation(
            command, overwrite=values.overwrite, shard=_shard(values)
        )
        with interruption.raising():
            experiment.run(config, workdir, invocation)
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except OSError as error:  # the disk, not the code
        print(f"error: {error.filename or 'a file'}: {error.strerror or error}", file=sys.stderr)
        print(f"to go on, when that is mended: {command}", file=sys.stderr)
        return 2
    except KeyboardInterrupt as error:
        print(f"\ninterrupted; to go on: {command}", file=sys.stderr)
        return interruption.exit_code(error)
    return 0


def _parse(argv: Sequence[str]) -> flags.FlagValues:
    values = flags.FlagValues()
    config_flags.DEFINE_config_file("config", None, "the config file", flag_values=values)
    flags.DEFINE_string("workdir", None, "where results go", flag_values=values)
    flags.DEFINE_bool("overwrite", False, "start anew in the workdir", flag_values=values)
    flags.DEFINE_string("share", None, "which part of the grid: I/N", flag_values=values)
    flags.DEFINE_string("coordinator", None, "HOST:PORT of process 0", flag_values=values)
    flags.DEFINE_string("process", None, "which process of how many: I/N", flag_values=values)
    flags.DEFINE_bool("help", False, "show the text above", flag_values=values)
    try:
        rest = values(argv)[1:]
        _ = values.config and values.config.name  # a file that is missing shows only now
    except Exception as error:  # a config file is code, and may raise anything
        raise UserError(_one_line(error)) from None
    if rest:
        raise UserError(f"{rest[0]!r} is not a flag; see --help")
    if values.config is None and not values.help:
        raise UserError("--config is missing; try --config=configs/quickstart.py")
    return values


def _shard(values: flags.FlagValues) -> Shard:
    """The part of the runs that this process trains, alone or joined to others."""
    if values.share is None:
        process = values.process and parse_shard(values.process, flag="--process")
        joined = initialize(values.coordinator, process or None)
        return WHOLE if values.config.get("split") == "batch" else joined  # all train the same runs
    if values.coordinator or values.process:
        raise UserError("--share is for processes that do not know of each other; leave it out")
    if values.overwrite:
        raise UserError("--overwrite would remove what other shares wrote; give one of the two")
    return parse_shard(values.share)


def _one_line(error: Exception) -> str:
    """An error's message on one line, without the libraries' framing; its kind if unexpected."""
    if isinstance(error, UserError):
        return str(error)
    if isinstance(error, OSError):
        there = ", ".join(sorted(path.stem for path in Path("configs").glob("*.py")))
        known = f"; configs/ holds {there}" if there else ""
        return f"--config cannot be read: {str(error).splitlines()[-1].strip()}{known}"
    said = " ".join(str(error).replace("\\n", " ").replace("\\'", "'").split()).strip("'\"")
    if isinstance(error, flags.Error | AttributeError | KeyError):
        return said.replace("' Did you", ". Did you")
    return f"--config: {type(error).__name__}: {said}"


if __name__ == "__main__":
    sys.exit(main())
