"""Measurement of a trained run: which of its filters are inactive, and how universal each is."""

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
from sparsity_jax.models.convnet import logits, rectify
from sparsity_jax.sparsity import activation_sparsity, gamma_sparsity, universality
from sparsity_jax.storage.measurements import write_measurements
from sparsity_jax.training.evaluate import images_at_once
from sparsity_jax.training.run import Run
from sparsity_jax.training.trainer import TrainedRun

GAMMA_THRESHOLD = 1e-3  # Sec. 2.1, "sparsity by scale"

Variables = Mapping[str, Any]
Layers = dict[str, np.ndarray]  # layer name -> (filters,)


class MeasuredRun(NamedTuple):
    """A trained run, and the percentage of its filters that no training image activates.

    NaN for a run that diverged, which is not measured.
    """

    trained: TrainedRun
    sparsity_act: float = math.nan


def measure_run(trained: TrainedRun) -> MeasuredRun:
    """Measure a run on its training images and write its `measure.npz`."""
    if trained.status != "finished":
        return MeasuredRun(trained)
    run = trained.run
    measured = measure(run, jax.device_get(trained.state.variables))
    write_measurements(run.folder / "measure.npz", trained.eval_log.measure(**measured))
    inactive = sum(int(mask.sum()) for mask in measured["inactive_act"].values())
    return MeasuredRun(trained, 100 * inactive / run.program.plan.filters)


def measure(run: Run, variables: Variables) -> dict[str, Layers]:
    """Measure a network on the training images of a run.

    Returns:
      'inactive_gamma' and 'inactive_act': boolean by layer; 'universality': percent by layer.
    """
    plan, data = run.program.plan, run.data
    options: dict[str, Any] = {
        "batch_size": images_at_once(plan),
        "activation": _Rectify(plan.negative_slope),
        "preprocess": _AsTested(
            plan.input_shape[:2], tuple(data.mean.tolist()), tuple(data.std.tolist())
        ),
    }
    network = _Network(plan)
    named = {
        "inactive_gamma": gamma_sparsity(variables, GAMMA_THRESHOLD).layers,
        "inactive_act": activation_sparsity(
            network, variables, data.train_images, **options
        ).layers,
        "universality": universality(network, variables, data.train_images, **options).layers,
    }
    return {
        what: {path.partition("/")[0]: values for path, values in layers.items()}
        for what, layers in named.items()
    }


# The measurements compile once for equal functions: these are equal by what they compute.
@dataclasses.dataclass(frozen=True)
class _Network:
    plan: Plan

    def __call__(self, variables: Variables, images: jax.Array) -> jax.Array:
        return logits(self.plan, variables, images)


@dataclasses.dataclass(frozen=True)
class _Rectify:
    negative_slope: float

    def __call__(self, x: jax.Array) -> jax.Array:
        return rectify(x, negative_slope=self.negative_slope)


@dataclasses.dataclass(frozen=True)
class _AsTested:
    size: tuple[int, int]
    mean: tuple[float, ...]
    std: tuple[float, ...]

    def __call__(self, images: jax.Array) -> jax.Array:
        return as_tested(images, size=self.size, mean=jnp.array(self.mean), std=jnp.array(self.std))
