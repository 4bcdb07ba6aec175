"""Flax models with fewer filters that train on as the original does."""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Callable, Mapping
from typing import Any

import jax
import numpy as np
from flax import linen as nn
from flax import nnx

from sparsity_jax.errors import UserError
from sparsity_jax.pruning.agreement import batches_like, change, outputs, tolerance
from sparsity_jax.pruning.generic import PrunedModel, prune_model
from sparsity_jax.sparsity.evaluation import MODES, ApplyFn, evaluation


@dataclasses.dataclass(frozen=True, eq=False)
class SmallerModel:
    """Linen module that runs on smaller variables, in training too.

    Attributes:
      module: the original.
      adapt: (function of the original's variables and images) -> the same of the smaller ones.
      report: what went, what stayed and why.
    """

    module: nn.Module
    adapt: Callable[[ApplyFn], ApplyFn]
    report: str

    def apply(self, variables: Any, images: Any, *args: Any, **kwargs: Any) -> Any:
        """Run the module as `module.apply` does: train=True, mutable, rngs and all.

        Args:
          variables: the smaller ones.
          images: first argument of the module's call.
          *args: its other arguments.
          **kwargs: theirs by name, and those of `module.apply`.
        """

        def run(variables: Any, images: Any) -> Any:
            return self.module.apply(variables, images, *args, **kwargs)

        return self.adapt(run)(variables, images)


def shrink_model(
    model: Any, variables: Any, keep: Mapping[str, Any], images: Any
) -> tuple[Any, PrunedModel]:
    """Cut filters out of a Flax model so that it can be trained on.

    Args:
      model: a Linen module, a `SmallerModel`, or an NNX module.
      variables: its variables or state.
      keep: norm path -> boolean array (filters,), True = keep.
      images: a few images of the right shape; two suffice.

    Returns:
      (the smaller model, what `prune_model` found); the model itself where nothing can go.

    Raises:
      UserError: as `prune_model`; no Flax model; a call with arguments that are not known; an NNX
        module whose code asks for the widths that it was built with.

    Example:
      >>> smaller, found = shrink_model(model, variables, keep, images)  # doctest: +SKIP
    """
    inactive = {path: np.logical_not(mask) for path, mask in keep.items()}
    found = prune_model(_evaluated(model), variables, inactive, images, mode="exact")
    if not found.cuts:
        return model, found
    if isinstance(model, nnx.Module):
        return _smaller_nnx(model, found, images), found
    if isinstance(model, SmallerModel):
        before = model.adapt
        return SmallerModel(model.module, lambda f: found.adapt(before(f)), found.report()), found
    return SmallerModel(model, found.adapt, found.report()), found


def _evaluated(model: Any) -> ApplyFn:
    """The model in evaluation mode, as a function of variables and images."""
    if isinstance(model, nnx.Module):
        return evaluation(model)
    module = model.module if isinstance(model, SmallerModel) else model
    if not isinstance(module, nn.Module):
        raise UserError(
            f"a {type(model).__name__} cannot be cut; valid are a Plan, a Linen module and an NNX "
            "module"
        )
    call: Any = module
    extra = list(inspect.signature(call.__call__).parameters.values())[1:]
    modes = {p.name: MODES[p.name] for p in extra if p.name in MODES}
    kinds = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    empty = inspect.Parameter.empty
    asked = [p.name for p in extra if p.default is empty and p.kind not in kinds]
    if unknown := [name for name in asked if name not in modes]:
        raise UserError(
            f"the module's call requires {', '.join(unknown)}; known besides images are "
            f"{', '.join(MODES)}"
        )
    function: Any = module.apply

    def run(variables: Any, images: Any) -> Any:
        return function(variables, images, **modes)

    return model.adapt(run) if isinstance(model, SmallerModel) else run


def _smaller_nnx(model: nnx.Module, found: PrunedModel, images: Any) -> nnx.Module:
    """An NNX module with the smaller state; its convolutions are told how many groups they have."""
    smaller = nnx.merge(nnx.graphdef(model), found.variables)
    for _, module in nnx.iter_modules(smaller):
        _set_sizes(module)
    batches = batches_like(images)
    targets = outputs(found.apply_fn, found.variables, batches)
    dtypes = {leaf.dtype for leaf in jax.tree.leaves(targets)}
    try:
        ours = outputs(evaluation(smaller), found.variables, batches)
        agrees = change(ours, targets).relative <= tolerance(dtypes)
    except Exception:  # whatever a foreign model raises when its code names a width
        agrees = False
    if not agrees:
        raise UserError(
            "the module's code asks for the widths that it was built with; let it read them from "
            "its arrays, or use prune_model, whose result runs in evaluation mode"
        )
    return smaller


def _set_sizes(module: Any) -> None:
    """Sizes that a layer noted when it was built, as its arrays have them now."""
    kernel = getattr(module, "kernel", None)
    if kernel is not None and isinstance(getattr(module, "in_features", None), int):
        *_, inputs, outs = kernel.shape
        groups = getattr(module, "feature_group_count", 1)
        if groups > 1 and inputs == 1:  # depthwise
            groups = module.feature_group_count = outs * groups // module.out_features
        module.in_features, module.out_features = inputs * groups, outs
        if hasattr(module, "kernel_shape"):
            module.kernel_shape = kernel.shape
    if hasattr(module, "num_features") and getattr(module, "mean", None) is not None:
        module.num_features = module.mean.shape[-1]
