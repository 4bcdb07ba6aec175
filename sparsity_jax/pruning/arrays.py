"""Arrays of any model's variables by name: those of each norm, cut ones, masked ones."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from sparsity_jax.sparsity.norm_arrays import array_names

Cuts = dict[str, dict[int, np.ndarray]]  # array name -> axis -> what stays (bool)
Masks = Mapping[str, np.ndarray]  # norm path -> boolean array (filters,), True = goes


def module_of(name: str) -> str:
    """Module that an array belongs to, without Linen's collection.

    Example:
      >>> module_of('params/Block_0/Conv_0/kernel'), module_of('head/kernel')
      ('Block_0/Conv_0', 'head')
    """
    *module, _ = name.split("/")
    return "/".join(module[1:] if module[:1] in (["params"], ["batch_stats"]) else module)


def replaced(variables: Any, arrays: Mapping[str, Any]) -> Any:
    """The variables with some arrays replaced, by name.

    Example:
      >>> replaced({'a': np.ones(2)}, {'a': np.zeros(1)})
      {'a': Array([0.], dtype=float32)}
    """
    leaves, tree = jax.tree.flatten(variables)
    named = zip(array_names(variables), leaves, strict=True)
    return jax.tree.unflatten(
        tree,
        [jnp.asarray(arrays[name]) if name in arrays else leaf for name, leaf in named],
    )


def cut(variables: Any, cuts: Cuts) -> Any:
    """The variables without what cuts remove.

    Example:
      >>> cut({'a': np.arange(3)}, {'a': {0: np.array([True, False, True])}})
      {'a': Array([0, 2], dtype=int32)}
    """
    values = dict(zip(array_names(variables), jax.tree.leaves(variables), strict=True))
    smaller = {}
    for name, axes in cuts.items():
        array = np.asarray(values[name])
        for axis, keep in axes.items():
            array = np.compress(keep, array, axis=axis)
        smaller[name] = array
    return replaced(variables, smaller)


def silenced(
    norm: Mapping[str, str],
    values: Mapping[str, np.ndarray],
    mask: np.ndarray,
    *,
    exact: bool = False,
) -> dict[str, np.ndarray]:
    """Arrays of a norm with which the filters of `mask` give exactly zero, or beta if `exact`.

    gamma = beta = 0, as the author's code does; without gamma the variance becomes infinite.

    Example:
      >>> silenced({'scale': 'a'}, {'a': np.ones(2)}, np.array([True, False]))
      {'a': array([0., 1.])}
    """
    found = {}
    for kind, number in (("scale", 0), ("bias", 0), ("var", np.inf)):
        needless = (kind == "var" and "scale" in norm) or (kind == "bias" and exact)
        if kind in norm and not needless:
            array = values[norm[kind]]
            changed = np.where(mask.reshape(array.shape), number, array)
            found[norm[kind]] = changed.astype(array.dtype)
    return found
