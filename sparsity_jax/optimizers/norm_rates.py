"""Which learning rate do gamma and beta get, when theirs differs from the other parameters'?"""

from typing import Any

import jax
import optax

_Path = tuple[Any, ...]


def scale_gamma_and_beta(
    gamma_lr_scale: float | jax.Array, beta_lr_scale: float | jax.Array
) -> optax.GradientTransformation:
    r"""Multiply the updates of gamma and of beta; leave every other update untouched.

    .. math:: u_\gamma \to a\, u_\gamma, \quad u_\beta \to b\, u_\beta

    Gamma is a leaf named ``scale``; beta is a leaf named ``bias`` that has a ``scale`` beside it.
    So the bias of a dense layer is not a beta. A tree without such leaves passes unchanged.

    Args:
      gamma_lr_scale: The factor a; a number, may be traced.
      beta_lr_scale: The factor b; a number, may be traced.

    Returns:
      A transformation without state.

    Example:
      >>> words = scale_gamma_and_beta(0.1, 1.0)
      >>> tree = {"norm": {"scale": 2.0, "bias": 2.0}, "dense": {"bias": 2.0}}
      >>> words.update(tree, words.init(tree))[0]
      {'dense': {'bias': 2.0}, 'norm': {'bias': 2.0, 'scale': 0.2}}

    Paper: supplement, Sec. 3 and Table S3.
    """

    def update(updates: optax.Updates, params: optax.Params | None = None) -> optax.Updates:
        del params
        paths = [path for path, _ in jax.tree_util.tree_leaves_with_path(updates)]
        norms = {path[:-1] for path in paths if leaf_name(path) == "scale"}

        def scale(path: _Path, leaf: jax.Array) -> jax.Array:
            if leaf_name(path) == "scale":
                return leaf * gamma_lr_scale
            if leaf_name(path) == "bias" and path[:-1] in norms:
                return leaf * beta_lr_scale
            return leaf

        return jax.tree_util.tree_map_with_path(scale, updates)

    return optax.stateless(update)


def leaf_name(path: _Path) -> str:
    """The last part of a path: a dictionary's key or an object's attribute."""
    if not path:
        return ""
    return str(getattr(path[-1], "key", getattr(path[-1], "name", "")))
