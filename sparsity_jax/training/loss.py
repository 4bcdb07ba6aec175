"""Loss of a network on images."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import optax


def cross_entropy(logits: jax.Array, labels: jax.Array) -> jax.Array:
    """-log softmax(logits)[label] = log sum_k exp(logits[k]) - logits[label], in nats.

    Off the CPU the label's logit is found by a mask: the gradient of optax's index is a scatter,
    whose additions a GPU repeats in the same order only slowly (jax-ml/jax #17844), and once did
    wrongly (#27796). CPUs keep optax's form, and with it the bits of every published result.

    Args:
      logits: (images, classes).
      labels: integers (images,), from 0 to classes - 1.

    Returns:
      One loss for each image (images,).

    Example:
      >>> cross_entropy(jnp.zeros((1, 10)), jnp.array([3]))
      Array([2.3025851], dtype=float32)
    """
    if jax.default_backend() == "cpu":
        return optax.softmax_cross_entropy_with_integer_labels(logits, labels)
    chosen = labels[:, None] == jnp.arange(logits.shape[-1])
    return jax.nn.logsumexp(logits, -1) - jnp.where(chosen, logits, 0).sum(-1)
