"""Trackers: evaluations of a run, sent to TensorBoard or Weights & Biases while it trains.

Off by default. What is tracked is also in `history.jsonl` and `measure.npz`: a tracker shows it
elsewhere, and beside other experiments. Names are grouped by `/`, as both programs expect.
"""

from __future__ import annotations

import hashlib
import importlib
import math
import os
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Any, Protocol

import numpy as np

from sparsity_jax.errors import UserError
from sparsity_jax.storage.history import Evaluation

Norms = Mapping[str, Mapping[str, np.ndarray]]  # 'gamma' and 'beta' -> layer -> (filters,)

_MODULES = {"tensorboard": "tensorboardX", "wandb": "wandb"}
_INSTALL = {"tensorboard": "'sparsity_jax[tensorboard]'", "wandb": "wandb"}
_SCALARS = {
    "loss/train": "train_loss",
    "loss/test": "test_loss",
    "error/test": "test_error",
    "error/test_top5": "top5_error",
    "inactive/total": "sparsity_gamma",
    "learning_rate": "learning_rate",
    "epoch": "epoch",
}


class Tracker(Protocol):
    """A place that evaluations are sent to."""

    def log(self, evaluation: Evaluation, norms: Norms) -> None:
        """Send one evaluation, with every filter's gamma and beta."""

    def close(self) -> None:
        """Send what is still to be sent."""


def check_tracker(kind: str | None) -> None:
    """Refuse a tracker whose package is not installed.

    Raises:
      UserError: it is not; says how to install it.

    Example:
      >>> check_tracker(None)
    """
    if kind is not None:
        _module(kind)


def open_tracker(
    kind: str | None, folder: Path, *, name: str, step: int, settings: Mapping[str, Any]
) -> Tracker:
    """Open a run's tracker.

    Args:
      kind: 'tensorboard': event files in `folder`/tensorboard; 'wandb': a run of the project that
        the variable WANDB_PROJECT names, by default 'sparsity_jax'; None: nothing is sent.
      folder: that of the run.
      name: of the run.
      step: at which it goes on; later events of an interrupted attempt are dropped.
      settings: of the run, shown beside its curves.

    Example:
      >>> open_tracker(None, Path(), name="a", step=0, settings={}).close()
    """
    if kind == "tensorboard":
        return _TensorBoard(folder / "tensorboard", step)
    if kind == "wandb":
        return _WandB(folder, name, settings)
    return NOWHERE


def scalars(evaluation: Evaluation) -> dict[str, float]:
    """Name the finite numbers of an evaluation as trackers show them; errors are in percent.

    Example:
      >>> scalars(Evaluation(run="a", step=3, epoch=0.5, train_loss=1.25, layers={"C1": 12.5}))
      {'loss/train': 1.25, 'epoch': 0.5, 'inactive/C1': 12.5}
    """
    named = {name: getattr(evaluation, field) for name, field in _SCALARS.items()}
    named |= {f"inactive/{layer}": percent for layer, percent in evaluation.layers.items()}
    return {name: value for name, value in named.items() if math.isfinite(value)}


def histograms(norms: Norms) -> dict[str, np.ndarray]:
    """Name gamma and beta of every layer; a layer with a value that is not finite is left out.

    Example:
      >>> list(histograms({"gamma": {"C1": np.ones(2)}, "beta": {"C1": np.array([np.nan])}}))
      ['gamma/C1']
    """
    return {
        f"{group}/{layer}": values
        for group, layers in norms.items()
        for layer, values in layers.items()
        if np.isfinite(values).all()
    }


class _Nowhere:
    def log(self, evaluation: Evaluation, norms: Norms) -> None:
        pass

    def close(self) -> None:
        pass


NOWHERE: Tracker = _Nowhere()


class _TensorBoard:
    def __init__(self, folder: Path, step: int) -> None:
        module = _module("tensorboard")
        # Without a purge TensorBoard would draw an interrupted attempt's last steps twice; without
        # a suffix attempts that begin in one second would share a file.
        self._writer = module.SummaryWriter(
            str(folder), purge_step=step + 1 if step else None, filename_suffix=f".{step}"
        )

    def log(self, evaluation: Evaluation, norms: Norms) -> None:
        for name, value in scalars(evaluation).items():
            self._writer.add_scalar(name, value, evaluation.step)
        for name, values in histograms(norms).items():
            self._writer.add_histogram(name, values, evaluation.step)
        self._writer.flush()  # evaluations are rare, and a kill must not lose them

    def close(self) -> None:
        self._writer.close()


class _WandB:
    def __init__(self, folder: Path, name: str, settings: Mapping[str, Any]) -> None:
        self._module = _module("wandb")
        self._run = self._module.init(
            project=os.environ.get("WANDB_PROJECT", "sparsity_jax"),
            name=name,
            dir=str(folder),
            config=dict(settings),
            # The same folder goes on as the same run.
            id=hashlib.sha256(str(folder.absolute()).encode()).hexdigest()[:16],
            resume="allow",
            reinit="create_new",  # members of a group are open at the same time
        )

    def log(self, evaluation: Evaluation, norms: Norms) -> None:
        drawn = {
            name: self._module.Histogram(values.tolist())
            for name, values in histograms(norms).items()
        }
        self._run.log({**scalars(evaluation), **drawn}, step=evaluation.step)

    def close(self) -> None:
        self._run.finish()


def _module(kind: str) -> ModuleType:
    try:
        return importlib.import_module(_MODULES[kind])
    except ImportError:
        raise UserError(
            f"config.tracker={kind} needs a package that is not installed: "
            f"pip install {_INSTALL[kind]}"
        ) from None
