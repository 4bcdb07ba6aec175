"""Pruning of a measured run: filters chosen, folded, cut, the rest fine-tuned and timed."""

from __future__ import annotations

import dataclasses
import math
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from sparsity_jax.data.augment import as_tested
from sparsity_jax.experiment.measure import GAMMA_THRESHOLD, MeasuredRun
from sparsity_jax.models import Plan
from sparsity_jax.models.convnet import logits
from sparsity_jax.pruning import (
    FoldError,
    compare_latency,
    cost,
    fold_constants,
    fold_error,
    keep_by,
    prune,
    without_empty_layers,
    zero,
)
from sparsity_jax.storage.models import save_model
from sparsity_jax.storage.pruned import FileSizes, PrunedRecord, write_pruned
from sparsity_jax.training import DeviceDataset, Score, StreamingDataset, TrainState, evaluate
from sparsity_jax.training.evaluate import images_at_once
from sparsity_jax.training.finetune import finetune
from sparsity_jax.training.progress import Stage, stage
from sparsity_jax.training.run import Run

COMPARED_IMAGES = 500  # on which logits are compared

Variables = Mapping[str, Any]
Network = tuple[Plan, Variables]
AnyDataset = DeviceDataset | StreamingDataset


class PrunedNetwork(NamedTuple):
    """A smaller network, how well it does, and what is worth writing down about it."""

    plan: Plan
    variables: Variables
    score: Score
    record: PrunedRecord


class PrunedRun(NamedTuple):
    """A measured run, and its smaller network; None for a run that diverged."""

    measured: MeasuredRun
    network: PrunedNetwork | None


def prune_run(measured: MeasuredRun) -> PrunedRun:
    """Prune a run's network and write its `pruned.json`; a diverged run is left as it is."""
    trained = measured.trained
    if trained.status != "finished":
        return PrunedRun(measured, None)
    network = prune_network(trained.run, trained.state)
    with stage(f"{trained.run.config.name}: zeroing by activation", quiet=True):
        masked = _masked_act_error(trained.run, trained.state, measured.inactive_act)
    record = dataclasses.replace(network.record, masked_act_error=masked)
    network = network._replace(record=record)
    write_pruned(trained.run.folder / "pruned.json", record)
    return PrunedRun(measured, network)


def prune_network(run: Run, state: TrainState) -> PrunedNetwork:
    """Prune a run's network as its config asks, and measure what that changed and bought.

    Filters go by `criterion`: by default those with |gamma| < 1e-3. In mode 'author' their beta
    goes with them, as in the author's own code; in mode 'exact' the constant they answer is first
    folded into what follows. With `finetune_epochs` the pruned network is trained on.

    Args:
      run: the run.
      state: its state at the end.

    Returns:
      The pruned network, saved under runs/<run>/pruned as well, with its score and record.
    """
    variables, seconds = jax.device_get(state.variables), run.config.latency_seconds
    with stage(f"{run.config.name}: pruning") as shown:
        network = _cut(run, state, variables, shown)
    if not seconds:
        return network
    with stage(f"{run.config.name}: timing"):
        dense, small = (run.program.plan, variables), (network.plan, network.variables)
        latency = compare_latency(dense, small, seconds=seconds)
    return network._replace(record=dataclasses.replace(network.record, latency=latency))


def _cut(run: Run, state: TrainState, variables: Variables, shown: Stage) -> PrunedNetwork:
    """Prune and save a run's network; its record has no times yet."""
    plan = run.program.plan
    keep, emptied = _chosen(run, variables)
    exact = run.config.prune_mode == "exact"
    prepared = fold_constants(plan, variables, keep) if exact else variables
    masked, pruned = (plan, zero(prepared, keep)), prune(plan, prepared, keep)
    before = _score(pruned, run.data)
    steps = run.config.finetune_steps(run.data.train_size)
    final = pruned
    if steps:
        with shown.silent():
            final = pruned[0], finetune(run, state, keep, pruned, steps=steps)
    score = _score(final, run.data) if steps else before
    save_model(run.folder / "pruned", *final)
    record = PrunedRecord(
        threshold=GAMMA_THRESHOLD,
        test_error=_score((plan, variables), run.data).error,
        masked_test_error=_score(masked, run.data).error,
        pruned_test_error=score.error,
        max_logit_difference=_logit_difference(run.data, masked, pruned),
        dense=cost(plan),
        pruned=cost(final[0]),
        layers={
            name: {"filters": len(mask), "kept": int(mask.sum())} for name, mask in keep.items()
        },
        kept_emptied=emptied,
        mode=run.config.prune_mode,
        criterion=run.config.criterion,
        finetune_steps=steps,
        error_before_finetuning=before.error if steps else math.nan,
        folded=_fold_error(run, variables, keep) if exact else None,
        file_bytes=_file_bytes(run.folder, (plan, variables)),
    )
    return PrunedNetwork(*final, score, record)


def _masked_act_error(run: Run, state: TrainState, inactive: Mapping[str, Any]) -> float:
    """Test error with the filters inactive by activation set to zero; NaN where none were told."""
    if not inactive:
        return math.nan
    keep = {layer: ~mask for layer, mask in inactive.items()}
    variables = zero(jax.device_get(state.variables), keep)
    return _score((run.program.plan, variables), run.data).error


def _chosen(run: Run, variables: Variables) -> tuple[dict[str, Any], tuple[str, ...]]:
    config = run.config
    keep = keep_by(
        config.criterion,
        variables,
        fraction=config.prune_fraction,
        layers=config.prune_layers,
        threshold=GAMMA_THRESHOLD,
    )
    return without_empty_layers(keep, variables)


def _score(network: Network, data: AnyDataset) -> Score:
    images, labels = data.test_images, data.test_labels
    return evaluate(*network, images, labels, mean=data.mean, std=data.std)


def _test_images(data: AnyDataset, plan: Plan) -> jax.Array:
    images, size = data.test_images[:COMPARED_IMAGES], plan.input_shape[:2]
    return as_tested(images, size=size, mean=data.mean, std=data.std)


def _logit_difference(data: AnyDataset, *networks: Network) -> float:
    """Largest difference of two networks' logits on real images."""
    compiled = jax.jit(logits, static_argnums=0)
    images = _test_images(data, networks[0][0])
    size = min(images_at_once(networks[0][0]), len(images))
    largest = 0.0
    for start in range(0, len(images), size):
        part = images[min(start, len(images) - size) :][:size]  # the last one slides back
        first, second = (compiled(plan, variables, part) for plan, variables in networks)
        largest = max(largest, float(jnp.max(jnp.abs(first - second))))
    return largest


def _fold_error(run: Run, variables: Variables, keep: Mapping[str, Any]) -> FoldError:
    plan = run.program.plan
    images = _test_images(run.data, plan)
    return fold_error(plan, variables, keep, images, batch_size=images_at_once(plan))


def _file_bytes(folder: Path, dense: Network) -> FileSizes:
    """Bytes of plan and weights, the dense network's saved the same way and thrown away."""
    with tempfile.TemporaryDirectory(dir=folder, prefix=".dense-") as beside:
        save_model(Path(beside), *dense)
        return FileSizes(dense=_size(Path(beside)), pruned=_size(folder / "pruned"))


def _size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.iterdir())
