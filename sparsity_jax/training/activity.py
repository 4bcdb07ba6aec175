"""Activity of every filter in training: its peak, how often it fires, what moves its gamma.

The paper explains dying filters by a ratio: once the loss pulls less at a gamma than the
regularizer does, Adam normalises the regularizer's pull and gamma decays (Sec. 3). These sums over
the steps since the last evaluation hold both sides of it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from sparsity_jax.models import Plan

FIRES_ABOVE = 1e-12  # Sec. 2.1, "sparsity by activation"
SERIES = ("fired", "train_peak", "decay", "pull")  # in measure.npz


class Activity(NamedTuple):
    """One layer's filters since the last evaluation; every field (filters,), float32.

    Attributes:
      peak: largest activation in any image.
      fired: images in which the filter was active anywhere.
      images: images seen.
      decay: sum over steps of |strength * gamma|, the regularizer's pull.
      pull: sum over steps of |d loss / d gamma|.
    """

    peak: jax.Array
    fired: jax.Array
    images: jax.Array
    decay: jax.Array
    pull: jax.Array


def no_activity(plan: Plan) -> dict[str, Activity]:
    """Layer -> sums over no step.

    Example:
      >>> from sparsity_jax.models import make_plan
      >>> plan = make_plan("BasicNet", classes=10, input_shape=(32, 32, 3))
      >>> no_activity(plan)["C1"].peak.shape
      (64,)
    """
    return {
        name: Activity(*(jnp.zeros(conv.filters) for _ in Activity._fields))
        for name, conv in zip(plan.layer_names, plan.convs, strict=True)
    }


def added_activity(
    before: Mapping[str, Activity],
    peaks: Mapping[str, jax.Array],
    *,
    params: Mapping[str, Any],
    gradients: Mapping[str, Any],
    strength: jax.Array,
) -> dict[str, Activity]:
    """The sums with one more step.

    Args:
      before: layer -> sums so far.
      peaks: layer -> largest activation of each filter in each image of the batch (N, filters).
      params: the parameters that the step began with.
      gradients: of the loss alone.
      strength: of the regularizer, L2 or weight decay.

    Returns:
      Layer -> sums.
    """
    return {
        name: _with_step(
            sums,
            peaks[name].astype(jnp.float32),
            decay=jnp.abs(strength * params[name]["norm"]["scale"]),
            pull=jnp.abs(gradients[name]["norm"]["scale"]),
        )
        for name, sums in before.items()
    }


def _with_step(sums: Activity, peaks: jax.Array, *, decay: jax.Array, pull: jax.Array) -> Activity:
    return Activity(
        peak=jnp.maximum(sums.peak, peaks.max(0)),
        fired=sums.fired + (peaks > FIRES_ABOVE).sum(0, dtype=jnp.float32),
        images=sums.images + len(peaks),
        decay=sums.decay + decay,
        pull=sums.pull + pull,
    )


def interval_series(
    activity: Mapping[str, Activity], kept: Mapping[str, np.ndarray], plan: Plan, *, steps: int
) -> dict[str, dict[str, np.ndarray]]:
    """Means that `measure.npz` keeps of an interval between evaluations, in the original network.

    fired = images in which the filter was active / images
    train_peak = largest activation
    decay = mean over steps of |strength * gamma|
    pull = mean over steps of |d loss / d gamma|

    Args:
      activity: layer -> sums since the last evaluation, of the filters that are left.
      kept: layer -> their places in the original network.
      plan: the original network.
      steps: of the interval.

    Returns:
      Name -> layer -> (filters,) float32; NaN for filters that were cut.

    Example:
      >>> from sparsity_jax.models import Conv
      >>> plan = Plan("tiny", (Conv(2),), (8, 8, 1), "global", (), 2)
      >>> sums = {"C1": Activity(*(np.array([v]) for v in (3.0, 5.0, 10.0, 0.4, 0.2)))}
      >>> interval_series(sums, {"C1": np.array([1])}, plan, steps=2)["fired"]["C1"].tolist()
      [nan, 0.5]
    """
    series: dict[str, dict[str, np.ndarray]] = {name: {} for name in SERIES}
    for name, conv in zip(plan.layer_names, plan.convs, strict=True):
        sums = activity[name]
        means = (
            np.asarray(sums.fired) / np.asarray(sums.images),
            np.asarray(sums.peak),
            np.asarray(sums.decay) / steps,
            np.asarray(sums.pull) / steps,
        )
        for what, values in zip(SERIES, means, strict=True):
            whole = np.full(conv.filters, np.nan, np.float32)
            whole[kept[name]] = values
            series[what][name] = whole
    return series
