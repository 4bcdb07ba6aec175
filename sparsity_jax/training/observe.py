"""Evaluation of a run on its way: errors, sparsity, every filter's gamma and beta."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np

from sparsity_jax.models import Plan
from sparsity_jax.optimizers.schedules import step_schedule
from sparsity_jax.pruning.shrink import GAMMA_THRESHOLD
from sparsity_jax.storage.history import Evaluation, append_history
from sparsity_jax.storage.measurements import EvalLog
from sparsity_jax.training import TrainState, evaluate
from sparsity_jax.training.activity import interval_series
from sparsity_jax.training.cuts import Cut, kept_after, plan_after
from sparsity_jax.training.run import Run


def observe(run: Run, state: TrainState, eval_log: EvalLog, cuts: Sequence[Cut] = ()) -> Evaluation:
    """Evaluate a run's state, and add what was seen to its log and to its history.

    Args:
      run: the run.
      state: at the evaluation; its `loss_sum` is over the steps since the one before. Where it
        lies on a device, its norms and sums are fetched and its weights stay there.
      eval_log: of the run so far; it grows by one evaluation.
      cuts: of the run so far. Filters that were cut count as inactive, and keep the gamma and
        beta they had.

    Returns:
      The evaluation; sparsity is NaN where a gamma is not finite.
    """
    seen = _fetched(state)
    step = int(seen.step)
    since = eval_log.evaluations[-1].step if eval_log.evaluations else 0
    data = run.data
    score = evaluate(
        plan_after(run.program.plan, cuts),
        state.variables,
        data.test_images,
        data.test_labels,
        mean=data.mean,
        std=data.std,
    )
    norms = _norms(run.program.plan, seen, eval_log, cuts)
    sparsity = _sparsity(norms["gamma"])
    multiplier = float(step_schedule(run.program.drops)(step - 1))
    evaluation = Evaluation(
        run=run.config.name,
        step=step,
        epoch=step * run.config.batch_size / data.train_size,
        learning_rate=run.config.learning_rate * multiplier,
        train_loss=float(seen.loss_sum) / (step - since),
        test_loss=score.loss,
        test_error=score.error,
        top5_error=score.top5_error,
        **sparsity,
    )
    series = {}
    if seen.activity:
        kept = kept_after(run.program.plan, cuts)
        series = interval_series(seen.activity, kept, run.program.plan, steps=step - since)
    eval_log.add(evaluation, **norms, **series)
    append_history(run.history, [evaluation])
    return evaluation


class _Seen(NamedTuple):
    """Parts of a state that an evaluation reads, on the device and then as NumPy arrays."""

    step: jax.Array | np.ndarray
    loss_sum: jax.Array | np.ndarray
    norms: Mapping[str, Any]
    activity: Any


def _fetched(state: TrainState) -> _Seen:
    """Fetch a state's norms and sums from the device, all at once."""
    norms = {name: layer["norm"] for name, layer in state.params.items() if "norm" in layer}
    return jax.device_get(_Seen(state.step, state.loss_sum, norms, state.activity))


def _norms(
    plan: Plan, seen: _Seen, eval_log: EvalLog, cuts: Sequence[Cut]
) -> dict[str, dict[str, np.ndarray]]:
    """Every layer's gamma and beta in the original network."""
    before = eval_log.arrays() if cuts else {}
    kept = kept_after(plan, cuts)
    norms: dict[str, dict[str, np.ndarray]] = {"gamma": {}, "beta": {}}
    for name, places in kept.items():
        layer = seen.norms[name]
        for group, leaf in (("gamma", "scale"), ("beta", "bias")):
            values = np.asarray(layer[leaf])
            if cuts:
                whole = before[f"{group}/{name}"][-1].copy()
                whole[places] = values
                values = whole
            norms[group][name] = values
    return norms


def _sparsity(gammas: Mapping[str, np.ndarray]) -> dict[str, Any]:
    """Sparsity by gamma as an evaluation holds it; nothing where a gamma is not finite."""
    if not all(np.isfinite(gamma).all() for gamma in gammas.values()):
        return {}
    inactive = {name: np.abs(gamma) < GAMMA_THRESHOLD for name, gamma in gammas.items()}
    total = sum(int(mask.sum()) for mask in inactive.values())
    return {
        "sparsity_gamma": 100.0 * total / sum(mask.size for mask in inactive.values()),
        "layers": {name: 100.0 * float(mask.mean()) for name, mask in inactive.items()},
    }
