"""A scalar under a regularizer and next to no gradient from the main objective (Figs. 4 and S3)."""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
import optax

# (steps, standard deviation): a filter at work, then a filter that has become selective. The text
# of the paper gives no numbers; see fading_gradients for what they must satisfy.
PHASES: tuple[tuple[int, float], ...] = ((100, 1e-3), (2900, 1e-5))


def fading_gradients(
    key: jax.Array, *, scalars: int, phases: Sequence[tuple[int, float]] = PHASES
) -> jax.Array:
    r"""Zero-mean normal gradients whose standard deviation falls from phase to phase.

    .. math:: g_t \sim \mathcal{N}(0, \sigma_p^2) \text{ for } t \text{ in phase } p

    Args:
      key: A random key of JAX.
      scalars: How many independent scalars to draw for.
      phases: ``((steps, sigma), ...)``; sigma in units of the gradient.

    Returns:
      Gradients, float (total steps, scalars).

    Example:
      >>> fading_gradients(jax.random.key(0), scalars=2, phases=((3, 1.0), (5, 0.0))).shape
      (8, 2)

    Paper: Fig. 4 and S3; sigmas, steps and start are not in its text. What matters is sigma beside
    two other numbers. Where :math:`\sigma \ll \lambda \theta` the regularizer dominates
    and Adam + L2 moves by the learning rate :math:`\eta` each step, whatever the strength. Where
    :math:`\sigma \gg \lambda \theta` it decays theta by :math:`\eta \lambda / \sigma` a step,
    against :math:`\lambda` for weight decay: faster only if :math:`\sigma < \eta`. And Adam forgets
    a first phase of large gradients slowly: its second moment falls by a factor of 0.99 a step.
    """
    sigma = jnp.concatenate([jnp.full((steps, 1), sigma) for steps, sigma in phases])
    return sigma * jax.random.normal(key, (sigma.shape[0], scalars))


def simulate(
    optimizer: optax.GradientTransformation, start: jax.Array, gradients: jax.Array
) -> jax.Array:
    r"""Follow scalars under given main gradients; the optimizer adds its regularizer.

    .. math:: \theta_{t+1} = \theta_t + U(g_t, \theta_t)

    Args:
      optimizer: What makes an update of a gradient, rule and regularizer together.
      start: The scalars before the first step, float (scalars,).
      gradients: Gradients of the main objective alone, float (steps, scalars).

    Returns:
      The scalars over time, float (steps + 1, scalars), the start first. Scalars do not see each
      other. Pure: map it over traced strengths with ``jax.vmap``.

    Example:
      >>> halve = optax.add_decayed_weights(-0.5)
      >>> simulate(halve, jnp.array([8.0]), jnp.zeros((3, 1)))[:, 0].tolist()
      [8.0, 4.0, 2.0, 1.0]

    Paper: Fig. 4 and S3.
    """

    def step(
        carry: tuple[jax.Array, optax.OptState], gradient: jax.Array
    ) -> tuple[tuple[jax.Array, optax.OptState], jax.Array]:
        theta, state = carry
        update, state = optimizer.update(gradient, state, theta)
        theta = theta + jnp.asarray(update)
        return (theta, state), theta

    _, path = jax.lax.scan(step, (start, optimizer.init(start)), gradients)
    return jnp.concatenate([start[None], path])
