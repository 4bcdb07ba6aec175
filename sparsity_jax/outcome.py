"""What came out of a trained run: which filters died, what removing them changes, its table row."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from sparsity_jax.data.augment import normalise
from sparsity_jax.fitting import Fitted, Job
from sparsity_jax.models import Plan
from sparsity_jax.models.convnet import logits, rectify
from sparsity_jax.pruning import (
    cost,
    keep_active,
    params_pruned_pct,
    prune,
    without_empty_layers,
    zero,
)
from sparsity_jax.sparsity import activation_sparsity, gamma_sparsity, universality
from sparsity_jax.storage.artifacts import (
    Counts,
    PrunedRecord,
    write_measure,
    write_pruned,
)
from sparsity_jax.storage.models import save_model
from sparsity_jax.storage.records import RunResult
from sparsity_jax.training import Corpus, Score, evaluate

GAMMA_THRESHOLD = 1e-3  # Sec. 2.1, "sparsity by scale"
COMPARED_IMAGES = 500  # on which the zeroed and the pruned network's logits are compared

Variables = Mapping[str, Any]


def settle(job: Job, fitted: Fitted) -> RunResult:
    """Measure and prune a run at its end, write its files, and return its row of results.csv.

    The filters with |gamma| < 1e-3 are removed together with their beta, as the author's own code
    does, and nothing is fine-tuned.
    """
    if fitted.status != "finished":
        return _row(job, fitted)
    plan, variables = job.setup.plan, jax.device_get(fitted.state.variables)
    measured = _measure(job, variables)
    write_measure(job.folder / "measure.npz", fitted.trace.measure(**measured))
    keep, emptied = without_empty_layers(keep_active(gamma_sparsity(variables)), variables)
    small_plan, small = prune(plan, variables, keep)
    save_model(job.folder / "pruned", small_plan, small)
    scores = {
        "dense": _score(plan, variables, job.corpus),
        "masked": _score(plan, zero(variables, keep), job.corpus),
        "pruned": _score(small_plan, small, job.corpus),
    }
    write_pruned(
        job.folder / "pruned.json",
        PrunedRecord(
            threshold=GAMMA_THRESHOLD,
            test_error=scores["dense"].error,
            masked_test_error=scores["masked"].error,
            pruned_test_error=scores["pruned"].error,
            max_logit_difference=_logit_difference(
                job.corpus, (plan, zero(variables, keep)), (small_plan, small)
            ),
            dense=_counts(plan),
            pruned=_counts(small_plan),
            layers={
                name: {"filters": len(mask), "kept": int(mask.sum())} for name, mask in keep.items()
            },
            kept_emptied=emptied,
        ),
    )
    silent = sum(int(mask.sum()) for mask in measured["inactive_act"].values())
    return dataclasses.replace(
        _row(job, fitted),
        sparsity_act=100 * silent / plan.filters,
        **_pruned_columns(plan, small_plan, scores["pruned"]),
    )


def _measure(job: Job, variables: Variables) -> dict[str, dict[str, np.ndarray]]:
    """Per layer: inactive by gamma, inactive by activation, universality on the training corpus."""
    plan, corpus = job.setup.plan, job.corpus
    run_net = _apply_fn(plan)
    options: dict[str, Any] = {
        "activation": _activation(plan.negative_slope),
        "preprocess": _preprocess(tuple(corpus.mean.tolist()), tuple(corpus.std.tolist())),
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
def _preprocess(mean: tuple[float, ...], std: tuple[float, ...]) -> Callable[..., jax.Array]:
    return functools.partial(normalise, mean=jnp.array(mean), std=jnp.array(std))


def _score(plan: Plan, variables: Variables, corpus: Corpus) -> Score:
    images, labels = corpus.test_images, corpus.test_labels
    return evaluate(plan, variables, images, labels, mean=corpus.mean, std=corpus.std)


def _logit_difference(corpus: Corpus, *networks: tuple[Plan, Variables]) -> float:
    """Largest difference of two networks' logits on real images."""
    compiled = jax.jit(logits, static_argnums=0)
    images = normalise(corpus.test_images[:COMPARED_IMAGES], corpus.mean, corpus.std)
    first, second = (compiled(plan, variables, images) for plan, variables in networks)
    return float(jnp.max(jnp.abs(first - second)))


def _counts(plan: Plan) -> Counts:
    found = cost(plan)
    return Counts(found.filters, found.conv_params, found.params, found.macs)


def _row(job: Job, fitted: Fitted) -> RunResult:
    """The run's row as far as training alone tells."""
    run, last = job.run, fitted.trace.evaluations[-1]
    return RunResult(
        run=run.name,
        dataset=job.dataset,
        network=run.network,
        optimizer=run.optimizer,
        regularizer=run.regularizer,
        strength=run.strength,
        batch_size=run.batch_size,
        variant=run.variant,
        seed=run.seed,
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


def _pruned_columns(plan: Plan, small_plan: Plan, score: Score) -> dict[str, Any]:
    gone = plan.filters - small_plan.filters
    return {
        "features_pruned": gone,
        "features_pruned_pct": 100 * gone / plan.filters,
        "params_pruned_pct": params_pruned_pct(plan, small_plan),
        "pruned_test_error": score.error,
        "pruned_top5_error": score.top5_error,
    }
