"""Activations of the filters of a running model, recorded without touching its code."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Iterator
from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn
from flax import nnx

from sparsity_jax.errors import UserError
from sparsity_jax.sparsity.layers import conv_norms

Activation = Callable[[jax.Array], jax.Array]
Recorded = list[tuple[str, jax.Array]]  # (layer path, BatchNorm output with channels last)


def pooled_activations(
    apply_fn: Any, variables: Any, images: jax.Array, *, activation: Activation = jax.nn.relu
) -> dict[str, jax.Array]:
    """Maximum of each filter's absolute activation over its plane, for each image.

    pooled[n, c] = max over h, w of |activation(norm(x))[n, h, w, c]|     (Sec. 2.1)

    A norm called more than once (shared layers) gives the maximum over its calls. Pure: may be used
    under jit and vmap. Jitted functions inside `apply_fn` are inlined to be seen; layers inside
    `nn.remat` cannot be (build the model without it, the variables stay the same).

    Args:
      apply_fn: (variables, images) -> anything, running a Linen module in evaluation mode; or an
        NNX module, which is then run in evaluation mode with the state `variables`.
      variables: as for `gamma_sparsity`.
      images: normalised floats (N, H, W, C).
      activation: what follows the norm; the plain ReLU, or a leaky one for leaky networks.

    Returns:
      Layer path -> (N, filters). Norms of dense layers, and norms not called, are left out.

    Raises:
      UserError: no norm of a convolution was seen.

    Example:
      >>> pooled = jax.jit(functools.partial(pooled_activations, apply_fn))
      >>> pooled(variables, images)['C1/norm'].shape
      (4, 16)
    """
    wanted = conv_norms(variables)
    pooled: dict[str, jax.Array] = {}
    for path, output in _norm_outputs(apply_fn, variables, images):
        if path not in wanted:
            continue
        if output.shape[0] != images.shape[0]:
            raise UserError(
                f"layer {path} sees {output.shape[0]} planes for {images.shape[0]} images; models "
                "that regroup the batch axis cannot be recorded"
            )
        maps = jnp.abs(activation(output))
        peak = maps.max(axis=tuple(range(1, maps.ndim - 1)))
        pooled[path] = jnp.maximum(pooled[path], peak) if path in pooled else peak
    if not pooled:
        raise UserError(
            "apply_fn ran no Linen BatchNorm of these variables: give a function (variables, "
            "images) that calls model.apply(variables, images), not one of stored results"
        )
    return pooled


def _norm_outputs(apply_fn: Any, variables: Any, images: jax.Array) -> Recorded:
    recorded: Recorded = []
    # Inlined, a jitted apply_fn shows its layers: a cached one would not run Python at all.
    with jax.disable_jit():
        if isinstance(apply_fn, nnx.Module):
            _run_nnx(apply_fn, variables, images, recorded)
        else:
            with _linen_recorder(recorded):
                apply_fn(variables, images)
    return recorded


@contextlib.contextmanager
def _linen_recorder(recorded: Recorded) -> Iterator[None]:
    def record(next_fun: Any, args: Any, kwargs: Any, context: nn.module.InterceptorContext) -> Any:
        output, module = next_fun(*args, **kwargs), context.module
        if isinstance(module, nn.BatchNorm) and context.method_name == "__call__":
            recorded.append(("/".join(module.path), _channels_last(output, module.axis)))
        return output

    with nn.intercept_methods(record):
        yield


def _run_nnx(model: nnx.Module, state: Any, images: jax.Array, recorded: Recorded) -> None:
    """Run a private copy of an NNX model whose BatchNorms report what they return."""
    copy = nnx.merge(nnx.graphdef(model), state)
    for path, module in nnx.iter_graph(copy):
        if isinstance(module, nnx.BatchNorm):
            name = "/".join(map(str, path))
            object.__setattr__(module, "__class__", _reporting(type(module), name, recorded))
    copy.eval()
    copy(images)  # pyright: ignore[reportCallIssue]


def _reporting(norm: type[nnx.BatchNorm], name: str, recorded: Recorded) -> type[nnx.BatchNorm]:
    @functools.wraps(norm.__call__)
    def call(self: Any, *args: Any, **kwargs: Any) -> Any:
        output = norm.__call__(self, *args, **kwargs)
        recorded.append((name, _channels_last(output, self.axis)))
        return output

    return type(norm.__name__, (norm,), {"__call__": call})


def _channels_last(output: jax.Array, axis: Any) -> jax.Array:
    if not isinstance(axis, int):
        raise UserError(f"a BatchNorm over axes {axis} has no single filter axis; valid is one")
    return jnp.moveaxis(output, axis, -1)
