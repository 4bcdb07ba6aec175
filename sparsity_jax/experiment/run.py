"""The story of one command, top to bottom: runs, data, training, measuring, pruning, report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
from ml_collections import ConfigDict

from sparsity_jax.config.run_config import RunConfig
from sparsity_jax.config.sweep import expand
from sparsity_jax.experiment.complete import complete_group
from sparsity_jax.experiment.grid import train_with_workers
from sparsity_jax.experiment.loading import describe_data, load_runs
from sparsity_jax.experiment.process_count import process_count
from sparsity_jax.storage.workdir import Invocation, Workdir
from sparsity_jax.training.cuts import why_few_cuts
from sparsity_jax.training.grouping import groups
from sparsity_jax.training.progress import stage
from sparsity_jax.training.run import Run
from sparsity_jax.training.trainer import TrainOptions


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
    invocation = invocation or Invocation()
    workdir = Workdir(path, settled, runs, invocation)
    if not workdir.is_complete():
        _keep_compiled_programs(path)
        loaded, sources = load_runs(settled, workdir)
        most = 1 if options.split == "batch" else settled["members"]
        with workdir.held():
            describe_data(sources, workdir)
            if workdir.is_primary:
                _tell_of_few_cuts(runs)
            made = groups(loaded, most=most, shards=workdir.shard.count)
            _train(made, settled, workdir, asked=invocation.processes)
            workdir.finish(_report)
    if workdir.all_finished and workdir.is_primary:
        _show(workdir)


def _train(
    made: Sequence[Sequence[Run]], config: Mapping[str, Any], workdir: Workdir, *, asked: int | None
) -> None:
    """Train this shard's groups here, or run by run in several processes."""
    options, own = TrainOptions.of(config), workdir.shard.of(made)
    if asked != 1:
        # Members that may be apart are: every process takes the next that waits.
        apart = not config["members"] and options.member_map is None
        tasks = [[run] for group in own for run in group] if apart else own
        waiting = [left for task in tasks if (left := workdir.unfinished(task))]
        count = process_count(asked, waiting, split=options.split, shard=workdir.shard)
        if count > 1:
            begun = [left for task in waiting if (left := workdir.begin(task))]
            train_with_workers(begun, config, workdir, processes=min(count, len(begun)))
            return
    for group in workdir.pending(made):
        complete_group(group, options, workdir)


def _tell_of_few_cuts(runs: Sequence[RunConfig]) -> None:
    """Say, once for all runs alike, why runs that are to be cut will hardly be."""
    cutting = [run for run in runs if run.prune_during_training]
    reasons = [
        why_few_cuts(
            run.optimizer,
            run.regularizer,
            learning_rate=run.learning_rate * max(run.gamma_lr_scale, run.beta_lr_scale),
            strength=run.strength,
        )
        for run in cutting
    ]
    for reason in dict.fromkeys(filter(None, reasons)):
        print(f"note: prune_during_training: {reason}")


def _keep_compiled_programs(workdir: Path) -> None:
    """Keep compiled programs beside the workdir, unless JAX was told where to keep them."""
    if jax.config.jax_compilation_cache_dir is None:  # pyright: ignore[reportAttributeAccessIssue]
        folder = workdir.absolute().parent / ".compilations"
        jax.config.update("jax_compilation_cache_dir", str(folder))


def _report(folder: Path) -> None:
    """Write the report, and say how long that takes."""
    with stage("drawing the report"):
        from sparsity_jax import report  # Matplotlib takes a while to import

        report.build(folder)


def _show(workdir: Workdir) -> None:
    """Print the table, what a reader of its rows should be told, and where the report is."""
    from sparsity_jax import report

    print(report.table(workdir.path))
    for record in workdir.records:
        for note in record.notes:
            print(f"note: {record.result.run} {note}")
    print(f"report: {workdir.path / 'report.html'}")
