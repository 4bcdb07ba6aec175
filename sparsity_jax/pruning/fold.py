"""Folding: the constant output of a dropped filter, moved into the layers that follow."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from sparsity_jax.errors import UserError
from sparsity_jax.models.convnet import ConvNet
from sparsity_jax.models.plans import Plan
from sparsity_jax.pruning.surgery import Keep, check_variables, checked_keep, head_mask, prune


def fold_constants(plan: Plan, variables: Mapping[str, Any], keep: Keep) -> dict[str, Any]:
    """Move the constant outputs of dropped filters into the layers that follow them.

    answer[c] = act(beta[c])  for dropped c
    next norm:   mean[o] -= sum over i, j, dropped c of kernel[i, j, c, o] * answer[c]
    last dense:  bias[o] += sum over places, dropped c of kernel[(place, c), o] * answer[c]

    With gamma = 0 a filter gives act(beta) everywhere, and `prune` alone ("author" mode)
    loses that constant; this is the "exact" mode. Two reservations, which `fold_error` measures:
    - 'same' convolutions pad with zeros, not with the constant, so the outermost rows and columns
      of the next map differ (dense layers have no borders and are exact);
    - a filter with a small gamma that is not 0 is nearly, not quite, constant.
    In training mode BatchNorm removes constants by itself, so fine-tuning needs no folding.

    Args:
      plan: the network.
      variables: {'params', 'batch_stats'} of ConvNet(plan).
      keep: layer name -> boolean array, True = keep.

    Returns:
      Variables of the same shapes, to be handed to `prune` (which drops beta).

    Raises:
      UserError: as `prune`.

    Example:
      >>> convs = zip(plan.layer_names, plan.convs)
      >>> keep = {name: np.arange(conv.filters) > 0 for name, conv in convs}
      >>> smaller, weights = prune(plan, fold_constants(plan, variables, keep), keep)
      >>> smaller.filters
      46
    """
    masks = checked_keep(plan, keep)
    check_variables(plan, variables)
    params = dict(variables["params"])
    stats = dict(variables["batch_stats"])
    names = (*plan.layer_names, plan.dense_names[0])
    for name, following in itertools.pairwise(names):
        answer = _answers(plan, params[name]["norm"]["bias"], masks[name])
        if following in plan.layer_names:
            shift = np.einsum("ijco,c->o", np.asarray(params[following]["conv"]["kernel"]), answer)
        else:
            places = head_mask(plan, masks[name]).size // masks[name].size
            shift = np.tile(answer, places) @ np.asarray(params[following]["dense"]["kernel"])
        if following in stats:
            norm = stats[following]["norm"]
            stats[following] = {"norm": {**norm, "mean": norm["mean"] - shift}}
        else:
            dense = params[following]["dense"]
            params[following] = {"dense": {**dense, "bias": dense["bias"] + shift}}
    return {**variables, "params": params, "batch_stats": stats}


@dataclasses.dataclass(frozen=True)
class FoldError:
    """Distance of the folded, pruned network from the original on some images.

    Attributes:
      max_logit_difference: largest absolute difference of any logit.
      border: the part of it due to zero padding: against a network whose dropped filters give
        exactly act(beta).
      changed_pct: images whose predicted class changed, in percent.
    """

    max_logit_difference: float
    border: float
    changed_pct: float


def fold_error(
    plan: Plan,
    variables: Mapping[str, Any],
    keep: Keep,
    images: Any,
    *,
    batch_size: int = 500,
) -> FoldError:
    """Measure on images how exact `fold_constants` followed by `prune` is.

    Args:
      plan: the network.
      variables: its variables.
      keep: layer name -> boolean array, True = keep.
      images: normalised floats (N, H, W, C).
      batch_size: images at a time.

    Raises:
      UserError: as `prune`, or no images.

    Example:
      >>> convs = zip(plan.layer_names, plan.convs)
      >>> keep = {name: np.ones(conv.filters, bool) for name, conv in convs}
      >>> fold_error(plan, variables, keep, images).changed_pct
      0.0
    """
    if len(images) == 0:
        raise UserError("there are no images; give at least one")
    smaller, weights = prune(plan, fold_constants(plan, variables, keep), keep)
    constant = _constant(variables, checked_keep(plan, keep))
    dense, pruned = jax.jit(ConvNet(plan).apply), jax.jit(ConvNet(smaller).apply)
    difference = border = changed = 0.0
    for start in range(0, len(images), batch_size):
        batch = jnp.asarray(images[start : start + batch_size])
        original, folded = dense(variables, batch), pruned(weights, batch)
        difference = max(difference, float(jnp.abs(original - folded).max()))
        border = max(border, float(jnp.abs(dense(constant, batch) - folded).max()))
        changed += float((original.argmax(-1) != folded.argmax(-1)).sum())
    return FoldError(difference, border, 100.0 * changed / len(images))


def _answers(plan: Plan, beta: Any, mask: np.ndarray) -> np.ndarray:
    """act(beta) of dropped filters, 0 of kept ones."""
    beta = np.asarray(beta)
    return np.where(mask, 0.0, np.where(beta > 0, beta, plan.negative_slope * beta))


def _constant(variables: Mapping[str, Any], masks: Mapping[str, np.ndarray]) -> dict[str, Any]:
    """The network whose dropped filters have gamma 0 and keep beta."""
    params = dict(variables["params"])
    for name, mask in masks.items():
        norm = dict(params[name]["norm"])
        norm["scale"] = jnp.where(mask, norm["scale"], 0)
        params[name] = {**params[name], "norm": norm}
    return {**variables, "params": params}
