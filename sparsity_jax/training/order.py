"""In which order does an epoch see the training images?"""

from __future__ import annotations

import functools

import jax

from sparsity_jax.training.state import Hypers, random_key


@functools.partial(jax.jit, static_argnames="size")
def epoch_order(hypers: Hypers, epoch: int | jax.Array, *, size: int) -> jax.Array:
    """The order (size,) in which an epoch sees the training images: a function of seed, epoch."""
    key = jax.random.fold_in(random_key(hypers, "order"), epoch)
    return jax.random.permutation(key, size)
