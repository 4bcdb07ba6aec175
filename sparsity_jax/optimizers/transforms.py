"""Which update rules does PyTorch define differently from optax?

Two: AMSGrad and Adagrad. The other five are optax's own, with the constants of
``hyperparameters.py``. Both rules here return the direction to *subtract*; the learning rate and
the sign come after, in ``chain.py``.
"""

from typing import NamedTuple

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
