"""Train networks, see which filters die, cut them out, read a report.

python -m sparsity_jax.main --config=configs/NAME.py[:ARG] [--workdir=DIR] [--overwrite]
                            [--config.FIELD=VALUE ...]

  --config     the experiment: a Python file, which is run; start with configs/quickstart.py
  --workdir    where results.csv, history.jsonl, figures/ and report.html go (default runs/NAME);
               the same command again goes on where it stopped
  --overwrite  start anew, even where another config's results lie
  --config.F=V set a field of the config, such as --config.strength=1e-3, --config.seeds=3,
               --config.data=folder:PATH, --config.renderings.background=cluttered,
               --config.scale=0.1 (shortens every duration); sparsity_jax/settings.py lists them
"""

from __future__ import annotations

import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

from absl import flags
from ml_collections import config_flags

from sparsity_jax import experiment
from sparsity_jax.errors import UserError


def main() -> int:
    """Run the command line; returns the exit code: 0, 2 for wrong input, 130 when interrupted."""
    command = shlex.join(["python", "-m", "sparsity_jax.main", *sys.argv[1:]])
    try:
        values = _parse(sys.argv)  # the config flag finds its overrides in sys.argv by itself
        if values.help:
            print(__doc__)
            return 0
        config = values.config
        workdir = Path(values.workdir or f"runs/{config.name}")
        experiment.run(config, workdir, overwrite=values.overwrite, command=command)
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print(f"\ninterrupted; to go on: {command}", file=sys.stderr)
        return 130
    return 0


def _parse(argv: Sequence[str]) -> flags.FlagValues:
    values = flags.FlagValues()
    config_flags.DEFINE_config_file("config", None, "the config file", flag_values=values)
    flags.DEFINE_string("workdir", None, "where results go", flag_values=values)
    flags.DEFINE_bool("overwrite", False, "start anew in the workdir", flag_values=values)
    flags.DEFINE_bool("help", False, "show the text above", flag_values=values)
    try:
        rest = values(argv)[1:]
    except (flags.Error, AttributeError, KeyError, TypeError, ValueError, OSError) as error:
        raise UserError(_first_line(error)) from None
    if rest:
        raise UserError(f"{rest[0]!r} is not a flag; see --help")
    if values.config is None and not values.help:
        raise UserError("--config is missing; try --config=configs/quickstart.py")
    return values


def _first_line(error: Exception) -> str:
    return (str(error).strip("'\"").splitlines() or [type(error).__name__])[0]


if __name__ == "__main__":
    sys.exit(main())
