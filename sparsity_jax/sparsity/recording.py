"""Activations of the filters of a running model, recorded without touching its code."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Collection, Iterator
from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn
from flax import nnx
from flax.core.tracers import current_trace
from jax import lax

from sparsity_jax.errors import UserError
from sparsity_jax.sparsity.evaluation import evaluation, run_in_evaluation_mode
from sparsity_jax.sparsity.layers import conv_norms
from sparsity_jax.sparsity.norm_outputs import norm_outputs

_AT_ONCE = {"cpu": 40}  # images

Activation = Callable[[jax.Array], jax.Array]
Recorded = list[tuple[str, jax.Array]]  # (layer path, BatchNorm output with channels last)


def pooled_activations(
    apply_fn: Any, variables: Any, images: jax.Array, *, activation: Activation = jax.nn.relu
) -> dict[str, jax.Array]:
    """Maximum of each filter's absolute activation over its plane, for each image.

    pooled[n, c] = max over h, w of |activation(norm(x))[n, h, w, c]|     (Sec. 2.1)

    A norm called more than once (shared layers) gives the maximum over its calls. Pure: may be used
    under jit and vmap. Linen's and NNX's BatchNorms report what they return; norms of other
    classes, norms inside `nn.remat`, and those of a function that merges an NNX state are found by
    what is computed with their arrays.

    Args:
      apply_fn: (variables, images) -> anything, running a model in evaluation mode; or an NNX
        module, which is then run in evaluation mode with the state `variables`.
      variables: as for `gamma_sparsity`.
      images: normalised floats (N, H, W, C).
      activation: what follows the norm; the plain ReLU, or a leaky one for leaky networks.

    Returns:
      Layer path -> (N, filters). Norms of dense layers, and norms not called, are left out.

    Raises:
      UserError: no norm of a convolution was seen, or one holds several layers (scan or vmap).

    Example:
      >>> pooled = jax.jit(functools.partial(pooled_activations, apply_fn))
      >>> pooled(variables, images)['C1/norm'].shape
      (4, 16)
    """
    wanted = conv_norms(variables)
    for path, norm in wanted.items():
        if jnp.ndim(norm["mean"]) > 1:
            raise UserError(
                f"the arrays of {path} hold several layers (scan or vmap), which cannot be told "
                "apart while they run; give the same layers one by one"
            )
    pooled = _pooled(_reported(apply_fn, variables, images), wanted, images, activation)
    if missing := wanted.keys() - pooled.keys():
        found = [
            (path, jnp.moveaxis(output, axis, -1))
            for path, output, axis in norm_outputs(evaluation(apply_fn), variables, images)
        ]
        pooled |= _pooled(found, missing, images, activation)
    if not pooled:
        raise UserError(
            "apply_fn ran no BatchNorm of these variables where it can be seen: give a function "
            "(variables, images) that runs the model on them, with no loop (scan) around its layers"
        )
    return pooled


def _pooled(
    recorded: Recorded, wanted: Collection[str], images: jax.Array, activation: Activation
) -> dict[str, jax.Array]:
    pooled: dict[str, jax.Array] = {}
    for path, output in recorded:
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
    return pooled


def pooled_in_parts(
    apply_fn: Any,
    activation: Activation,
    preprocess: Callable[[jax.Array], jax.Array] | None,
    variables: Any,
    images: jax.Array,
) -> dict[str, jax.Array]:
    """`pooled_activations` of stored images; on a CPU in one compiled loop over parts of 40.

    A CPU maps every large buffer anew, which costs more than the arithmetic; those of a loop are
    mapped once. Other devices see all images at once.

    Args:
      apply_fn: as for `pooled_activations`.
      activation: as for `pooled_activations`.
      preprocess: images as stored -> normalised floats; None: they are.
      variables: as for `pooled_activations`.
      images: (N, ...).

    Returns:
      Layer path -> (N, filters).
    """

    def pooled(part: jax.Array) -> dict[str, jax.Array]:
        part = part if preprocess is None else preprocess(part)
        return pooled_activations(apply_fn, variables, part, activation=activation)

    count, size = len(images), _AT_ONCE.get(jax.default_backend(), len(images))
    if count <= size:
        return pooled(images)
    parts = -(-count // size)
    padded = jnp.pad(images, [(0, parts * size - count), *[(0, 0)] * (images.ndim - 1)])
    found = lax.map(pooled, padded.reshape(parts, size, *images.shape[1:]))
    return {path: values.reshape(parts * size, -1)[:count] for path, values in found.items()}


def _reported(apply_fn: Any, variables: Any, images: jax.Array) -> Recorded:
    """Outputs that Linen's and NNX's own BatchNorms report, without those in transformations."""
    recorded = _Recorder()
    # Inlined, a jitted apply_fn shows its layers: a cached one would not run Python at all.
    with jax.disable_jit():
        if isinstance(apply_fn, nnx.Module):
            _run_nnx(apply_fn, variables, images, recorded)
        else:
            with _linen_recorder(recorded):
                apply_fn(variables, images)
    return [entry for entry in recorded.found if entry[0] not in recorded.hidden]


class _Recorder:
    """Outputs as they come; one of an inner trace, such as nn.remat's, cannot be used outside."""

    def __init__(self) -> None:
        self.found: Recorded = []
        self.hidden: set[str] = set()
        self._trace = current_trace()

    def add(self, path: str, output: jax.Array, axis: Any) -> None:
        if current_trace() == self._trace:
            self.found.append((path, _channels_last(output, axis)))
        else:
            self.hidden.add(path)


@contextlib.contextmanager
def _linen_recorder(recorded: _Recorder) -> Iterator[None]:
    def record(next_fun: Any, args: Any, kwargs: Any, context: nn.module.InterceptorContext) -> Any:
        output, module = next_fun(*args, **kwargs), context.module
        if isinstance(module, nn.BatchNorm) and context.method_name == "__call__":
            recorded.add("/".join(module.path), output, module.axis)
        return output

    with nn.intercept_methods(record):
        yield


def _run_nnx(model: nnx.Module, state: Any, images: jax.Array, recorded: _Recorder) -> None:
    """Run a private copy of an NNX model whose BatchNorms report what they return."""
    copy = nnx.merge(nnx.graphdef(model), state)
    for path, module in nnx.iter_graph(copy):
        if isinstance(module, nnx.BatchNorm):
            name = "/".join(map(str, path))
            object.__setattr__(module, "__class__", _reporting(type(module), name, recorded))
    run_in_evaluation_mode(copy, images)


def _reporting(norm: type[nnx.BatchNorm], name: str, recorded: _Recorder) -> type[nnx.BatchNorm]:
    @functools.wraps(norm.__call__)
    def call(self: Any, *args: Any, **kwargs: Any) -> Any:
        output = norm.__call__(self, *args, **kwargs)
        recorded.add(name, output, self.axis)
        return output

    return type(norm.__name__, (norm,), {"__call__": call})


def _channels_last(output: jax.Array, axis: Any) -> jax.Array:
    if not isinstance(axis, int):
        raise UserError(f"a BatchNorm over axes {axis} has no single filter axis; valid is one")
    return jnp.moveaxis(output, axis, -1)
