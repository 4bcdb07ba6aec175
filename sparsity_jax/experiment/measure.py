"""What came out of a trained run: which filters died, what removing them changes, its table row."""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from sparsity_jax.data.augment import as_tested
from sparsity_jax.experiment.prune import GAMMA_THRESHOLD, PrunedRun, prune_run
from sparsity_jax.models import Plan
from sparsity_jax.models.convnet import logits, rectify
from sparsity_jax.pruning import params_pruned_pct
from sparsity_jax.sparsity import activation_sparsity, gamma_sparsity, universality
from sparsity_jax.storage.measurements import write_measurements
from sparsity_jax.storage.pruned import write_pruned
from sparsity_jax.storage.results import RunResult
from sparsity_jax.training.evaluate import images_at_once
from sparsity_jax.training.run import Run
from sparsity_jax.training.trainer import TrainedRun

Variables = Mapping[str, Any]


def finalize_run(run: Run, fitted: TrainedRun) -> RunResult:
    """Measure and prune a run at its end, write its files, and return its row of results.csv.

    Sparsity is that of the network as trained; the columns on pruning are those of the smaller
    network, after fine-tuning if the config asks for it.
    """
    if fitted.status != "finished":
        return _row(run, fitted)
    plan = run.program.plan
    measured = _measure(run, jax.device_get(fitted.state.variables))
    write_measurements(run.folder / "measure.npz", fitted.eval_log.measure(**measured))
    pruned_run = prune_run(run, fitted.state)
    write_pruned(run.folder / "pruned.json", pruned_run.record)
    silent = sum(int(mask.sum()) for mask in measured["inactive_act"].values())
    return dataclasses.replace(
        _row(run, fitted),
        sparsity_act=100 * silent / plan.filters,
        **_pruned_columns(plan, pruned_run),
    )


def _measure(run: Run, variables: Variables) -> dict[str, dict[str, np.ndarray]]:
    """Per layer: inactive by gamma, inactive by activation, universality on the training corpus."""
    plan, corpus = run.program.plan, run.corpus
    run_net = _apply_fn(plan)
    options: dict[str, Any] = {
        "batch_size": images_at_once(plan),
        "activation": _activation(plan.negative_slope),
        "preprocess": _preprocess(
            plan.input_shape[:2], tuple(corpus.mean.tolist()), tuple(corpus.std.tolist())
        ),
    }
    by_act = activation_sparsity(run_net, variables, corpus.train_images, **options)
    answers = universality(run_net, variables, corpus.train_images, **options)
    named = {
        "inactive_gamma": gamma_sparsity(variables, GAMMA_THRESHOLD).layers,
        "inactive_act": by_act.layers,
        "universality": answers.layers,
    }
    return {
        what: {path.partition("/")[0]: values for path, values in layers.items()}
        for what, layers in named.items()
    }


# The measurements compile once for each function object they are given: these remember theirs.
@functools.lru_cache
def _apply_fn(plan: Plan) -> Callable[..., jax.Array]:
    return functools.partial(logits, plan)


@functools.lru_cache
def _activation(negative_slope: float) -> Callable[[jax.Array], jax.Array]:
    return functools.partial(rectify, negative_slope=negative_slope)


@functools.lru_cache
def _preprocess(
    size: tuple[int, int], mean: tuple[float, ...], std: tuple[float, ...]
) -> Callable[..., jax.Array]:
    return functools.partial(as_tested, size=size, mean=jnp.array(mean), std=jnp.array(std))


def notes(run: Run, fitted: TrainedRun) -> tuple[str, ...]:
    """What a reader of the run's row should be told: that it diverged, or learned nothing.

    A run at chance level is a result (the paper has some), not an error.

    Example:
      >>> notes(run, fitted)
      ('diverged between steps 50 and 100',)
    """
    if fitted.diverged:
        return ("diverged between steps {} and {}".format(*fitted.diverged),)
    labels = np.asarray(run.corpus.test_labels)
    by_guessing = 100 * (1 - np.bincount(labels).max() / len(labels))
    spread = math.sqrt(by_guessing * (100 - by_guessing) / len(labels))  # one standard error
    error = fitted.eval_log.evaluations[-1].test_error
    if error < by_guessing - 2 * spread:
        return ()
    return (f"is at chance level: test error {error:.1f} %, by guessing {by_guessing:.1f} %",)


def _row(run: Run, fitted: TrainedRun) -> RunResult:
    """The run's row as far as training alone tells."""
    config, last = run.config, fitted.eval_log.evaluations[-1]
    return RunResult(
        run=config.name,
        dataset=run.dataset,
        network=config.network,
        optimizer=config.optimizer,
        regularizer=config.regularizer,
        strength=config.strength,
        batch_size=config.batch_size,
        variant=config.variant,
        seed=config.seed,
        steps=last.step,
        status=fitted.status,
        train_loss=last.train_loss,
        test_loss=last.test_loss,
        test_error=last.test_error,
        top5_error=last.top5_error,
        sparsity_gamma=last.sparsity_gamma,
        layers=tuple(last.layers.values()),
        seconds=fitted.seconds,
    )


def _pruned_columns(plan: Plan, pruned_run: PrunedRun) -> dict[str, Any]:
    gone = plan.filters - pruned_run.plan.filters
    return {
        "features_pruned": gone,
        "features_pruned_pct": 100 * gone / plan.filters,
        "params_pruned_pct": params_pruned_pct(plan, pruned_run.plan),
        "pruned_test_error": pruned_run.score.error,
        "pruned_top5_error": pruned_run.score.top5_error,
    }
