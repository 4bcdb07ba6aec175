"""Record of a run at its end: its row of results.csv, its history, what a reader should be told."""

from __future__ import annotations

import dataclasses
import math

import numpy as np

from sparsity_jax.experiment.prune import PrunedRun
from sparsity_jax.pruning import params_pruned_pct
from sparsity_jax.storage.completion import RunRecord
from sparsity_jax.storage.config_record import machine_text
from sparsity_jax.storage.results import RunResult
from sparsity_jax.training.cuts import train_macs_pct
from sparsity_jax.training.trainer import TrainedRun


def finalize_run(pruned: PrunedRun) -> RunRecord:
    """Sum up a run that was trained, measured and pruned.

    Sparsity is that of the network as trained; the columns on pruning are those of the smaller
    network, after fine-tuning if the config asks for it. A diverged run has neither.
    """
    trained = pruned.measured.trained
    lines = tuple(trained.eval_log.lines())
    return RunRecord(_row(pruned), lines, notes(trained), machine_text())


def notes(trained: TrainedRun) -> tuple[str, ...]:
    """Tell a reader of the run's row that it diverged, or learned nothing.

    A run at chance level is a result (the paper has some), not an error.

    Example:
      >>> notes(trained)  # doctest: +SKIP
      ('diverged between steps 50 and 100',)
    """
    if trained.diverged:
        return ("diverged between steps {} and {}".format(*trained.diverged),)
    labels = np.asarray(trained.run.data.test_labels)
    by_guessing = 100 * (1 - np.bincount(labels).max() / len(labels))
    spread = math.sqrt(by_guessing * (100 - by_guessing) / len(labels))  # one standard error
    error = trained.eval_log.evaluations[-1].test_error
    if error < by_guessing - 2 * spread:
        return ()
    return (f"is at chance level: test error {error:.1f} %, by guessing {by_guessing:.1f} %",)


def _row(pruned: PrunedRun) -> RunResult:
    row, network = _trained_row(pruned.measured.trained), pruned.network
    if network is None:
        return row
    plan = pruned.measured.trained.run.program.plan
    gone = plan.filters - network.plan.filters
    return dataclasses.replace(
        row,
        sparsity_act=pruned.measured.sparsity_act,
        features_pruned=gone,
        features_pruned_pct=100 * gone / plan.filters,
        params_pruned_pct=params_pruned_pct(plan, network.plan),
        pruned_test_error=network.score.error,
        pruned_top5_error=network.score.top5_error,
    )


def _trained_row(trained: TrainedRun) -> RunResult:
    """The run's row as far as training alone tells."""
    config, last = trained.run.config, trained.eval_log.evaluations[-1]
    return RunResult(
        run=config.name,
        dataset=trained.run.dataset_name,
        network=config.network,
        optimizer=config.optimizer,
        regularizer=config.regularizer,
        strength=config.strength,
        batch_size=config.batch_size,
        variant=config.variant,
        seed=config.seed,
        steps=last.step,
        status=trained.status,
        train_loss=last.train_loss,
        test_loss=last.test_loss,
        test_error=last.test_error,
        top5_error=last.top5_error,
        sparsity_gamma=last.sparsity_gamma,
        layers=tuple(last.layers.values()),
        seconds=trained.seconds,
        train_macs_pct=train_macs_pct(trained.run.program.plan, trained.cuts, steps=last.step),
        scale=config.scale,
    )
