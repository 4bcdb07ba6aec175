"""How does Network Slimming push gamma to zero? (the L1 penalty of a baseline)"""

import jax
import jax.numpy as jnp
import optax

from sparsity_jax.optimizers.norm_rates import leaf_name


def add_sign_of_gamma(strength: float | jax.Array) -> optax.GradientTransformation:
    r"""Add the subgradient of an L1 penalty to the gradients of gamma; leave the others untouched.

    .. math:: g_\gamma \leftarrow g_\gamma + s \operatorname{sign}(\gamma)

    Gamma is a leaf named ``scale``. Standing before the rule, the penalty passes through it as L2
    does. The authors of Network Slimming penalise the norms of convolutions alone; here those of
    hidden dense layers are penalised as well (their VGG-19 has none).

    Args:
      strength: The strength s, 0 or more; may be traced.

    Returns:
      A transformation without state; its update needs the parameters.

    Example:
      >>> word = add_sign_of_gamma(0.1)
      >>> params = {"scale": jnp.array([2.0, -3.0, 0.0]), "bias": jnp.ones(3)}
      >>> gradients = {"scale": jnp.zeros(3), "bias": jnp.zeros(3)}
      >>> word.update(gradients, word.init(params), params)[0]["scale"].round(1).tolist()
      [0.10000000149011612, -0.10000000149011612, 0.0]

    Reference: Liu et al., "Learning Efficient Convolutional Networks through Network Slimming",
    2017, which the paper compares with in Sec. 5.
    """

    def update(updates: optax.Updates, params: optax.Params | None = None) -> optax.Updates:
        def add(path: tuple, gradient: jax.Array, value: jax.Array) -> jax.Array:
            gamma = leaf_name(path) == "scale"
            return gradient + strength * jnp.sign(value) if gamma else gradient

        return jax.tree_util.tree_map_with_path(add, updates, params)

    return optax.stateless(update)
