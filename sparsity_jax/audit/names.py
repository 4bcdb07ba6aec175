"""Names of other frameworks' tensors, in Flax's words."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import jax
import numpy as np
from flax.traverse_util import unflatten_dict

from sparsity_jax.errors import UserError

Path = tuple[str, ...]

_LEAVES = {  # PyTorch's and TensorFlow's words for what Flax calls scale, bias, mean, var
    "running_mean": "mean",
    "running_var": "var",
    "moving_mean": "mean",
    "moving_variance": "var",
    "gamma": "scale",
    "beta": "bias",
}


def variables_of(tensors: Mapping[str, Any]) -> dict[str, Any]:
    """Nest named tensors as variables in Flax's words, whichever framework wrote them.

    Of a train state only parameters and statistics stay. PyTorch's weights (out, in, k, k) are
    returned as shapes with the outputs last, as Flax has them.

    Args:
      tensors: name -> vector, or anything with a shape. Names are cut at '/', or at '.' if no name
        has a '/'; JAX's key paths ("state.params['C1']['norm']") are understood too.

    Returns:
      A nested dict that `gamma_sparsity` and its kind accept.

    Raises:
      UserError: the vectors of a norm differ in shape; the layer is named.

    Example:
      >>> ones = np.ones(3)
      >>> found = variables_of(
      ...     {'bn1.weight': ones, 'bn1.running_mean': ones, 'bn1.running_var': ones}
      ... )
      >>> sorted(found['bn1'])
      ['mean', 'scale', 'var']
    """
    separator = "/" if any("/" in name for name in tensors) else "."
    paths = {_split(name, separator): tensor for name, tensor in tensors.items()}
    paths = _one_linen_tree(paths)
    norms = {path[:-1] for path in paths if _LEAVES.get(path[-1], path[-1]) in ("mean", "var")}
    tree = {}
    for path, tensor in paths.items():
        name = _LEAVES.get(path[-1], path[-1])
        if name == "weight":
            name = "scale" if path[:-1] in norms else "kernel"
            tensor = _outputs_last(tensor) if name == "kernel" else tensor
        tree[(*path[:-1], name)] = tensor
    _check_shapes(tree, norms)
    return unflatten_dict(tree)


def _split(name: str, separator: str) -> Path:
    """'layer1.0.bn1.weight' by its separator, or JAX's own "state.params['C1']['scale']"."""
    if "['" in name:
        return tuple(re.findall(r"[^.\[\]']+", name))
    return tuple(name.split(separator))


def _one_linen_tree(paths: dict[Path, Any]) -> dict[Path, Any]:
    """Parameters and statistics of a train state, merged; optimizer moments are left out."""
    prefixes = [path[: path.index("batch_stats")] for path in paths if "batch_stats" in path]
    if not prefixes:
        return paths
    prefix = min(prefixes, key=len)
    kept = ((*prefix, "params"), (*prefix, "batch_stats"))
    cut = len(prefix) + 1
    return {path[cut:]: tensor for path, tensor in paths.items() if path[:cut] in kept}


def _outputs_last(tensor: Any) -> Any:
    """A PyTorch weight (out, in, k, k) as the shape (in, k, k, out)."""
    if len(tensor.shape) < 2:
        return tensor
    return jax.ShapeDtypeStruct((*tensor.shape[1:], tensor.shape[0]), tensor.dtype)


def _check_shapes(tree: Mapping[Path, Any], norms: set[Path]) -> None:
    for norm in sorted(norms):
        names = [name for name in ("scale", "mean", "var") if (*norm, name) in tree]
        leaves = [tree[(*norm, name)] for name in names]
        shapes = {name: tuple(leaf.shape) for name, leaf in zip(names, leaves, strict=True)}
        if len(set(shapes.values())) > 1 or not all(isinstance(x, np.ndarray) for x in leaves):
            found = ", ".join(f"{name} {shape}" for name, shape in shapes.items())
            raise UserError(f"layer {'/'.join(norm)} has {found}; valid are vectors of one length")
