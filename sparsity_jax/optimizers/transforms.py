"""Update rules as PyTorch defines them, and what gamma and beta get of their own.

Five rules are optax's, with the constants of ``table.py``. AMSGrad and Adagrad differ between
PyTorch and optax, so they stand here. Both return the direction to *subtract*; the learning rate
and the sign come after, in ``regularized.py``. Gamma and beta may have learning rates of their own,
and gamma an L1 penalty.
"""

from collections.abc import Hashable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax


class AmsgradState(NamedTuple):
    """Moments of AMSGrad: ``mu``, ``nu`` and the largest raw ``nu`` so far, each like params."""

    steps: jax.Array
    mu: optax.Updates
    nu: optax.Updates
    nu_max: optax.Updates


class AdagradState(NamedTuple):
    """The sum of squared gradients since the start, like params."""

    total: optax.Updates


def scale_by_amsgrad(b1: float, b2: float, eps: float) -> optax.GradientTransformation:
    r"""AMSGrad as PyTorch has it: the maximum is taken over the *raw* second moment.

    .. math::
        m_t = b_1 m_{t-1} + (1 - b_1) g_t, \quad v_t = b_2 v_{t-1} + (1 - b_2) g_t^2, \quad
        \bar v_t = \max(\bar v_{t-1}, v_t)

        u_t = \frac{m_t / (1 - b_1^t)}{\sqrt{\bar v_t / (1 - b_2^t)} + \epsilon}

    Args:
      b1: Decay rate of the first moment, in [0, 1).
      b2: Decay rate of the second moment, in [0, 1).
      eps: Added outside the root.

    Returns:
      A transformation of gradients, any pytree of float arrays, into updates of the same shapes.

    Example:
      >>> rule = scale_by_amsgrad(b1=0.9, b2=0.99, eps=1e-8)
      >>> update, _ = rule.update(jnp.array(0.5), rule.init(jnp.array(1.0)))
      >>> print(round(float(update), 3))
      1.0

    Paper: supplement, Tables S2 and S4. optax takes the maximum of the *bias-corrected* second
    moment instead, which is up to 1 / (1 - b2) times larger in the first steps and is then
    remembered for ever.
    """

    def init(params: optax.Params) -> AmsgradState:
        # Three trees of zeros, not one: training donates its buffers, each of them once.
        mu, nu, nu_max = (optax.tree.zeros_like(params) for _ in range(3))
        return AmsgradState(steps=jnp.zeros([], jnp.int32), mu=mu, nu=nu, nu_max=nu_max)

    def update(
        gradients: optax.Updates, state: AmsgradState, params: optax.Params | None = None
    ) -> tuple[optax.Updates, AmsgradState]:
        del params
        steps = jnp.asarray(optax.safe_increment(state.steps))
        mu = optax.tree.update_moment(gradients, state.mu, b1, 1)
        nu = optax.tree.update_moment(gradients, state.nu, b2, 2)
        nu_max = jax.tree.map(jnp.maximum, state.nu_max, nu)
        mu_hat = optax.tree.bias_correction(mu, b1, steps)
        nu_hat = optax.tree.bias_correction(nu_max, b2, steps)
        updates = jax.tree.map(lambda m, v: m / (jnp.sqrt(v) + eps), mu_hat, nu_hat)
        return updates, AmsgradState(steps=steps, mu=mu, nu=nu, nu_max=nu_max)

    return optax.GradientTransformation(init, update)  # pyright: ignore[reportArgumentType]


def scale_by_adagrad(eps: float) -> optax.GradientTransformation:
    r"""Adagrad as PyTorch has it: the sum starts at 0 and epsilon is outside the root.

    .. math:: s_t = s_{t-1} + g_t^2, \quad u_t = g_t / (\sqrt{s_t} + \epsilon)

    Args:
      eps: Added outside the root, so that a gradient of exactly 0 gives an update of 0.

    Returns:
      A transformation of gradients, any pytree of float arrays, into updates of the same shapes.

    Example:
      >>> rule = scale_by_adagrad(eps=1e-10)
      >>> update, _ = rule.update(jnp.array(0.5), rule.init(jnp.array(1.0)))
      >>> print(round(float(update), 3))
      1.0

    Paper: Sec. 2.1 (learning rate 1e-2; the rest is PyTorch's default). optax starts the sum at
    0.1 and adds its epsilon inside the root, which freezes every parameter whose gradients are
    small: the very parameters the paper is about.
    """

    def init(params: optax.Params) -> AdagradState:
        return AdagradState(total=optax.tree.zeros_like(params))

    def update(
        gradients: optax.Updates, state: AdagradState, params: optax.Params | None = None
    ) -> tuple[optax.Updates, AdagradState]:
        del params
        total = jax.tree.map(lambda s, g: s + g * g, state.total, gradients)
        updates = jax.tree.map(lambda g, s: g / (jnp.sqrt(s) + eps), gradients, total)
        return updates, AdagradState(total=total)

    return optax.GradientTransformation(init, update)  # pyright: ignore[reportArgumentType]


