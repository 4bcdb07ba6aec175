"""Cutting filters while a network trains: which are dead, the smaller state, and the way back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from sparsity_jax.errors import UserError
from sparsity_jax.models.plans import Plan
from sparsity_jax.pruning.cost import cost
from sparsity_jax.pruning.fold import fold_constants
from sparsity_jax.pruning.surgery import Keep, checked_keep, prune, prune_opt_state

GAMMA_THRESHOLD = 1e-3  # Sec. 2.1, "sparsity by scale"
# A filter whose gamma is smaller answers act(beta) to everything, up to the rounding of float32.
CONSTANT_BELOW = 1e-6

Kept = Mapping[str, np.ndarray]  # layer -> places in the original network of the filters left


def shrink_state(
    plan: Plan, variables: Mapping[str, Any], opt_state: Any, keep: Keep
) -> tuple[Plan, dict[str, Any], Any]:
    """Cut filters out of a network that is being trained, and out of its optimizer's memory.

    The constant that a dropped filter answers moves into the running mean of the norm that
    follows, or into the bias of the last dense layer (`fold_constants`); in training mode a norm
    takes it out by itself. Moments and momenta are sliced as their parameters are; step counts
    and schedules go on.

    Args:
      plan: the network.
      variables: {'params', 'batch_stats'} of ConvNet(plan).
      opt_state: any optax state made by `optimizer.init(params)`.
      keep: one boolean array per convolution, True = keep.

    Returns:
      (smaller plan, smaller variables, smaller optimizer state).

    Raises:
      UserError: as `prune`.

    Example:
      >>> plan, variables, opt_state = shrink_state(
      ...     plan, variables, opt_state, keep
      ... )  # doctest: +SKIP
    """
    folded = fold_constants(plan, variables, keep)
    smaller, cut = prune(plan, folded, keep)
    return smaller, cut, prune_opt_state(opt_state, plan, keep)


def dead_filters(
    gammas: Mapping[str, np.ndarray], never_fired: Mapping[str, np.ndarray], *, patience: int
) -> dict[str, np.ndarray]:
    """Filters that can go: |gamma| small for long, and nothing comes out of them but a constant.

    dead[c] = |gamma[t, c]| < 1e-3 for the last `patience` evaluations t, and
              (no image since the last evaluation activated c, or |gamma[now, c]| < 1e-6)

    Args:
      gammas: layer -> (evaluations, filters), in order of time.
      never_fired: layer -> (filters,) bool.
      patience: evaluations in a row, at least 1.

    Returns:
      Layer -> (filters,) bool; nothing is dead before there are `patience` evaluations.

    Raises:
      UserError: a patience below 1.

    Example:
      >>> gammas = {"C1": np.array([[0.5, 1e-4], [0.5, 1e-5]])}
      >>> dead_filters(gammas, {"C1": np.array([True, True])}, patience=2)["C1"].tolist()
      [False, True]
    """
    if patience < 1:
        raise UserError(f"patience={patience} is not valid; give 1 evaluation or more")
    found = {}
    for name, values in gammas.items():
        recent = np.abs(values[-patience:])
        small = (recent < GAMMA_THRESHOLD).all(0) & (len(recent) == patience)
        found[name] = small & (never_fired[name] | (recent[-1] < CONSTANT_BELOW))
    return found


def keep_living(
    gammas: Mapping[str, np.ndarray], dead: Mapping[str, np.ndarray]
) -> dict[str, np.ndarray]:
    """The keep-set without dead filters; a layer that would empty keeps its strongest filter.

    Args:
      gammas: layer -> (filters,).
      dead: layer -> (filters,) bool.

    Example:
      >>> keep_living({"C1": np.array([1e-5, 1e-4])}, {"C1": np.array([True, True])})["C1"].tolist()
      [False, True]
    """
    keep = {name: ~gone for name, gone in dead.items()}
    for name, mask in keep.items():
        if not mask.any():
            mask[np.argmax(np.abs(gammas[name]))] = True
    return keep


def pays(plan: Plan, keep: Keep, *, least_gain: float) -> bool:
    """Whether a cut saves enough multiply-adds to be worth another compilation.

    1 - macs(smaller) / macs(plan) >= least_gain

    Args:
      plan: the network.
      keep: one boolean array per convolution.
      least_gain: share of multiply-adds, in [0, 1).
    """
    masks = checked_keep(plan, keep)
    smaller = plan.with_filters([int(mask.sum()) for mask in masks.values()])
    if smaller == plan:
        return False
    return cost(smaller).macs <= (1 - least_gain) * cost(plan).macs


def everything(plan: Plan) -> dict[str, np.ndarray]:
    """Every filter's place in a network of which nothing was cut.

    Example:
      >>> from sparsity_jax.models import Conv
      >>> everything(Plan("tiny", (Conv(3),), (8, 8, 1), "global", (), 2))["C1"].tolist()
      [0, 1, 2]
    """
    return {
        name: np.arange(conv.filters)
        for name, conv in zip(plan.layer_names, plan.convs, strict=True)
    }


def still_kept(kept: Kept, keep: Keep) -> dict[str, np.ndarray]:
    """Places in the original network after one more cut.

    Args:
      kept: places before the cut.
      keep: of the filters that those places are of, which stay.
    """
    return {name: places[np.asarray(keep[name])] for name, places in kept.items()}


def expand_variables(plan: Plan, variables: Mapping[str, Any], kept: Kept) -> dict[str, Any]:
    """The original network's variables, in which the filters that were cut are silent.

    The inverse of `prune`: a filter that was cut has kernel, gamma, beta and mean 0 and variance 1,
    so the network answers as the smaller one does, and counts as inactive what was cut.

    Args:
      plan: the original network.
      variables: of the smaller one, {'params', 'batch_stats'}.
      kept: places in the original network of the filters that the smaller one has.

    Returns:
      {'params', 'batch_stats'} of ConvNet(plan), numpy arrays.

    Raises:
      UserError: `kept` and the variables do not belong together.
    """
    params, stats = dict(variables["params"]), dict(variables["batch_stats"])
    inputs = np.arange(plan.input_shape[2])
    for name, conv, channels in zip(plan.layer_names, plan.convs, plan.conv_inputs, strict=True):
        places, layer = kept[name], params[name]
        kernel, norm = np.asarray(layer["conv"]["kernel"]), layer["norm"]
        if kernel.shape[-2:] != (len(inputs), len(places)):
            raise UserError(
                f"layer {name} has {kernel.shape[-2:]} channels and filters; the places kept are "
                f"of {(len(inputs), len(places))}"
            )
        whole = np.zeros((*kernel.shape[:2], channels, conv.filters), kernel.dtype)
        whole[:, :, inputs[:, None], places] = kernel
        params[name] = {
            **layer,
            "conv": {"kernel": whole},
            "norm": {leaf: _placed(norm[leaf], places, conv.filters) for leaf in norm},
        }
        seen = stats[name]["norm"]
        stats[name] = {
            "norm": {
                "mean": _placed(seen["mean"], places, conv.filters),
                "var": _placed(seen["var"], places, conv.filters, fill=1),
            }
        }
        inputs = places
    height, width, channels = plan.head_map
    rows = (np.arange(height * width)[:, None] * channels + inputs).ravel()
    first = plan.dense_names[0]
    dense = params[first]["dense"]
    kernel = np.asarray(dense["kernel"])
    whole = np.zeros((height * width * channels, kernel.shape[1]), kernel.dtype)
    whole[rows] = kernel
    params[first] = {**params[first], "dense": {**dense, "kernel": whole}}
    return {**variables, "params": params, "batch_stats": stats}


def _placed(values: Any, places: np.ndarray, size: int, *, fill: float = 0) -> np.ndarray:
    values = np.asarray(values)
    whole = np.full(size, fill, values.dtype)
    whole[places] = values
    return whole
