"""Worker of a grid: a process that trains the runs it is given, in a workdir that another holds."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import jax
from ml_collections import ConfigDict

from sparsity_jax.config.sweep import expand
from sparsity_jax.distributed.shards import Shard
from sparsity_jax.distributed.worker import Tell, serve
from sparsity_jax.experiment.complete import complete_group
from sparsity_jax.experiment.loading import load_runs
from sparsity_jax.storage.workdir import Invocation, Workdir
from sparsity_jax.training.progress import telling
from sparsity_jax.training.trainer import TrainOptions

COMMAND = (sys.executable, "-c", f"from {__name__} import main; main()")


class Assignment(NamedTuple):
    """Description of the work, the first thing that a worker reads.

    Attributes:
      config: of the experiment.
      path: the workdir.
      shard: a part of the runs that no other process has; it names the worker's own history.
      compilations: where compiled programs are kept.
    """

    config: dict[str, Any]
    path: Path
    shard: Shard
    compilations: str | None


def main() -> None:
    """Train until the end, or until told to stop."""
    sys.exit(serve(_work))


def _work(assignment: Assignment, groups: Iterator[tuple[str, ...]], tell: Tell) -> None:
    """Train groups of runs, given by name."""
    jax.config.update("jax_compilation_cache_dir", assignment.compilations)
    jax.devices()  # its threads begin now, as many as there are cores
    tell("ready", os.getpid())
    own = Invocation(shard=assignment.shard, helps=True)
    runs = expand(ConfigDict(assignment.config))
    workdir = Workdir(assignment.path, assignment.config, runs, own)
    made, _ = load_runs(assignment.config, workdir)
    loaded = {run.config.name: run for run in made}
    options = TrainOptions.of(assignment.config)
    with telling(lambda status: tell("at", status)):
        for names in groups:
            complete_group([loaded[name] for name in names], options, workdir)
            tell("done", names)