def scale_gamma_and_beta(
    gamma_lr_scale: float | jax.Array, beta_lr_scale: float | jax.Array
) -> optax.GradientTransformation:
    r"""Multiply the updates of gamma and of beta; leave every other update as it is.

    .. math:: u_\gamma \to a\, u_\gamma, \quad u_\beta \to b\, u_\beta

    Args:
      gamma_lr_scale: The factor a; a number, may be traced.
      beta_lr_scale: The factor b; a number, may be traced.

    Returns:
      A transformation whose state holds no arrays. Parameters are grouped by :func:`norm_labels`;
      a tree without gamma and beta passes unchanged.

    Example:
      >>> rates = scale_gamma_and_beta(0.1, 1.0)
      >>> tree = {"norm": {"scale": 2.0, "bias": 2.0}, "dense": {"bias": 2.0}}
      >>> rates.update(tree, rates.init(tree))[0]
      {'dense': {'bias': 2.0}, 'norm': {'bias': 2.0, 'scale': 0.2}}

    Paper: supplement, Sec. 3 and Table S3.
    """
    rates: dict[Hashable, optax.GradientTransformation] = {
        "gamma": _times(gamma_lr_scale),
        "beta": _times(beta_lr_scale),
        "other": optax.identity(),
    }
    return optax.partition(rates, norm_labels)


def _times(rate: float | jax.Array) -> optax.GradientTransformation:
    # Not optax.scale, which has the factors in the other order: XLA may fuse that to other bits.
    return optax.stateless_with_tree_map(lambda update, _: update * rate)


def add_sign_of_gamma(strength: float | jax.Array) -> optax.GradientTransformation:
    r"""Add the subgradient of an L1 penalty to the gradients of gamma; leave the others untouched.

    .. math:: g_\gamma \leftarrow g_\gamma + s \operatorname{sign}(\gamma)

    Standing before the rule, the penalty passes through it as L2 does. The authors of Network
    Slimming penalise the norms of convolutions alone; here those of hidden dense layers are
    penalised as well (their VGG-19 has none).

    Args:
      strength: The strength s, 0 or more; may be traced.

    Returns:
      A transformation whose state holds no arrays; its update needs the parameters.

    Example:
      >>> penalty = add_sign_of_gamma(0.5)
      >>> params = {"scale": jnp.array([2.0, -3.0, 0.0]), "bias": jnp.ones(3)}
      >>> gradients = {"scale": jnp.zeros(3), "bias": jnp.zeros(3)}
      >>> penalty.update(gradients, penalty.init(params), params)[0]["scale"].tolist()
      [0.5, -0.5, 0.0]

    Reference: Liu et al., "Learning Efficient Convolutional Networks through Network Slimming",
    2017, which the paper compares with in Sec. 5.
    """

    def add(gradients: optax.Updates, params: optax.Params | None) -> optax.Updates:
        return jax.tree.map(lambda g, gamma: g + strength * jnp.sign(gamma), gradients, params)

    def is_gamma(tree: Any) -> Any:
        return jax.tree.map(lambda label: label == "gamma", norm_labels(tree))

    return optax.masked(optax.stateless(add), is_gamma)


def norm_labels(tree: Any) -> Any:
    """Label every leaf of a tree ``gamma``, ``beta`` or ``other``, for :func:`optax.partition`.

    Gamma is a leaf named ``scale``; beta is a leaf named ``bias`` that has a ``scale`` beside it.
    So the bias of a dense layer is not a beta.

    Args:
      tree: Parameters, or anything of their structure; names are keys or attributes.

    Returns:
      A tree of that structure with a string at every leaf.

    Example:
      >>> norm_labels({"norm": {"scale": 1.0, "bias": 0.0}, "dense": {"bias": 0.0}})
      {'dense': {'bias': 'other'}, 'norm': {'bias': 'beta', 'scale': 'gamma'}}
    """
    paths = [path for path, _ in jax.tree_util.tree_leaves_with_path(tree)]
    norms = {path[:-1] for path in paths if _leaf_name(path) == "scale"}

    def label(path: tuple[Any, ...], _: Any) -> str:
        if _leaf_name(path) == "scale":
            return "gamma"
        return "beta" if _leaf_name(path) == "bias" and path[:-1] in norms else "other"

    return jax.tree_util.tree_map_with_path(label, tree)


def _leaf_name(path: tuple[Any, ...]) -> str:
    """The last part of a path: a dictionary's key or an object's attribute."""
    return str(getattr(path[-1], "key", getattr(path[-1], "name", ""))) if path else ""
