"""Wiring of the BatchNorms of any Linen model: what feeds them and what they feed."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn
from flax.traverse_util import flatten_dict, unflatten_dict

from sparsity_jax.errors import UserError

ApplyFn = Callable[[Any, Any], Any]


@dataclasses.dataclass(frozen=True)
class Wiring:
    """Neighbours of one norm.

    Attributes:
      producer: path of the convolution whose output the norm receives.
      consumers: paths of the convolutions and dense layers that the norm's filters feed.
      reason: why the filters cannot be removed; empty if they can.
    """

    producer: str = ""
    consumers: tuple[str, ...] = ()
    reason: str = ""


class _Calls(NamedTuple):
    """Record of one run: inputs of every convolution and dense layer, and the output."""

    inputs: dict[str, list[Any]]
    output: Any


class Topology:
    """Wiring of the BatchNorms of one model, found by running it.

    Nothing is read from the model's code. Runs show what a norm's filters feed: with the filters
    set to one (gamma 0, beta 1), with them at zero (gamma = beta = 0), and both again with their
    consumers blind to them. A layer is a consumer if filters at zero arrive as exact zeros, those
    set to one do not, and nothing else it receives changes. If anything still changes once the
    consumers are blind, the filters have another way through, such as a residual sum: they must
    stay.

    Example:
      >>> topology = Topology(apply_fn, variables, images)  # doctest: +SKIP
      >>> topology.wiring('Block_0/BatchNorm_0', dropped).consumers  # doctest: +SKIP
      ('Block_0/Conv_1',)
    """

    def __init__(self, apply_fn: ApplyFn, variables: Mapping[str, Any], images: Any) -> None:
        self._flat: dict[str, Any] = flatten_dict(dict(variables), sep="/")
        self._producers: dict[str, str] = {}
        self._grouped: set[str] = set()
        self._order: list[str] = []

        def run(flat: dict[str, Any]) -> _Calls:
            return self._traced(apply_fn, unflatten_dict(flat, sep="/"), jnp.asarray(images))

        self._run = jax.jit(run)
        self._run(self._flat)  # notes producers and grouped convolutions while it is traced

    def wiring(self, norm: str, dropped: np.ndarray) -> Wiring:
        """Find the neighbours of a norm some of whose filters shall go.

        Args:
          norm: path of the norm.
          dropped: boolean array (filters,), True = to be removed.

        Returns:
          The wiring, or the reason why these filters must stay.
        """
        producer = self._producers.get(norm, "")
        if not producer or f"params/{producer}/kernel" not in self._flat:
            return Wiring(reason="no plain convolution stands directly before it")
        if producer in self._grouped:
            return Wiring(reason=f"its convolution {producer} is grouped")
        ones, zeros = self._pair(norm, dropped, blind=())
        consumers = tuple(path for path in ones.inputs if _consumes(path, ones, zeros, dropped))
        blocked = [path for path in consumers if path in self._grouped]
        if blocked:
            return Wiring(reason=f"it feeds the grouped convolution {blocked[0]}")
        if leak := _difference(*self._pair(norm, dropped, blind=consumers), consumers):
            return Wiring(reason=f"its filters reach {leak} through a sum or another joint layer")
        if not consumers:
            return Wiring(reason="no convolution or dense layer receives its filters")
        return Wiring(producer, consumers)

    def _pair(
        self, norm: str, dropped: np.ndarray, *, blind: tuple[str, ...]
    ) -> tuple[_Calls, _Calls]:
        flat = dict(self._flat)
        for path in blind:
            kernel = np.array(flat[f"params/{path}/kernel"])
            kernel[..., tiled(dropped, kernel.shape[-2]), :] = 0
            flat[f"params/{path}/kernel"] = kernel
        scale = np.where(dropped, 0, flat[f"params/{norm}/scale"])
        bias = flat[f"params/{norm}/bias"]
        runs = [
            {
                **flat,
                f"params/{norm}/scale": scale.astype(np.float32),
                f"params/{norm}/bias": np.where(dropped, beta, bias).astype(np.float32),
            }
            for beta in (1, 0)
        ]
        ones, zeros = (self._run_in_order(run) for run in runs)
        return ones, zeros

    def _run_in_order(self, flat: dict[str, Any]) -> _Calls:
        inputs, output = jax.device_get(self._run(flat))
        return _Calls({path: inputs[path] for path in self._order}, output)  # jit sorts dicts

    def _traced(self, apply_fn: ApplyFn, variables: Any, images: jax.Array) -> _Calls:
        inputs: dict[str, list[Any]] = {}
        outputs: list[tuple[jax.Array, str]] = []

        def record(next_fun: Any, args: Any, kwargs: Any, context: Any) -> Any:
            result, module = next_fun(*args, **kwargs), context.module
            path = "/".join(module.path)
            if context.method_name == "__call__" and isinstance(module, nn.Conv | nn.Dense):
                inputs.setdefault(path, []).append(args[0])
                if isinstance(module, nn.Conv):
                    outputs.append((result, path))
                    if module.feature_group_count != 1:
                        self._grouped.add(path)
            elif context.method_name == "__call__" and isinstance(module, nn.BatchNorm):
                # While tracing, the very array that a convolution returned arrives at its norm.
                found = [conv for out, conv in outputs if out is args[0]]
                self._producers[path] = found[0] if found else ""
            return result

        with jax.disable_jit(), nn.intercept_methods(record):
            output = apply_fn(variables, images)
        if not inputs:
            raise UserError(
                "apply_fn ran no Linen Conv or Dense layer: give a function (variables, images) "
                "that calls model.apply"
            )
        self._order = list(inputs)
        return _Calls(inputs, output)


def tiled(mask: np.ndarray, inputs: int) -> np.ndarray:
    """Repeat a mask of filters for each place of a flattened map, as a layer receives them.

    Args:
      mask: boolean (filters,).
      inputs: number of the layer's inputs.

    Returns:
      Boolean (inputs,); all False if the sizes do not fit.

    Example:
      >>> tiled(np.array([True, False]), 4).tolist()
      [True, False, True, False]
    """
    return np.tile(mask, inputs // mask.size) if inputs % mask.size == 0 else np.zeros(inputs, bool)


def _consumes(path: str, ones: _Calls, zeros: _Calls, dropped: np.ndarray) -> bool:
    calls = list(zip(ones.inputs[path], zeros.inputs[path], strict=True))
    return all(_carries(a, b, dropped) for a, b in calls)


def _carries(ones: np.ndarray, zeros: np.ndarray, dropped: np.ndarray) -> bool:
    """Whether an input is the norm's filters and nothing but them at the dropped places."""
    mask = tiled(dropped, ones.shape[-1])
    if not mask.any():
        return False
    rest = np.array_equal(ones[..., ~mask], zeros[..., ~mask])
    return rest and not zeros[..., mask].any() and bool((ones[..., mask] != 0).all())


def _difference(ones: _Calls, zeros: _Calls, consumers: tuple[str, ...]) -> str:
    """The first thing, beside blind consumers, that differs between the two runs, or ''."""
    for path, calls in ones.inputs.items():
        same = map(np.array_equal, calls, zeros.inputs[path])
        if path not in consumers and not all(same):
            return path
    pairs = zip(jax.tree.leaves(ones.output), jax.tree.leaves(zeros.output), strict=True)
    return "" if all(np.array_equal(a, b) for a, b in pairs) else "the model's output"
