"""Completion of a group of runs: trained, measured, pruned, declared finished."""

from __future__ import annotations

from collections.abc import Sequence

from sparsity_jax.distributed.program_memory import release_programs
from sparsity_jax.experiment.measure import measure_run
from sparsity_jax.experiment.prune import prune_run
from sparsity_jax.experiment.record import finalize_run
from sparsity_jax.storage.workdir import Workdir
from sparsity_jax.training.run import Run
from sparsity_jax.training.trainer import TrainOptions, train_group


def complete_group(group: Sequence[Run], options: TrainOptions, workdir: Workdir) -> None:
    """Train a group's runs in one program, then measure, prune and record each."""
    for trained in train_group(group, options, workdir.place(group)):
        workdir.complete(trained.run, finalize_run(prune_run(measure_run(trained))))
        release_programs()  # every pruned network has programs of its own
