"""Names of the arrays of any model's variables, and which of them a norm has."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import jax
import numpy as np

from sparsity_jax.errors import UserError
from sparsity_jax.sparsity.layers import conv_norms, leaf_paths

Norms = Mapping[str, Mapping[str, str]]  # norm path -> 'scale', 'bias', 'mean', 'var' -> array name


def array_names(variables: Any) -> list[str]:
    """Names of the leaves of variables, in the order of `jax.tree.leaves`.

    Raises:
      UserError: two leaves have one name, as a name with a slash may bring about.

    Example:
      >>> array_names({'params': {'Dense_0': {'kernel': np.ones((2, 2))}}})
      ['params/Dense_0/kernel']
    """
    names = ["/".join(path) for path in leaf_paths(variables)]
    if twice := [name for name in names if names.count(name) > 1]:
        raise UserError(f"two arrays have the name {twice[0]}; rename one of the modules")
    return names


class _Slot:
    """Stands for a leaf of the variables: its shape and its name."""

    def __init__(self, leaf: Any, name: str) -> None:
        self.shape, self.ndim, self.name = np.shape(leaf), np.ndim(leaf), name


def find_norms(variables: Any) -> Norms:
    """Names of the arrays of each norm of a convolution.

    Example:
      >>> find_norms(variables)['C1/norm']['scale']
      'params/C1/norm/scale'
    """
    leaves, tree = jax.tree.flatten(variables)
    slots = [_Slot(leaf, name) for leaf, name in zip(leaves, array_names(variables), strict=True)]
    norms: Any = conv_norms(jax.tree.unflatten(tree, slots))
    wanted = ("scale", "bias", "mean", "var")
    return {
        path: {kind: found[kind].name for kind in wanted if kind in found}
        for path, found in norms.items()
    }
