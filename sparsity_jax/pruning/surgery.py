"""Removal of filters: smaller arrays, or the same arrays with filters set to zero."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.tree_util import DictKey

from sparsity_jax.errors import UserError
from sparsity_jax.models.plans import Plan

Keep = Mapping[str, Any]  # layer name 'C1' -> boolean array (filters,), True = keep
Cuts = dict[tuple[str, ...], dict[int, np.ndarray]]  # end of a leaf's path -> axis -> what stays


def prune(plan: Plan, variables: Mapping[str, Any], keep: Keep) -> tuple[Plan, dict[str, Any]]:
    """Remove filters for good: their kernels, norms, and the inputs they fed.

    kernel[l] -> kernel[l][:, :, keep[l-1], keep[l]];   scale, bias, mean, var -> [keep[l]]

    This is the author's way: a dropped filter takes its beta along, so the result equals
    `zero(variables, keep)`. `fold.fold_constants` first, to keep their constant outputs.

    Args:
      plan: the network.
      variables: {'params', 'batch_stats'} of ConvNet(plan).
      keep: one boolean array per convolution, True = keep.

    Returns:
      (smaller plan, smaller variables), which fit each other as ConvNet(smaller plan).

    Raises:
      UserError: keep or variables are another plan's, or a layer would keep nothing.

    Example:
      >>> from sparsity_jax.pruning import keep_active
      >>> from sparsity_jax.sparsity import gamma_sparsity
      >>> smaller, weights = prune(plan, variables, keep_active(gamma_sparsity(variables)))
      >>> smaller == plan  # no gamma of a fresh network is below the threshold
      True
    """
    masks = checked_keep(plan, keep)
    check_variables(plan, variables)
    smaller = plan.with_filters([int(mask.sum()) for mask in masks.values()])
    return smaller, {name: prune_like(tree, plan, masks) for name, tree in variables.items()}


def prune_like(tree: Any, plan: Plan, keep: Keep) -> Any:
    """Slice every array of a tree that is a parameter's or statistic's twin, and nothing else.

    An array is recognised by the end of its path, such as ('C3', 'conv', 'kernel'), so gradients,
    averaged weights and optimizer states with params inside them come out right. Leading axes
    (stacked members) pass through.

    Args:
      tree: anything whose leaves end in the paths of ConvNet(plan)'s variables.
      plan: the network before pruning.
      keep: as for `prune`.

    Raises:
      UserError: keep is another plan's, or an array does not have its parameter's size.

    Example:
      >>> convs = zip(plan.layer_names, plan.convs)
      >>> keep = {name: np.arange(conv.filters) < 12 for name, conv in convs}
      >>> gradients = jax.tree.map(jnp.ones_like, variables['params'])
      >>> prune_like(gradients, plan, keep)['C1']['conv']['kernel'].shape
      (5, 5, 3, 12)
    """
    cuts = cuts_of(plan, checked_keep(plan, keep))

    def cut(keys: tuple[Any, ...], leaf: Any) -> Any:
        path = tuple(str(key.key) for key in keys if isinstance(key, DictKey))[-3:]
        return _cut(path, leaf, cuts[path]) if path in cuts else leaf

    return jax.tree_util.tree_map_with_path(cut, tree)


def prune_opt_state(opt_state: Any, plan: Plan, keep: Keep) -> Any:
    """Slice the moments of an optimizer along with the weights, to go on training after pruning.

    Every array in the state that sits at a parameter's path is sliced as that parameter is; step
    counts and schedules stay. Needs no knowledge of the optimizer.

    Args:
      opt_state: an optax state made by `optimizer.init(params)`.
      plan: the network before pruning.
      keep: as for `prune`.

    Raises:
      UserError: a moment does not have its parameter's shape (factored optimizers).

    Example:
      >>> import optax
      >>> convs = zip(plan.layer_names, plan.convs)
      >>> keep = {name: np.arange(conv.filters) < 12 for name, conv in convs}
      >>> momentum = optax.trace(decay=0.9).init(variables['params'])
      >>> prune_opt_state(momentum, plan, keep).trace['C2']['conv']['kernel'].shape
      (3, 3, 12, 12)
    """
    return prune_like(opt_state, plan, keep)


def zero(variables: Mapping[str, Any], keep: Keep) -> dict[str, Any]:
    """Set filters to zero in place: gamma = beta = 0 where keep is False, shapes stay.

    The masked twin of a pruned network (author's mode, `simulate_pruning`): every later layer
    receives exact zeros. Works on traced arrays; masks may carry leading member axes.

    Args:
      variables: {'params', 'batch_stats'}.
      keep: layer name -> boolean array (filters,); layers not named stay as they are.

    Raises:
      UserError: a layer that the variables do not have, or a mask of another length.

    Example:
      >>> masked = zero(variables, {'C1': np.arange(16) > 3})
      >>> masked['params']['C1']['norm']['scale'].sum()
      Array(12., dtype=float32)
    """
    params = dict(variables["params"])
    for name, mask in keep.items():
        if name not in params or "norm" not in params[name]:
            raise UserError(f"keep names layer {name}, but the variables have {', '.join(params)}")
        norm = dict(params[name]["norm"])
        if jnp.shape(mask)[-1:] != norm["scale"].shape[-1:]:
            raise UserError(_wrong_length(name, jnp.shape(mask), norm["scale"].shape[-1]))
        for leaf in ("scale", "bias"):
            norm[leaf] = jnp.where(mask, norm[leaf], 0)
        params[name] = {**params[name], "norm": norm}
    return {**variables, "params": params}


def checked_keep(plan: Plan, keep: Keep) -> dict[str, np.ndarray]:
    """Return the keep-set as boolean arrays in layer order.

    Args:
      plan: the network before pruning.
      keep: layer name -> boolean array (filters,).

    Raises:
      UserError: layers or lengths are not this plan's, or a layer would keep nothing.

    Example:
      >>> convs = zip(plan.layer_names, plan.convs)
      >>> keep = {name: np.ones(conv.filters, bool) for name, conv in convs}
      >>> checked_keep(plan, keep)['C1'].size
      16
    """
    if set(keep) != set(plan.layer_names):
        raise UserError(
            f"the keep-set is for layers {_listed(keep)}; "
            f"{plan.name} has {_listed(plan.layer_names)}"
        )
    masks = {}
    for name, conv in zip(plan.layer_names, plan.convs, strict=True):
        mask = np.asarray(keep[name])
        if mask.dtype != bool or mask.shape != (conv.filters,):
            raise UserError(_wrong_length(name, mask.shape, conv.filters, mask.dtype))
        if not mask.any():
            raise UserError(
                f"layer {name} would keep no filter; use criteria.without_empty_layers to keep its "
                "strongest one"
            )
        masks[name] = mask
    return masks


def check_variables(plan: Plan, variables: Mapping[str, Any]) -> None:
    """Refuse variables whose convolution kernels do not have the plan's shapes.

    Args:
      plan: the network.
      variables: {'params', 'batch_stats'}.

    Raises:
      UserError: a collection or a kernel is missing or has another shape.

    Example:
      >>> check_variables(plan, variables)
    """
    if missing := {"params", "batch_stats"} - set(variables):
        raise UserError(f"variables have no {min(missing)}; valid are those of ConvNet(plan)")
    params = variables["params"]
    for name, conv, inputs in zip(plan.layer_names, plan.convs, plan.conv_inputs, strict=True):
        wanted = (conv.kernel, conv.kernel, inputs, conv.filters)
        kernel = params.get(name, {}).get("conv", {}).get("kernel")
        if kernel is None or kernel.shape[-4:] != wanted:
            found = "missing" if kernel is None else f"of shape {kernel.shape}"
            raise UserError(f"the kernel of {name} is {found}; the plan needs {wanted}")


def head_mask(plan: Plan, mask: np.ndarray) -> np.ndarray:
    """Mark the inputs of the first dense layer that stay: filter c feeds (h * W + w) * filters + c.

    Args:
      plan: the network before pruning.
      mask: boolean (filters,) of the last convolution, True = keep.

    Returns:
      Boolean (height * width * filters,) of the head's map.

    Example:
      >>> int(head_mask(plan, np.arange(32) < 20).sum())
      20
    """
    height, width, _ = plan.head_map
    return np.tile(mask, height * width)


def cuts_of(plan: Plan, masks: Mapping[str, np.ndarray]) -> Cuts:
    """For each leaf that pruning touches: what stays along which axis (counted from the end)."""
    cuts: Cuts = {}
    before = np.ones(plan.input_shape[2], bool)
    for name, mask in masks.items():
        cuts[name, "conv", "kernel"] = {-2: before, -1: mask}
        cuts |= {(name, "norm", leaf): {-1: mask} for leaf in ("scale", "bias", "mean", "var")}
        before = mask
    cuts[plan.dense_names[0], "dense", "kernel"] = {-2: head_mask(plan, before)}
    return cuts


def _cut(path: tuple[str, ...], leaf: Any, axes: Mapping[int, np.ndarray]) -> jax.Array:
    array = np.asarray(leaf)
    for axis, mask in axes.items():
        if array.ndim < -axis or array.shape[axis] != mask.size:
            raise UserError(
                f"an array at {'/'.join(path)} has shape {np.shape(leaf)}; pruning needs "
                f"{mask.size} along axis {axis}, as the parameter has"
            )
        array = np.compress(mask, array, axis=axis)
    return jnp.asarray(array)


def _listed(names: Iterable[str]) -> str:
    return ", ".join(names) or "none"


def _wrong_length(name: str, shape: tuple[int, ...], filters: int, dtype: Any = bool) -> str:
    return (
        f"keep for {name} has shape {shape} and type {np.dtype(dtype).name}; "
        f"valid is a boolean array of {filters}"
    )
