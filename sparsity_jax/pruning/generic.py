"""Pruning of models that are not plans, such as residual networks."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn
from flax.traverse_util import flatten_dict, unflatten_dict

from sparsity_jax.errors import UserError
from sparsity_jax.pruning.topology import ApplyFn, Topology, Wiring, tiled
from sparsity_jax.sparsity.layers import conv_norms


@dataclasses.dataclass(frozen=True)
class PrunedModel:
    """Model with fewer filters.

    Attributes:
      apply_fn: (variables, images) -> what the original returned; runs under jit and grad.
      variables: the smaller variables.
      widths: convolution path -> filters it has now; `narrow(original, widths)` is `apply_fn`.
      removed: norm path -> filters removed.
      left_alone: norm path -> why its inactive filters were kept.
      kept_strongest: norms that would have emptied and kept their filter of largest |gamma|.
    """

    apply_fn: ApplyFn
    variables: dict[str, Any]
    widths: Mapping[str, int]
    removed: Mapping[str, int]
    left_alone: Mapping[str, str]
    kept_strongest: tuple[str, ...]

    def report(self) -> str:
        """Removed and kept filters as text, one line per layer."""
        lines = [f"{path}: {count} filters removed" for path, count in self.removed.items()]
        lines += [f"{path}: left alone, {why}" for path, why in self.left_alone.items()]
        lines += [f"{path}: would be empty, strongest kept" for path in self.kept_strongest]
        return "\n".join(lines) or "nothing to remove"


def prune_model(
    apply_fn: ApplyFn,
    variables: Mapping[str, Any],
    inactive: Any,
    images: Any,
) -> PrunedModel:
    """Remove inactive filters, with their beta, from any Linen model, where that is safe.

    Safe are filters whose way leads only into convolutions and dense layers, as inside a residual
    block. What a residual sum, a concatenation or a grouped convolution ties together is left alone
    and listed with the reason. The wiring is found by running the model (`topology.Topology`), and
    the result is compared with the masked model before it is returned. Author's mode: as if gamma
    and beta of the removed filters were 0.

    Args:
      apply_fn: (variables, images) -> output in evaluation mode, running a Linen module built of
        nn.Conv, nn.Dense and nn.BatchNorm.
      variables: {'params', 'batch_stats'}.
      inactive: what `gamma_sparsity` returned, or norm path -> boolean array, True = remove.
      images: a few images of the right shape; two suffice.

    Returns:
      The pruned model. To keep it, save its `variables` and `widths`.

    Raises:
      UserError: norms that the model does not have, masks of another length, no Linen layers.

    Example:
      >>> inactive = gamma_sparsity(variables)  # doctest: +SKIP
      >>> pruned = prune_model(apply_fn, variables, inactive, images[:2])  # doctest: +SKIP
      >>> print(pruned.report())  # doctest: +SKIP
      Block_0/BatchNorm_0: 13 filters removed
      Block_0/BatchNorm_1: left alone, its filters reach Block_1/Conv_0 through a sum ...
    """
    masks = _checked(variables, getattr(inactive, "layers", inactive))
    masks, emptied = _without_empty(variables, masks)
    topology = Topology(apply_fn, variables, images)
    flat: dict[str, Any] = flatten_dict(dict(variables), sep="/")
    wirings = {
        path: _if_it_fits(apply_fn, flat, path, topology.wiring(path, mask), images)
        for path, mask in masks.items()
    }
    widths: dict[str, int] = {}
    safe = {path: mask for path, mask in masks.items() if not wirings[path].reason}
    for name, axes in _cuts(flat, safe, wirings).items():
        for axis, keep in axes.items():
            flat[name] = jnp.asarray(np.compress(keep, np.asarray(flat[name]), axis=axis))
    for path, mask in safe.items():
        widths[wirings[path].producer] = int((~mask).sum())
    smaller = unflatten_dict(flat, sep="/")
    pruned = narrow(apply_fn, widths)
    _verify(apply_fn, _masked(variables, safe), pruned, smaller, images)
    return PrunedModel(
        apply_fn=pruned,
        variables=smaller,
        widths=widths,
        removed={path: int(mask.sum()) for path, mask in safe.items()},
        left_alone={path: wirings[path].reason for path in masks if wirings[path].reason},
        kept_strongest=emptied,
    )


def narrow(apply_fn: ApplyFn, widths: Mapping[str, int]) -> ApplyFn:
    """Run a model with other numbers of filters, without touching its code.

    Args:
      apply_fn: (variables, images) -> output, running a Linen module.
      widths: path of an nn.Conv -> its filters; norms and later layers follow their inputs.

    Example:
      >>> model = nn.Conv(8, (3, 3))
      >>> five = narrow(lambda variables, images: model.apply(variables, images), {'': 5})
      >>> kernel = {'params': {'kernel': jnp.ones((3, 3, 3, 5)), 'bias': jnp.zeros(5)}}
      >>> five(kernel, images).shape
      (4, 8, 8, 5)
    """

    def apply(variables: Any, images: Any) -> Any:
        def resize(next_fun: Any, args: Any, kwargs: Any, context: Any) -> Any:
            width = widths.get("/".join(context.module.path))
            if width is not None and context.method_name == "__call__":
                # Modules are frozen; this one lives for this call only.
                object.__setattr__(context.module, "features", width)
            return next_fun(*args, **kwargs)

        with nn.intercept_methods(resize):
            return apply_fn(variables, images)

    return apply


def _checked(variables: Any, inactive: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """Masks of norms that have something to remove."""
    norms = conv_norms(variables)
    masks = {}
    for path, mask in inactive.items():
        mask = np.asarray(mask)
        if path not in norms:
            raise UserError(f"the model has no norm {path}; valid are {', '.join(norms)}")
        if mask.dtype != bool or mask.shape != norms[path]["mean"].shape:
            raise UserError(
                f"the mask of {path} has shape {mask.shape} and type {mask.dtype.name}; "
                f"valid is a boolean array of {norms[path]['mean'].size}"
            )
        if mask.any():
            masks[path] = mask
    return masks


def _without_empty(
    variables: Any, masks: Mapping[str, np.ndarray]
) -> tuple[dict[str, np.ndarray], tuple[str, ...]]:
    norms, kept, emptied = conv_norms(variables), {}, []
    for path, mask in masks.items():
        kept[path] = mask
        if mask.all():
            emptied.append(path)
            strongest = np.abs(np.asarray(norms[path]["scale"])).argmax()
            kept[path] = np.arange(mask.size) != strongest
    return {path: mask for path, mask in kept.items() if mask.any()}, tuple(emptied)


def _if_it_fits(
    apply_fn: ApplyFn, flat: Mapping[str, Any], path: str, wiring: Wiring, images: Any
) -> Wiring:
    """The wiring, or a reason to leave the norm alone if the model cannot lose one filter of it.

    Values do not show a residual sum whose other side is inactive in the same filters; shapes do.
    """
    if wiring.reason:
        return wiring
    filters = flat[f"params/{path}/scale"].size
    cuts = _cuts(flat, {path: np.arange(filters) == 0}, {path: wiring})
    cut = dict(flat)
    for name, axes in cuts.items():
        shape = list(flat[name].shape)
        for axis, keep in axes.items():
            shape[axis] = int(keep.sum())
        cut[name] = jax.ShapeDtypeStruct(tuple(shape), flat[name].dtype)
    smaller = narrow(apply_fn, {wiring.producer: filters - 1})
    try:
        jax.eval_shape(smaller, unflatten_dict(cut, sep="/"), jnp.asarray(images))
    except Exception:  # whatever a foreign model raises when shapes no longer meet
        return Wiring(reason="its filters meet those of another layer, in a sum for instance")
    return wiring


def _cuts(
    flat: Mapping[str, Any], safe: Mapping[str, np.ndarray], wirings: Mapping[str, Wiring]
) -> dict[str, dict[int, np.ndarray]]:
    """Array name -> axis (from the end) -> what stays."""
    cuts: dict[str, dict[int, np.ndarray]] = {}
    for path, mask in safe.items():
        producer = wirings[path].producer
        outputs = [f"params/{producer}/kernel", f"params/{producer}/bias"]
        outputs += [f"params/{path}/scale", f"params/{path}/bias"]
        outputs += [f"batch_stats/{path}/mean", f"batch_stats/{path}/var"]
        for name in outputs:
            if name in flat:
                cuts.setdefault(name, {})[-1] = ~mask
        for consumer in wirings[path].consumers:
            name = f"params/{consumer}/kernel"
            cuts.setdefault(name, {})[-2] = ~tiled(mask, flat[name].shape[-2])
    return cuts


def _masked(variables: Mapping[str, Any], safe: Mapping[str, np.ndarray]) -> dict[str, Any]:
    flat: dict[str, Any] = flatten_dict(dict(variables), sep="/")
    for path, mask in safe.items():
        for leaf in ("scale", "bias"):
            name = f"params/{path}/{leaf}"
            flat[name] = jnp.where(mask, 0, flat[name])
    return unflatten_dict(flat, sep="/")


def _verify(apply_fn: ApplyFn, masked: Any, pruned: ApplyFn, smaller: Any, images: Any) -> None:
    """Refuse a pruned model that disagrees with the masked one, as after a wrong wiring."""
    images = jnp.asarray(images)
    ours, theirs = jax.jit(pruned)(smaller, images), jax.jit(apply_fn)(masked, images)
    for a, b in zip(jax.tree.leaves(ours), jax.tree.leaves(theirs), strict=True):
        if not np.allclose(a, b, rtol=1e-3, atol=1e-3):
            raise UserError(
                "the pruned model does not agree with the masked one on these images; "
                "a model must be a function of its Conv, Dense and BatchNorm layers to be pruned"
            )
