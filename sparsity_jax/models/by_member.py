"""Convolution whose members, batched by `vmap`, are convolved one by one.

Batching turns a convolution with a kernel for each member into a grouped one, and its kernel
gradient into a grouped convolution whose "filter" is as large as the map: the shapes that cuDNN is
slowest at. Here every member keeps the three plain convolutions (forward, gradient of the input,
gradient of the kernel), while everything around them is batched.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax.custom_batching import custom_vmap

from sparsity_jax.models.convolution import conv

_Conv = Callable[[jax.Array, jax.Array], jax.Array]


def one_by_one(
    x: jax.Array, kernel: jax.Array, *, stride: int = 1, method: str | None = None
) -> jax.Array:
    """Convolve as `convolution.conv` does; under `vmap`, each member by itself.

    Gradients are first-order reverse mode only.

    Args:
      x: activations (N, H, W, C).
      kernel: weights (k, k, C, O).
      stride: in both directions.
      method: as in `conv`.

    Returns:
      Activations (N, ceil(H / stride), ceil(W / stride), O).

    Example:
      >>> kernels = jnp.ones((5, 3, 3, 3, 8))  # of five members that see the same images
      >>> jax.vmap(one_by_one, in_axes=(None, 0))(jnp.ones((2, 4, 4, 3)), kernels).shape
      (5, 2, 4, 4, 8)
    """
    return _one_by_one(stride, method)(x, kernel)


@functools.cache
def _one_by_one(stride: int, method: str | None) -> _Conv:
    """The function for a stride and a method; one object, so that traces are shared."""
    own: _Conv = functools.partial(conv, stride=stride, method=method)
    forward = _in_turn(own)
    gradients = _in_turn(lambda x, kernel, dy: jax.vjp(own, x, kernel)[1](dy))
    convolve = jax.custom_vjp(lambda x, kernel: forward(x, kernel))
    convolve.defvjp(
        lambda x, kernel: (forward(x, kernel), (x, kernel)),
        lambda saved, dy: gradients(*saved, dy),
    )
    return convolve


def _in_turn(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function, whose batched form is itself for one member after the other."""
    batched = custom_vmap(function)

    @batched.def_vmap
    def rule(members: int, is_batched: Sequence[bool], *arguments: jax.Array) -> tuple[Any, Any]:
        results = [
            function(*(a[i] if own else a for a, own in zip(arguments, is_batched, strict=True)))
            for i in range(members)
        ]
        stacked = jax.tree.map(lambda *leaves: jnp.stack(leaves), *results)
        return stacked, jax.tree.map(lambda _: True, stacked)

    return batched
