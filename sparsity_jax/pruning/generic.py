"""Pruning of models that are not plans, such as residual networks."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Mapping
from typing import Any

import jax
import numpy as np

from sparsity_jax.errors import UserError
from sparsity_jax.pruning.agreement import Change, batches_like, change, outputs, tolerance
from sparsity_jax.pruning.arrays import Cuts, Masks, cut, module_of, replaced, silenced
from sparsity_jax.pruning.narrowing import cut_program, narrow
from sparsity_jax.pruning.topology import Removal, Topology
from sparsity_jax.sparsity.evaluation import ApplyFn, evaluation
from sparsity_jax.sparsity.layers import conv_norms
from sparsity_jax.sparsity.norm_arrays import array_names

Adapt = Callable[[ApplyFn], ApplyFn]


@dataclasses.dataclass(frozen=True)
class PrunedModel:
    """Model with fewer filters.

    Attributes:
      apply_fn: (variables, images) -> what the original returned; runs under jit and grad.
      variables: the smaller variables.
      cuts: array name -> axis -> what stays of it; `cut_program(original, cuts)` runs the smaller
        variables.
      widths: layer path -> filters it has now; `narrow(original, widths)` runs the smaller
        variables too, where the model's code names no width and asks for none.
      removed: norm path -> filters removed.
      left_alone: norm path -> why inactive filters of it were kept.
      kept_strongest: norms that would have emptied and kept their filter of largest |gamma|.
      carried: norm path -> filters kept, in 'exact' mode, to carry the constants of removed ones.
      input_shape: shape of one image.
      change: distance from the original network, on the given images and random ones.
      change_from_masked: distance from the network whose removed filters have gamma = 0, and
        beta = 0 in 'author' mode.
      adapt: (any function of the original's variables and images, such as a training step's loss)
        -> the same of the smaller variables.
    """

    apply_fn: ApplyFn
    variables: Any
    cuts: Cuts
    widths: Mapping[str, int]
    removed: Mapping[str, int]
    left_alone: Mapping[str, str]
    kept_strongest: tuple[str, ...]
    carried: Mapping[str, int]
    input_shape: tuple[int, ...]
    change: Change
    change_from_masked: Change
    adapt: Adapt

    def report(self) -> str:
        """Removed and kept filters as text, one line per layer, and what that changed."""
        lines = [f"{path}: {count} filters removed" for path, count in self.removed.items()]
        lines += [f"{path}: left alone, {why}" for path, why in self.left_alone.items()]
        lines += [f"{path}: would be empty, strongest kept" for path in self.kept_strongest]
        lines += [f"{path}: {n} kept to carry constants" for path, n in self.carried.items()]
        if self.removed:
            found = (("original", self.change), ("masked", self.change_from_masked))
            lines += [
                f"outputs differ by {far.relative:.1e} of their scale from the {name} network's"
                for name, far in found
            ]
        return "\n".join(lines) or "nothing to remove"


def prune_model(
    apply_fn: Any, variables: Any, inactive: Any, images: Any, *, mode: str = "author"
) -> PrunedModel:
    """Remove inactive filters from any Flax model.

    In 'author' mode as if gamma and beta of the removed filters were 0. In 'exact' mode beta
    counts: with gamma 0 such a filter answers the same number everywhere. Where these numbers are
    not 0, one filter of each group stays and takes those of the others along, scaled in the kernels
    that follow; that is exact at zero-padded borders too. Filters that a residual sum,
    a concatenation or a depthwise convolution ties together go when they are inactive in all their
    norms (`topology.Topology`). The result is compared with the masked model, on the images and on
    random ones; layers that fail the comparison are left alone.

    Args:
      apply_fn: (variables, images) -> output in evaluation mode, a pure function such as
        `functools.partial(model.apply, train=False)` or one that merges an NNX state; or an NNX
        module, which is then run in evaluation mode.
      variables: what `apply_fn` takes: Linen variables, or an NNX state.
      inactive: what `gamma_sparsity` returned, or norm path -> boolean array, True = remove.
      images: a few images of the right shape; two suffice.
      mode: 'author' or 'exact'.

    Returns:
      The pruned model. To keep it, save its `variables` and `cuts`.

    Raises:
      UserError: norms that the model does not have, masks of another length, an unknown mode.

    Example:
      >>> inactive = gamma_sparsity(variables)  # doctest: +SKIP
      >>> pruned = prune_model(apply_fn, variables, inactive, images[:2])  # doctest: +SKIP
      >>> print(pruned.report())  # doctest: +SKIP
      Block_0/BatchNorm_0: 13 filters removed
      Block_0/BatchNorm_1: left alone, they meet active filters of BatchNorm_0 in a sum ...
    """
    if mode not in ("author", "exact"):
        raise UserError(f"mode={mode!r} is not known; valid are author, exact")
    model = _Model.read(apply_fn, variables, images, exact=mode == "exact")
    masks, stacked = _checked(variables, getattr(inactive, "layers", inactive))
    masks, emptied = _without_empty(variables, masks)
    removal, trial, failed = model.largest_that_agrees(masks)
    return PrunedModel(
        apply_fn=trial.apply_fn,
        variables=trial.variables,
        cuts=removal.cuts,
        widths=model.widths(removal.cuts),
        removed=model.topology.lost(removal.cuts),
        left_alone={**stacked, **removal.reasons, **failed},
        kept_strongest=emptied,
        carried={path: int(mask.sum()) for path, mask in removal.carried.items() if mask.any()},
        input_shape=tuple(np.shape(jax.tree.leaves(images)[0])[1:]),
        change=trial.change,
        change_from_masked=trial.change_from_masked,
        adapt=trial.adapt,
    )


@dataclasses.dataclass(frozen=True)
class _Trial:
    """A pruned model, and how far it is from the others."""

    adapt: Adapt
    apply_fn: ApplyFn
    variables: Any
    change: Change
    change_from_masked: Change


@dataclasses.dataclass(frozen=True)
class _Model:
    """A network, its topology, and what it answers to some batches."""

    apply_fn: ApplyFn
    variables: Any
    topology: Topology
    batches: list[Any]
    answers: list[Any]
    exact: bool

    @classmethod
    def read(cls, apply_fn: Any, variables: Any, images: Any, *, exact: bool) -> _Model:
        function = evaluation(apply_fn)
        topology = Topology(function, variables, images)
        batches = batches_like(images)
        answers = outputs(function, variables, batches)
        return cls(function, variables, topology, batches, answers, exact)

    def largest_that_agrees(self, masks: Masks) -> tuple[Removal, _Trial, dict[str, str]]:
        """Remove all that may go; where the result is wrong, all but the layers that cause it."""
        removal = self.topology.removal(masks, exact=self.exact)
        if trial := self.trial(removal):
            return removal, trial, {}
        agreed: dict[str, np.ndarray] = {}
        failed: dict[str, str] = {}
        for group in self.topology.groups(removal.masks):
            more = {**agreed, **{path: masks[path] for path in group}}
            if self.trial(self.topology.removal(more, exact=self.exact)):
                agreed = more
            else:
                failed |= dict.fromkeys(group, "the pruned model did not agree with the masked one")
        fewer = self.topology.removal(agreed, exact=self.exact)
        trial = self.trial(fewer)
        assert trial is not None  # the last group that agreed, or nothing removed
        reasons = {**removal.reasons, **fewer.reasons}
        return dataclasses.replace(fewer, reasons=reasons), trial, failed

    def trial(self, removal: Removal) -> _Trial | None:
        """Return the pruned model, or None if it is not the masked one."""
        masked = self._masked(removal)
        smaller = cut(replaced(masked, removal.folded), removal.cuts)
        targets = outputs(self.apply_fn, masked, self.batches)
        allowed = tolerance(self.topology.dtypes)
        narrowed = functools.partial(narrow, widths=self.widths(removal.cuts))
        for adapt in (narrowed, functools.partial(cut_program, cuts=removal.cuts)):
            function = adapt(self.apply_fn)
            try:
                ours = outputs(function, smaller, self.batches)
                found = change(ours, targets)
            except Exception:  # whatever a foreign model raises when its code names a width
                continue
            if found.relative <= allowed:
                return _Trial(adapt, function, smaller, change(ours, self.answers), found)
        return None

    def widths(self, cuts: Cuts) -> dict[str, int]:
        """Path of each layer whose kernel loses outputs -> outputs that it has now."""
        leaves = jax.tree.leaves(self.variables)
        found = {}
        for name, leaf in zip(array_names(self.variables), leaves, strict=True):
            keep = cuts.get(name, {}).get(np.ndim(leaf) - 1)
            if keep is not None and name.endswith("/kernel"):
                found[module_of(name)] = int(keep.sum())
        return found

    def _masked(self, removal: Removal) -> Any:
        """The variables with the filters that go, and the carriers, silenced."""
        leaves = map(np.asarray, jax.tree.leaves(self.variables))
        values = dict(zip(array_names(self.variables), leaves, strict=True))
        arrays: dict[str, np.ndarray] = {}
        for path, mask in removal.masks.items():
            silent = mask | removal.carried[path]
            arrays |= silenced(self.topology.norms[path], values, silent, exact=self.exact)
        return replaced(self.variables, arrays)


def _checked(
    variables: Any, inactive: Mapping[str, Any]
) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    """Masks of norms that have something to remove; norms of several layers at once, refused."""
    norms = conv_norms(variables)
    masks, stacked = {}, {}
    for path, mask in inactive.items():
        mask = np.asarray(mask)
        if path not in norms:
            raise UserError(f"the model has no norm {path}; valid are {', '.join(norms)}")
        shape = np.shape(norms[path]["mean"])
        if mask.dtype != bool or mask.shape != shape:
            raise UserError(
                f"the mask of {path} has shape {mask.shape} and type {mask.dtype.name}; "
                f"valid is a boolean array of {', '.join(map(str, shape))}"
            )
        if mask.any() and mask.ndim > 1:
            stacked[path] = "several layers share its arrays (scan or vmap): take them apart first"
        elif mask.any():
            masks[path] = mask
    return masks, stacked


def _without_empty(
    variables: Any, masks: Mapping[str, np.ndarray]
) -> tuple[dict[str, np.ndarray], tuple[str, ...]]:
    norms, kept, emptied = conv_norms(variables), {}, []
    for path, mask in masks.items():
        kept[path] = mask
        if mask.all():
            emptied.append(path)
            gamma = np.asarray(norms[path].get("scale", np.ones(mask.size)))
            kept[path] = np.arange(mask.size) != np.abs(gamma).argmax()
    return {path: mask for path, mask in kept.items() if mask.any()}, tuple(emptied)
