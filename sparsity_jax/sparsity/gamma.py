"""Sparsity by gamma: the filters whose BatchNorm scale has vanished."""

from __future__ import annotations

import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from sparsity_jax.errors import UserError
from sparsity_jax.sparsity.filters import FilterSparsity
from sparsity_jax.sparsity.layers import conv_norms


def gamma_sparsity(variables: Any, threshold: float = 1e-3) -> FilterSparsity:
    """Find the filters whose BatchNorm scale has vanished.

    inactive[filter] = |gamma[filter]| < threshold     (Sec. 2.1, "sparsity by gamma")

    Args:
      variables: any Linen variables with 'batch_stats', residual networks included, or an NNX
        state. Only norms of convolutions count; see `layers.conv_norms` for how they are told.
      threshold: largest |gamma| of an inactive filter, exclusive; 1e-3 is the paper's.

    Returns:
      Inactive filters by layer path.

    Raises:
      UserError: no BatchNorm, a norm without scale, a gamma that is not a number, or a threshold
        below zero. The layer is named.

    Example:
      >>> scale = np.array([1.0, 1e-4, 0.3, 0.0])
      >>> params = {'C1': {'conv': {'kernel': np.ones((3, 3, 3, 4))}, 'norm': {'scale': scale}}}
      >>> stats = {'C1': {'norm': {'mean': np.zeros(4), 'var': np.ones(4)}}}
      >>> print(gamma_sparsity({'params': params, 'batch_stats': stats}).table())
      layer    filters  inactive      %
      C1/norm        4         2   50.0
      total          4         2   50.0
    """
    if not (math.isfinite(threshold) and threshold >= 0):
        raise UserError(f"threshold={threshold} is not valid; give a number of 0 or more, as 1e-3")
    gammas = {path: np.asarray(gamma) for path, gamma in gamma_by_layer(variables).items()}
    for path, gamma in gammas.items():
        if np.isnan(gamma).any():
            raise UserError(
                f"layer {path} has {int(np.isnan(gamma).sum())} gammas that are not numbers (NaN): "
                "training diverged; sparsity needs finite gammas"
            )
    return FilterSparsity({path: np.abs(gamma) < threshold for path, gamma in gammas.items()})


def inactive_gamma(variables: Any, threshold: float | jax.Array = 1e-3) -> dict[str, jax.Array]:
    """Pure form of `gamma_sparsity`, for use inside jit and vmap.

    inactive[filter] = |gamma[filter]| < threshold

    Args:
      variables: as `gamma_sparsity`; arrays may be traced. Under vmap over stacked members each
        call sees one member.
      threshold: may be traced.

    Returns:
      Layer path -> boolean array of gamma's shape. A NaN is not inactive. Dicts that leave jit are
      sorted by the alphabet: wrap them in `FilterSparsity` to get natural order back.

    Example:
      >>> stacked = jax.tree.map(lambda leaf: jnp.stack([leaf] * 8), variables)
      >>> jax.vmap(inactive_gamma)(stacked)['C1/norm'].shape
      (8, 16)
    """
    gammas = gamma_by_layer(variables)
    return {path: jnp.abs(gamma) < threshold for path, gamma in gammas.items()}


def gamma_by_layer(variables: Any) -> dict[str, jax.Array]:
    """Gammas of every norm of a convolution, in natural order.

    Args:
      variables: as for `gamma_sparsity`.

    Returns:
      Layer path -> float array (filters,).

    Raises:
      UserError: no BatchNorm, or one without scale.

    Example:
      >>> gamma_by_layer(variables)['C2/norm'].shape
      (32,)
    """
    norms = conv_norms(variables)
    bare = [path for path, leaves in norms.items() if "scale" not in leaves]
    if bare:
        raise UserError(
            f"layer {bare[0]} has no gamma (use_scale=False); sparsity by gamma needs one, "
            "activation_sparsity does not"
        )
    return {path: leaves["scale"] for path, leaves in norms.items()}
