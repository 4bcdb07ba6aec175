"""The story of one command, top to bottom: runs, data, training, measuring, pruning, report."""

from __future__ import annotations

from pathlib import Path

import jax
from ml_collections import ConfigDict

from sparsity_jax import report
from sparsity_jax.config.sweep import expand
from sparsity_jax.experiment.loading import describe_data, load_runs
from sparsity_jax.experiment.measure import measure_run
from sparsity_jax.experiment.prune import prune_run
from sparsity_jax.experiment.record import finalize_run
from sparsity_jax.storage.workdir import Invocation, Workdir
from sparsity_jax.training.grouping import groups
from sparsity_jax.training.trainer import TrainOptions, train_group


def run(config: ConfigDict, path: Path, invocation: Invocation | None = None) -> None:
    """Train, measure and prune every run of a config, and report.

    The same call again goes on where it stopped; once all is done it only prints the table.

    Args:
      config: as `config.base.default_config` describes; checked before anything is computed.
      path: the workdir, where every result goes.
      invocation: which shard of the runs to train, whether to start anew; None: all, and go on.

    Raises:
      UserError: what is wrong with the config, the data or the workdir, in one line.
    """
    runs, settled = expand(config), config.to_dict()
    options = TrainOptions.of(settled)
    workdir = Workdir(path, settled, runs, invocation or Invocation())
    if not workdir.is_complete():
        _keep_compiled_programs(path)
        loaded, sources = load_runs(settled, workdir)
        most = 1 if options.split == "batch" else settled["members"]
        with workdir.held():
            describe_data(sources, workdir)
            for group in workdir.pending(groups(loaded, most=most, shards=workdir.shard.count)):
                for trained in train_group(group, options, workdir.place(group)):
                    pruned = prune_run(measure_run(trained))
                    workdir.complete(trained.run, finalize_run(pruned))
            workdir.finish(report.build)
    if workdir.all_finished and workdir.is_primary:
        _show(workdir)


def _keep_compiled_programs(workdir: Path) -> None:
    """Keep compiled programs beside the workdir, unless JAX was told where to keep them."""
    if jax.config.jax_compilation_cache_dir is None:  # pyright: ignore[reportAttributeAccessIssue]
        folder = workdir.absolute().parent / ".compilations"
        jax.config.update("jax_compilation_cache_dir", str(folder))


def _show(workdir: Workdir) -> None:
    """Print the table, what a reader of its rows should be told, and where the report is."""
    print(report.table(workdir.path))
    for record in workdir.records:
        for note in record.notes:
            print(f"note: {record.result.run} {note}")
    print(f"report: {workdir.path / 'report.html'}")
