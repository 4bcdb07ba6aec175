"""Cutting filters while a network trains: which are dead, the smaller state, and the way back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import jax
import numpy as np
from jax.tree_util import DictKey

from sparsity_jax.errors import UserError
from sparsity_jax.models.plans import Plan
from sparsity_jax.pruning.cost import cost
from sparsity_jax.pruning.fold import fold_constants
from sparsity_jax.pruning.slots import cut_slots
from sparsity_jax.pruning.smaller import shrink_model
from sparsity_jax.pruning.surgery import Keep, checked_keep, cuts_of, prune, prune_opt_state

GAMMA_THRESHOLD = 1e-3  # Sec. 2.1, "sparsity by scale"
VANISHED = 1e-30  # of gamma and beta, in float32; what decays stops between 1e-38 and 1e-33

Kept = Mapping[str, np.ndarray]  # layer -> places in the original network of the filters left


def shrink_state(
    plan_or_model: Any, variables: Any, opt_state: Any, keep: Keep, images: Any = None
) -> tuple[Any, Any, Any]:
    """Cut filters out of a network that is being trained, and out of its optimizer's memory.

    Moments, momenta and whatever else mirrors the parameters are sliced as these are; step counts
    and schedules go on. The constant that a dropped filter answers stays: in a plan it moves into
    the running mean of the norm that follows, or into the bias of the last dense layer
    (`fold_constants`); in other models a filter that stays takes it over (`prune_model`, 'exact').
    In training mode a norm takes constants out by itself.

    Args:
      plan_or_model: a Plan; a Linen module or what this function returned for one; an NNX module.
      variables: {'params', 'batch_stats'}, or an NNX state.
      opt_state: any optax state made by `optimizer.init(params)`, or a tuple of such and of other
        trees that mirror the parameters, such as sums of gradients.
      keep: True = keep. For a plan one boolean array per convolution; for other models norm path
        -> boolean array, as `gamma_sparsity` names them, those not named stay whole.
      images: a few images of the right shape, from which other models than plans are traced.

    Returns:
      (smaller plan or model, smaller variables, smaller optimizer state). A Linen module becomes a
      `SmallerModel`, whose `apply` is used as the module's is; `print(model.report)` says what
      went and what had to stay. A model of which nothing can go is returned as it is.

    Raises:
      UserError: as `prune`, or as `prune_model`; images are missing; a factored optimizer.

    Example:
      >>> model, variables, opt_state = shrink_state(
      ...     model, variables, opt_state, keep, images[:2]
      ... )  # doctest: +SKIP
    """
    if not isinstance(plan_or_model, Plan):
        if images is None:
            raise UserError("a model that is no Plan is traced: give a few images too, such as two")
        model, found = shrink_model(plan_or_model, variables, keep, images)
        if model is plan_or_model:
            return model, variables, opt_state
        return model, found.variables, cut_slots(opt_state, variables, found.cuts)
    plan = plan_or_model
    folded = fold_constants(plan, variables, keep)
    smaller, cut = prune(plan, folded, keep)
    return smaller, cut, prune_opt_state(opt_state, plan, keep)


def dead_filters(
    gammas: Mapping[str, np.ndarray], betas: Mapping[str, np.ndarray], *, patience: int
) -> dict[str, np.ndarray]:
    """Filters that can go: their gamma and beta have vanished, so that they answer nothing.

    dead[c] = |gamma[t, c]| < 1e-30 and |beta[t, c]| < 1e-30 at the last `patience` evaluations t

    Adam with L2 gets there by itself. Gamma alone does not tell: a filter without gamma answers the
    constant relu(beta), and while beta moves the loss can find the filter through it again. In
    measured runs filters with vanished gammas came back, none whose beta had vanished too
    (`tests/benchmarks/README.md` has the numbers).

    Args:
      gammas: layer -> (evaluations, filters), in order of time.
      betas: the same of beta.
      patience: evaluations in a row, at least 1.

    Returns:
      Layer -> (filters,) bool; nothing is dead before there are `patience` evaluations.

    Raises:
      UserError: a patience below 1.

    Example:
      >>> gammas = {"C1": np.array([[0.5, 1e-31, 1e-31], [0.5, 1e-33, 1e-33]])}
      >>> betas = {"C1": np.array([[0.1, 1e-31, -1e-5], [0.1, -1e-32, 1e-6]])}
      >>> dead_filters(gammas, betas, patience=2)["C1"].tolist()
      [False, True, False]
    """
    if patience < 1:
        raise UserError(f"patience={patience} is not valid; give 1 evaluation or more")
    found = {}
    for name, values in gammas.items():
        recent = np.maximum(np.abs(values), np.abs(betas[name]))[-patience:]
        found[name] = (recent < VANISHED).all(0) & (len(recent) == patience)
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


def expand_like(tree: Any, plan: Plan, kept: Kept) -> Any:
    """The original network's arrays, in which the filters that were cut are silent.

    The inverse of `prune_like`, for variables and optimizer states alike: a filter that was cut
    has kernel, gamma, beta, mean and moments 0 and variance 1. The network answers as the smaller
    one does, and counts as inactive what was cut.

    Args:
      tree: anything whose leaves end in the paths of the smaller network's variables.
      plan: the original network.
      kept: places in the original network of the filters that the smaller one has.

    Returns:
      The tree with numpy arrays of the original sizes.

    Raises:
      UserError: `kept` and an array do not belong together.
    """
    masks = {
        name: np.isin(np.arange(conv.filters), kept[name])
        for name, conv in zip(plan.layer_names, plan.convs, strict=True)
    }
    cuts = cuts_of(plan, masks)

    def expand(keys: tuple[Any, ...], leaf: Any) -> Any:
        path = tuple(str(key.key) for key in keys if isinstance(key, DictKey))[-3:]
        return _expanded(path, leaf, cuts[path]) if path in cuts else leaf

    return jax.tree_util.tree_map_with_path(expand, tree)


def _expanded(path: tuple[str, ...], leaf: Any, axes: Mapping[int, np.ndarray]) -> np.ndarray:
    array = np.asarray(leaf)
    for axis, mask in axes.items():
        if array.shape[axis] != mask.sum():
            raise UserError(
                f"an array at {'/'.join(path)} has shape {array.shape}; the filters kept ask for "
                f"{mask.sum()} along axis {axis}"
            )
        shape = list(array.shape)
        shape[axis] = mask.size
        whole = np.full(shape, 1 if path[-1] == "var" else 0, array.dtype)
        np.moveaxis(whole, axis, 0)[mask] = np.moveaxis(array, axis, 0)
        array = whole
    return array
