"""Train networks, see which filters die, cut them out, read a report.

python -m sparsity_jax.main --config=configs/NAME.py[:ARG] [--workdir=DIR] [--overwrite]
                            [--config.FIELD=VALUE ...] [--processes=N] [--share=I/N]

  --config     the experiment: a Python file, which is run; start with configs/quickstart.py
  --workdir    where results.csv, history.jsonl, figures/ and report.html go (default runs/NAME);
               the same command again goes on where it stopped
  --overwrite  start anew, even where another config's results lie
  --config.F=V set a field of the config, such as --config.strength=1e-3, --config.seeds=3,
               --config.data=folder:PATH, --config.renderings.background=cluttered,
               --config.scale=0.1 (shortens every duration); all fields are listed below
  --processes  how many processes train a grid on this machine's CPU; by default one per core where
               that pays; the results do not depend on it
  --share      train only part I (from 0) of N of the grid; start one process for each, on any
               machines that see the workdir (python -m sparsity_jax.launch --help does that)

Processes of one job (a TPU slice, a SLURM step of several tasks) find each other and share the
grid by themselves; where nothing tells them, give each --coordinator=HOST:PORT --process=I/N.
"""

from __future__ import annotations

import shlex
import sys
from collections.abc import Sequence

from absl import flags
from ml_collections import ConfigDict

from sparsity_jax.config.base import all_fields
from sparsity_jax.config.checks import NESTED
from sparsity_jax.config.command_line import field_table, load_config, override
from sparsity_jax.config.fields import nearest_first, unknown_field
from sparsity_jax.distributed import determinism, preemption
from sparsity_jax.distributed.cores import parse_processes
from sparsity_jax.distributed.processes import initialize
from sparsity_jax.distributed.shards import WHOLE, Shard, parse_shard
from sparsity_jax.errors import UserError, user_path
from sparsity_jax.experiment import run as experiment

_FIELD = "config."  # begins the flag of a field


def main() -> int:
    """Run the command line.

    Returns:
      0; 1 if processes of a grid died; 2 for wrong input or a bad disk; 130 or 143 if stopped.
    """
    command = shlex.join(["python", "-m", "sparsity_jax.main", *sys.argv[1:]])
    try:
        values, config = _parse(sys.argv)
        if config is None:
            print(f"{__doc__}\n{field_table()}")
            return 0
        workdir = user_path(values.workdir or f"runs/{config.name}")
        if config.deterministic:
            determinism.demand()
        processes = None if values.processes is None else parse_processes(values.processes)
        shard = _shard(values, together=config.split == "batch")
        invocation = experiment.Invocation(command, values.overwrite, shard, processes)
        with preemption.raising():
            experiment.run(config, workdir, invocation)
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    except OSError as error:  # the disk, not the code
        print(f"error: {error.filename or 'a file'}: {error.strerror or error}", file=sys.stderr)
        print(f"to go on, when that is mended: {command}", file=sys.stderr)
        return 2
    except KeyboardInterrupt as error:
        print(f"\ninterrupted; to go on: {command}", file=sys.stderr)
        return preemption.exit_code(error)
    return 0


def _parse(argv: Sequence[str]) -> tuple[flags.FlagValues, ConfigDict | None]:
    """The flags, and the config with what they set in it; None where only help is asked for."""
    values = _flags()
    try:
        rest = values(argv)[1:]
    except flags.UnrecognizedFlagError as error:
        raise _unknown_flag(error.flagname, values) from None
    except flags.IllegalFlagValueError as error:  # texts are read later
        raise UserError(f"{error}; give True or False") from None
    except flags.Error as error:
        raise UserError(" ".join(str(error).split())) from None
    if rest:
        raise UserError(f"{rest[0]!r} is not a flag; see --help")
    if values.help:
        return values, None
    if values.config is None:
        raise UserError("--config is missing; try --config=configs/quickstart.py")
    config = load_config(values.config)
    given = {
        name.removeprefix(_FIELD): values[name].value for name in values if name.startswith(_FIELD)
    }
    override(config, {name: str(text) for name, text in given.items() if text is not None})
    return values, config


def _flags() -> flags.FlagValues:
    values = flags.FlagValues()
    for name, text in (
        ("config", "the config file"),
        ("workdir", "where results go"),
        ("processes", "how many processes train the grid"),
        ("share", "which part of the grid: I/N"),
        ("coordinator", "HOST:PORT of process 0"),
        ("process", "which process of how many: I/N"),
    ):
        flags.DEFINE_string(name, None, text, flag_values=values)
    flags.DEFINE_bool("overwrite", False, "start anew in the workdir", flag_values=values)
    flags.DEFINE_bool("help", False, "show the text above", flag_values=values)
    fields = {name: field.setting.help for name, field in all_fields().items()}
    for name, text in {**fields, **dict.fromkeys(NESTED, "a dict")}.items():
        yes_or_no = name in fields and all_fields()[name].hint is bool
        define = flags.DEFINE_bool if yes_or_no else flags.DEFINE_string
        define(f"{_FIELD}{name}", None, text, flag_values=values)
    return values


def _unknown_flag(name: str, values: flags.FlagValues) -> UserError:
    if name.startswith(_FIELD):
        return unknown_field(name.removeprefix(_FIELD), all_fields())
    valid = nearest_first(name, [each for each in values if not each.startswith(_FIELD)])
    return UserError(f"--{name} is not a flag; valid are --{', --'.join(valid)}, --config.FIELD")


def _shard(values: flags.FlagValues, *, together: bool) -> Shard:
    """The part of the runs that this process trains, alone or joined to others.

    Args:
      values: the flags.
      together: all processes train the same runs, each a part of every batch.
    """
    if values.share is None:
        process = values.process and parse_shard(values.process, flag="--process")
        joined = initialize(values.coordinator, process or None)
        return WHOLE if together else joined
    if values.coordinator or values.process:
        raise UserError("--share is for processes that do not know of each other; leave it out")
    if values.overwrite:
        raise UserError("--overwrite would remove what other shares wrote; give one of the two")
    return parse_shard(values.share)


if __name__ == "__main__":
    sys.exit(main())
