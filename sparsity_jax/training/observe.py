"""Evaluation of a run on its way: errors, sparsity, every filter's gamma and beta."""

from __future__ import annotations

import jax
import numpy as np

from sparsity_jax.optimizers.schedules import step_schedule
from sparsity_jax.sparsity import gamma_sparsity
from sparsity_jax.storage.history import Evaluation, append_history
from sparsity_jax.storage.measurements import EvalLog
from sparsity_jax.training import TrainState, evaluate
from sparsity_jax.training.run import Run


def observe(run: Run, state: TrainState, eval_log: EvalLog) -> Evaluation:
    """Evaluate a run's state, and add what was seen to its log and to its history.

    Args:
      run: the run.
      state: at the evaluation; its `loss_sum` is over the steps since the one before.
      eval_log: of the run so far; it grows by one evaluation.

    Returns:
      The evaluation; sparsity is NaN where a gamma is not finite.
    """
    step = int(state.step)
    since = eval_log.evaluations[-1].step if eval_log.evaluations else 0
    data = run.data
    score = evaluate(
        run.program.plan,
        state.variables,
        data.test_images,
        data.test_labels,
        mean=data.mean,
        std=data.std,
    )
    sparsity, norms = _norms(run, state)
    multiplier = float(step_schedule(run.program.drops)(step - 1))
    evaluation = Evaluation(
        run=run.config.name,
        step=step,
        epoch=step * run.config.batch_size / data.train_size,
        learning_rate=run.config.learning_rate * multiplier,
        train_loss=float(state.loss_sum) / (step - since),
        test_loss=score.loss,
        test_error=score.error,
        top5_error=score.top5_error,
        **sparsity,
    )
    eval_log.add(evaluation, **norms)
    append_history(run.history, [evaluation])
    return evaluation


def _norms(run: Run, state: TrainState) -> tuple[dict, dict[str, dict[str, np.ndarray]]]:
    """Return sparsity by gamma as an evaluation holds it, and every layer's gamma and beta."""
    names = run.program.plan.layer_names
    layers = {name: jax.device_get(state.params[name]["norm"]) for name in names}
    norms = {
        "gamma": {name: np.asarray(layer["scale"]) for name, layer in layers.items()},
        "beta": {name: np.asarray(layer["bias"]) for name, layer in layers.items()},
    }
    if not all(np.isfinite(gamma).all() for gamma in norms["gamma"].values()):
        return {}, norms
    found = gamma_sparsity(state.variables)
    layer_pct = dict(zip(names, found.layer_pct.values(), strict=True))
    return {"sparsity_gamma": found.total_pct, "layers": layer_pct}, norms
