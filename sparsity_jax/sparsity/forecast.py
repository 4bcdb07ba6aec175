"""Forecast of the step at which a filter without gradient becomes inactive."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

NEVER = -1
"""Forecast of a filter that does not cross the threshold within ``max_steps``."""


class _Walk(NamedTuple):
    """Unfinished forecast: gamma, slots, first crossings so far, and steps done."""

    gamma: jax.Array
    state: optax.OptState
    crossed: jax.Array
    steps: jax.Array


def steady_state(
    optimizer: optax.GradientTransformation, gamma: jax.Array, *, steps: int = 1000
) -> optax.OptState:
    r"""Slots of the optimizer after a long time at this gamma without a main gradient.

    Gamma is held while the rule sees what the regularizer feeds it: :math:`\lambda \gamma` under
    L2, nothing otherwise. SGD's buffer tends to :math:`\lambda \gamma / (1 - \mu)`, Adam's
    moments to :math:`\lambda \gamma` and its square.

    Args:
      optimizer: Rule and regularizer, *without* a schedule: settling would use up its drops.
      gamma: Current scales, float, any shape.
      steps: For how long; 1000 is ten times the longest memory of an averaging rule (0.99).

    Returns:
      A state for ``optimizer.update``.

    Example:
      >>> state = steady_state(optax.trace(decay=0.5), jnp.array([1.0]), steps=3)
      >>> state.trace.tolist()
      [0.0]

    Where it is an assumption: Adagrad never forgets, so its sum here is that of ``steps`` quiet
    steps and lacks the history of training; Adamax and AMSGrad forget a large past gradient
    slowly or never. For these three the forecast is the earliest time possible; hand
    :func:`steps_to_inactive` the slots of the run (:func:`slots_of`) for the true one.
    """
    quiet = jnp.zeros_like(gamma)

    def hold(_: jax.Array, state: optax.OptState) -> optax.OptState:
        return optimizer.update(quiet, state, gamma)[1]

    return jax.lax.fori_loop(0, steps, hold, optimizer.init(gamma))


def slots_of(
    state: optax.OptState, params: optax.Params, pick: Callable[[Any], jax.Array]
) -> optax.OptState:
    """Take the slots of one parameter out of the state of a whole network.

    Args:
      state: The optimizer's state in a run; its slots have the structure of ``params``.
      params: The network's parameters, or anything of their structure: a container, not a leaf.
      pick: Picks the parameter out of a tree like ``params``.

    Returns:
      The state with every slot narrowed to that parameter; counters stay as they are.

    Example:
      >>> params = {"scale": jnp.ones(2), "bias": jnp.zeros(3)}
      >>> state = optax.trace(decay=0.9).init(params)
      >>> slots_of(state, params, lambda tree: tree["scale"]).trace.shape
      (2,)
    """
    structure = jax.tree.structure(params)

    def is_slot(node: Any) -> bool:
        return jax.tree.structure(node) == structure

    return jax.tree.map(lambda node: pick(node) if is_slot(node) else node, state, is_leaf=is_slot)


def steps_to_inactive(
    optimizer: optax.GradientTransformation,
    gamma: jax.Array,
    *,
    threshold: float = 1e-3,
    max_steps: int = 100_000,
    state: optax.OptState | None = None,
) -> jax.Array:
    r"""Forecast when :math:`|\gamma|` first falls below the threshold if gradients stay zero.

    .. math:: n = \min\{t : |\gamma_t| < \tau\}, \quad \gamma_{t+1} = \gamma_t + U(0, \gamma_t)

    It runs the real optimizer, so it holds for every rule and regularizer.

    Args:
      optimizer: Rule and regularizer as in training. Gamma stands alone here, so multiply the
        learning rate by ``gamma_lr_scale`` yourself.
      gamma: Current scales, float, any shape, for instance (filters,).
      threshold: The scale below which a filter is inactive.
      max_steps: Where to give up.
      state: The optimizer's state for these gammas, from the run; by default :func:`steady_state`.

    Returns:
      Steps, int32 with gamma's shape: 0 for a filter already inactive, ``NEVER`` for one still
      active after ``max_steps``. May be jitted, and mapped over traced strengths.

    Example:
      >>> halve = optax.add_decayed_weights(-0.5)
      >>> steps_to_inactive(halve, jnp.array([4.0, 0.1]), threshold=1.0).tolist()
      [3, 0]

    Paper: Sec. 3, "Interaction of L2 Regularizer with Adam"; the threshold is Sec. 2's. A filter
    may come back later (Adam + L2 swings by about its learning rate around zero); this is the
    first crossing.
    """
    quiet = jnp.zeros_like(gamma)

    def note(crossed: jax.Array, gamma: jax.Array, steps: jax.Array) -> jax.Array:
        return jnp.where((crossed == NEVER) & (jnp.abs(gamma) < threshold), steps, crossed)

    def under_way(walk: _Walk) -> jax.Array:
        return jnp.any(walk.crossed == NEVER) & (walk.steps < max_steps)

    def advance(walk: _Walk) -> _Walk:
        update, state = optimizer.update(quiet, walk.state, walk.gamma)
        gamma, steps = walk.gamma + jnp.asarray(update), walk.steps + 1
        return _Walk(gamma, state, note(walk.crossed, gamma, steps), steps)

    none, start = jnp.full(gamma.shape, NEVER, jnp.int32), jnp.zeros([], jnp.int32)
    first = steady_state(optimizer, gamma) if state is None else state
    walk = _Walk(gamma, first, note(none, gamma, start), start)
    return jax.lax.while_loop(under_way, advance, walk).crossed
