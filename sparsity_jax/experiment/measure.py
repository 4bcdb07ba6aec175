"""Measurement of a trained run: its inactive filters, their universality, its confusions."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from sparsity_jax.data.augment import as_tested
from sparsity_jax.models import Plan
from sparsity_jax.models.convnet import logits
from sparsity_jax.pruning.shrink import GAMMA_THRESHOLD
from sparsity_jax.sparsity import gamma_sparsity
from sparsity_jax.sparsity.corpus import measure_corpus
from sparsity_jax.storage.measurements import write_measurements
from sparsity_jax.training.cuts import cut_steps
from sparsity_jax.training.evaluate import confusion, images_per_call
from sparsity_jax.training.progress import Stage, stage
from sparsity_jax.training.run import Run
from sparsity_jax.training.trainer import TrainedRun

Variables = Mapping[str, Any]
Layers = dict[str, np.ndarray]  # layer name -> (filters,)


class MeasuredRun(NamedTuple):
    """A trained run, and which of its filters no training image activates.

    Attributes:
      trained: the run.
      sparsity_act: percent of the filters; NaN for a run that diverged, which is not measured, and
        for a leaky ReLU, whose filters answer to every image.
      inactive_act: layer -> (filters,) bool; empty where sparsity_act is NaN.
    """

    trained: TrainedRun
    sparsity_act: float = math.nan
    inactive_act: Mapping[str, np.ndarray] = {}


def measure_run(trained: TrainedRun) -> MeasuredRun:
    """Measure a run on its training images and write its `measure.npz`."""
    if trained.status != "finished":
        return MeasuredRun(trained)
    run, variables = trained.run, jax.device_get(trained.state.variables)
    with stage(f"{run.config.name}: measuring") as shown:
        measured: dict[str, Any] = measure(run, variables, shown)
        measured["confusion"] = _confusion(run, variables)
    if run.config.prune_during_training:
        measured["cut_step"] = cut_steps(run.program.plan, trained.cuts)
    write_measurements(run.folder / "measure.npz", trained.eval_log.measure(**measured))
    by_act = measured["inactive_act"]
    if not by_act:
        return MeasuredRun(trained)
    inactive = sum(int(mask.sum()) for mask in by_act.values())
    return MeasuredRun(trained, 100 * inactive / run.program.plan.filters, by_act)


def measure(run: Run, variables: Variables, shown: Stage | None = None) -> dict[str, Layers]:
    """Measure a network on the training images of a run, in one pass over them.

    Activations count by their positive side, the ReLU of what the norm gives, also in networks
    with a leaky ReLU (supplement, Sec. 1): there every filter answers to every image through its
    negative side, so that activity by activation has no meaning and is left out.

    Args:
      run: the run.
      variables: of its network.
      shown: is told how far it is.

    Returns:
      'inactive_gamma' and 'inactive_act': boolean by layer, the latter empty for a leaky ReLU;
      'universality': percent by layer; 'peak': largest activation by layer.
    """
    plan, data = run.program.plan, run.data

    def seen(images: int) -> None:
        if shown is not None:
            shown.note = f"{images:,}/{data.train_size:,} images"

    found = measure_corpus(
        _Network(plan),
        variables,
        data.train_images,
        batch_size=images_per_call(plan),
        preprocess=_AsTested(
            plan.input_shape[:2], tuple(data.mean.tolist()), tuple(data.std.tolist())
        ),
        seen=seen,
    )
    named = {
        "inactive_gamma": gamma_sparsity(variables, GAMMA_THRESHOLD).layers,
        "inactive_act": {} if plan.negative_slope else found.inactive(),
        "universality": found.universality.layers,
        "peak": found.peaks,
    }
    return {
        what: {path.partition("/")[0]: values for path, values in layers.items()}
        for what, layers in named.items()
    }


def _confusion(run: Run, variables: Variables) -> np.ndarray:
    """Counts of the test images by class and by the class that they are taken for."""
    plan, data = run.program.plan, run.data
    images, labels = data.test_images, data.test_labels
    return confusion(plan, variables, images, labels, mean=data.mean, std=data.std)


# The measurements compile once for equal functions: these are equal by what they compute.
@dataclasses.dataclass(frozen=True)
class _Network:
    plan: Plan

    def __call__(self, variables: Variables, images: jax.Array) -> jax.Array:
        return logits(self.plan, variables, images)


@dataclasses.dataclass(frozen=True)
class _AsTested:
    size: tuple[int, int]
    mean: tuple[float, ...]
    std: tuple[float, ...]

    def __call__(self, images: jax.Array) -> jax.Array:
        return as_tested(images, size=self.size, mean=jnp.array(self.mean), std=jnp.array(self.std))
