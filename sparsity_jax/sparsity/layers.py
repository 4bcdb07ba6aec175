"""BatchNorm layers of a model by name, and the convolutions that they belong to."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

import jax
from jax.tree_util import DictKey, FlattenedIndexKey, GetAttrKey, SequenceKey

from sparsity_jax.errors import UserError

Path = tuple[str, ...]
Leaves = dict[str, jax.Array]


def natural_key(path: str) -> tuple[tuple[bool, int, str], ...]:
    """Sort key that counts: 'C2/norm' comes before 'C10/norm', 'Conv_9' before 'Conv_10'.

    Example:
      >>> sorted(['C10/norm', 'C2/norm'], key=natural_key)
      ['C2/norm', 'C10/norm']
    """
    parts = re.split(r"(\d+)", path)
    return tuple((part.isdecimal(), int(part) if part.isdecimal() else 0, part) for part in parts)


def conv_norms(variables: Any) -> dict[str, Leaves]:
    """BatchNorm layers that normalise a convolution, in natural order.

    "Only convolution features are considered" (Sec. 2.1). Nothing in the variables says what a norm
    follows, so we climb from the norm's scope: the first enclosing scope that holds kernels with as
    many outputs as the norm has channels decides, and the norm is a convolution's if one of those
    kernels has three or more dimensions. A norm with no such kernel anywhere is counted. In a flat
    scope where a dense layer is exactly as wide as a convolution both norms are counted.

    Args:
      variables: Linen variables {'params', 'batch_stats'} (dict, FrozenDict or a train state with
        these two fields), or an NNX state, or the nested dict of one. Arrays may be traced, and may
        all carry the same leading axes (members stacked).

    Returns:
      Layer path such as 'C1/norm' -> {'scale', 'bias', 'mean', 'var'}, those that exist.

    Raises:
      UserError: there is no BatchNorm, none that belongs to a convolution, or half of one.

    Example:
      >>> list(conv_norms(variables))
      ['C1/norm', 'C2/norm']
    """
    modules = _modules(variables)
    norms = {path for path, leaves in modules.items() if _is_norm(path, leaves)}
    if not norms:
        raise UserError(
            "no BatchNorm found: variables must hold 'params' and 'batch_stats' (Linen), or be an "
            "NNX state with running means and variances"
        )
    kernels = {path: leaves for path, leaves in modules.items() if path not in norms}
    found = {"/".join(path): modules[path] for path in norms if _of_conv(path, modules, kernels)}
    if not found:
        raise UserError("no BatchNorm follows a convolution: every one found follows a dense layer")
    return {path: found[path] for path in sorted(found, key=natural_key)}


def _modules(variables: Any) -> dict[Path, Leaves]:
    """Module path -> its arrays by name, with Linen's collections merged."""
    flat = jax.tree_util.tree_flatten_with_path(variables)[0]
    paths = [(_names(keys), leaf) for keys, leaf in flat]
    linen = any(path[:1] == ("batch_stats",) for path, _ in paths)
    modules: dict[Path, Leaves] = {}
    for path, leaf in paths:
        if linen and path[:1] not in (("params",), ("batch_stats",)):
            continue
        if (full := path[1:] if linen else path) and hasattr(leaf, "shape"):
            modules.setdefault(full[:-1], {})[full[-1]] = leaf
    return modules


def _names(keys: Iterable[Any]) -> Path:
    """A key path as strings, without the '.value' of NNX variables and partitioned boxes."""
    keys = list(keys)
    if keys and isinstance(keys[-1], GetAttrKey) and keys[-1].name == "value":
        keys = keys[:-1]
    return tuple(_name(key) for key in keys)


def _name(key: Any) -> str:
    if isinstance(key, DictKey | FlattenedIndexKey):
        return str(key.key)
    return str(key.idx) if isinstance(key, SequenceKey) else str(getattr(key, "name", key))


def _is_norm(path: Path, leaves: Mapping[str, jax.Array]) -> bool:
    has_mean, has_var = "mean" in leaves, "var" in leaves
    if has_mean != has_var:
        present, absent = ("mean", "var") if has_mean else ("var", "mean")
        raise UserError(
            f"layer {'/'.join(path)} has a running {present} but no running {absent}; "
            "a BatchNorm needs both"
        )
    return has_mean


def _of_conv(path: Path, modules: Mapping[Path, Leaves], kernels: Mapping[Path, Leaves]) -> bool:
    found = _candidates(path, modules, kernels)
    dims = [kernel.ndim - modules[path]["mean"].ndim + 1 for kernel in found.values()]
    return not dims or max(dims) >= 3


def _candidates(
    path: Path, modules: Mapping[Path, Leaves], kernels: Mapping[Path, Leaves]
) -> dict[str, jax.Array]:
    """Kernels as wide as the norm in the first enclosing scope that has one, in natural order."""
    mean = modules[path]["mean"]
    channels, stacked = mean.shape[-1], mean.ndim - 1
    for depth in range(len(path) - 1, -1, -1):
        found = {
            "/".join((*other, name)): leaf
            for other, leaves in kernels.items()
            if other[:depth] == path[:depth]
            for name, leaf in leaves.items()
            if leaf.ndim - stacked >= 2 and leaf.shape[-1] == channels
        }
        if found:
            return {name: found[name] for name in sorted(found, key=natural_key)}
    return {}


def leaf_paths(variables: Any) -> list[Path]:
    """Names on the way to each leaf of variables, in the order of `jax.tree.leaves`.

    Example:
      >>> leaf_paths({'params': {'C1': {'conv': {'kernel': np.ones(3)}}}})
      [('params', 'C1', 'conv', 'kernel')]
    """
    return [_names(keys) for keys, _ in jax.tree_util.tree_flatten_with_path(variables)[0]]
