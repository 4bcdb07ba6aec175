"""Optimizer states of any model, cut as its parameters are."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from sparsity_jax.errors import UserError
from sparsity_jax.pruning.arrays import Cuts
from sparsity_jax.sparsity.layers import leaf_paths
from sparsity_jax.sparsity.norm_arrays import array_names


def cut_slots(opt_state: Any, variables: Any, cuts: Cuts) -> Any:
    """Cut every slot of an optimizer as its parameter is cut; step counts and schedules stay.

    A slot is a part of the state that mirrors the parameters: all its leaves have their names. It
    may have fewer leaves (`optax.masked`, `optax.partition`) and more leading axes, and may be
    anything else that mirrors them, such as sums of gradients.

    Args:
      opt_state: any optax state made by `optimizer.init(params)`, or an `nnx.Optimizer`'s.
      variables: Linen variables or an NNX state, before the cut.
      cuts: array name -> axis -> what stays.

    Raises:
      UserError: a slot has another shape than its parameter (factored optimizers).

    Example:
      >>> cuts = {"params/kernel": {1: np.array([True, False, True])}}
      >>> variables = {"params": {"kernel": np.ones((2, 3))}}
      >>> state = {"count": 7, "trace": {"kernel": np.arange(6).reshape(2, 3)}}
      >>> cut_slots(state, variables, cuts)
      {'count': 7, 'trace': {'kernel': Array([[0, 2],
             [3, 5]], dtype=int32)}}
    """
    shapes, axes = {}, {}
    for name, leaf in zip(array_names(variables), jax.tree.leaves(variables), strict=True):
        for known in (name, name.removeprefix("params/")):
            shapes[known], axes[known] = np.shape(leaf), cuts.get(name, {})

    def mirrors(node: Any) -> bool:
        names = _names(node)
        return bool(names) and all(name in shapes for name in names)

    def fitted(node: Any) -> Any:
        if not mirrors(node):
            return node
        leaves, tree = jax.tree.flatten(node)
        pairs = zip(_names(node), leaves, strict=True)
        return jax.tree.unflatten(
            tree, [_cut(name, leaf, shapes[name], axes[name]) for name, leaf in pairs]
        )

    return jax.tree.map(fitted, opt_state, is_leaf=mirrors)


def _names(node: Any) -> list[str]:
    return ["/".join(path) for path in leaf_paths(node)]


def _cut(name: str, leaf: Any, shape: tuple[int, ...], axes: Mapping[int, np.ndarray]) -> Any:
    """One array of a slot; placeholders of one number, as factored optimizers have, stay."""
    array = np.asarray(leaf)
    if not axes or (array.size == 1 and array.shape != shape):
        return leaf
    if array.ndim < len(shape) or array.shape[array.ndim - len(shape) :] != shape:
        raise UserError(
            f"the optimizer keeps an array of shape {array.shape} for {name}, which has shape "
            f"{shape}; only slots of their parameter's shape can be cut"
        )
    for axis, keep in axes.items():
        array = np.compress(keep, array, axis=axis - len(shape))
    return jnp.asarray(array)
