"""A network run with fewer filters than its code says."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn
from jax.extend import core

from sparsity_jax.pruning.arrays import Cuts
from sparsity_jax.pruning.links import links
from sparsity_jax.pruning.operations import is_depthwise, shape
from sparsity_jax.pruning.places import Line, find_places
from sparsity_jax.sparsity.evaluation import ApplyFn
from sparsity_jax.sparsity.norm_arrays import array_names
from sparsity_jax.sparsity.program import evaluate, plain, trace


def narrow(apply_fn: ApplyFn, widths: Mapping[str, int]) -> ApplyFn:
    """Run a Linen model with other numbers of filters, without touching its code.

    Args:
      apply_fn: (variables, images) -> output, running a Linen module.
      widths: path of a layer with `features` -> its filters; norms and later layers follow their
        inputs. A depthwise convolution gets as many groups as channels.

    Example:
      >>> model = nn.Conv(8, (3, 3))
      >>> five = narrow(lambda variables, images: model.apply(variables, images), {'': 5})
      >>> kernel = {'params': {'kernel': jnp.ones((3, 3, 3, 5)), 'bias': jnp.zeros(5)}}
      >>> five(kernel, images).shape
      (4, 8, 8, 5)
    """
    if isinstance(apply_fn, _Narrowed):
        return _Narrowed(apply_fn.apply_fn, {**apply_fn.widths, **widths})
    return _Narrowed(apply_fn, widths)


@dataclasses.dataclass(frozen=True, eq=False)
class _Narrowed:
    """A function that is run with other numbers of filters; narrowed again, the newer count."""

    apply_fn: ApplyFn
    widths: Mapping[str, int]

    def __call__(self, variables: Any, images: Any) -> Any:
        with nn.intercept_methods(self._resize):
            return self.apply_fn(variables, images)

    def _resize(self, next_fun: Any, args: Any, kwargs: Any, context: Any) -> Any:
        module = context.module
        width = self.widths.get("/".join(module.path))
        if width is not None and context.method_name == "__call__":
            groups = getattr(module, "feature_group_count", 1)
            # Modules are frozen; this one lives for this call only.
            if groups > 1 and groups == args[0].shape[-1] * module.features // width:
                object.__setattr__(module, "feature_group_count", args[0].shape[-1])
            object.__setattr__(module, "features", width)
        return next_fun(*args, **kwargs)


def cut_program(apply_fn: ApplyFn, cuts: Cuts) -> ApplyFn:
    """Run any model's operations on smaller arrays.

    The function is traced with the shapes that its code expects, then each operation is run on what
    is left of its operands. Works for every module system, for code that names its widths, and for
    operations such as means over channels, which keep their divisor.

    Args:
      apply_fn: (variables, images) -> output.
      cuts: array name -> axis -> what stays (bool).

    Example:
      >>> cut = cut_program(lambda v, x: x @ v['w'], {'w': {1: np.array([True, False])}})
      >>> cut({'w': np.ones((3, 1))}, np.ones((1, 3))).shape
      (1, 1)
    """

    def apply(variables: Any, images: Any) -> Any:
        leaves, tree = jax.tree.flatten(variables)
        names = array_names(variables)
        full = [_full(leaf, cuts.get(name, {})) for name, leaf in zip(names, leaves, strict=True)]
        program = trace(apply_fn, jax.tree.unflatten(tree, full), images)
        places = find_places(program, names)
        weights = dict(zip(names, program.weights, strict=True))
        gone = np.zeros(places.count, bool)
        for name, axes in cuts.items():
            for axis, keep in axes.items():
                gone[places.filters[weights[name], axis][~keep]] = True
        keeps = {line: ~gone[f] for line, f in places.filters.items() if gone[f].any()}
        run = _Cut(keeps)
        inputs = [*map(jnp.asarray, leaves), *jax.tree.leaves(images)]
        outputs = evaluate(program.closed, inputs, run.bind)
        return jax.tree.unflatten(program.output, outputs)

    return apply


class _Cut:
    """Runs operations on what is left of their operands."""

    def __init__(self, keeps: Mapping[Line, np.ndarray]) -> None:
        self._keeps = keeps

    def bind(self, operation: core.JaxprEqn, operands: list[Any]) -> list[Any]:
        lines = [*self._lines(operation.invars), *self._lines(operation.outvars)]
        if not any(line in self._keeps for line in lines):
            return plain(operation, operands)
        fitted = self._meeting(operation, operands)
        return plain(operation, fitted, **self._changed(operation, fitted))

    def _is_cut(self, atom: Any, axis: int) -> bool:
        return isinstance(atom, core.Var) and (atom, axis) in self._keeps

    def _lines(self, atoms: Any) -> list[Line]:
        return [(x, a) for x in atoms if isinstance(x, core.Var) for a in range(len(shape(x)))]

    def _keep(self, atom: Any, axis: int) -> np.ndarray:
        full = shape(atom)[axis]
        whole = np.ones(full if isinstance(full, int) else 0, bool)
        return self._keeps.get((atom, axis), whole) if isinstance(atom, core.Var) else whole

    def _meeting(self, operation: core.JaxprEqn, operands: list[Any]) -> list[Any]:
        """Operands without the places that the others have lost."""
        operands = list(operands)
        found = links(operation, lambda axis: self._is_cut(operation.invars[axis.which], axis.axis))
        sides = [
            (link.left, operation.outvars[link.right.which], link.right.axis)
            for link in found.same
            if link.at_left.size == link.at_right.size
            and np.array_equal(link.at_left, link.at_right)
        ]
        for link in found.contracted:
            left, right = (operation.invars[a.which] for a in (link.left, link.right))
            sides += [(link.left, right, link.right.axis), (link.right, left, link.left.axis)]
        for axis, other, its in sides:
            ours, theirs = (
                self._keep(operation.invars[axis.which], axis.axis),
                self._keep(other, its),
            )
            if ours.size == theirs.size and (ours & ~theirs).any():
                places = np.flatnonzero(theirs[ours])
                operands[axis.which] = jnp.take(operands[axis.which], places, axis=axis.axis)
        return operands

    def _changed(self, operation: core.JaxprEqn, operands: list[Any]) -> dict[str, Any]:
        """Parameters that name sizes."""
        params = operation.params
        match operation.primitive.name:
            case "broadcast_in_dim":
                return {"shape": self._small(operation.outvars[0])}
            case "reshape":
                return {"new_sizes": self._small(operation.outvars[0])}
            case "conv_general_dilated" if is_depthwise(operation):
                channels = operands[0].shape[params["dimension_numbers"].lhs_spec[1]]
                return {"feature_group_count": channels}
            case "slice":
                return self._sliced(operation)
            case "split":
                axis = int(params["axis"])
                return {"sizes": tuple(self._small(part)[axis] for part in operation.outvars)}
            case "pad":
                return {"padding_config": self._padding(operation)}
        return {}

    def _small(self, atom: Any) -> tuple[Any, ...]:
        sizes = enumerate(shape(atom))
        return tuple(
            int(self._keeps[atom, a].sum()) if (atom, a) in self._keeps else n for a, n in sizes
        )

    def _sliced(self, operation: core.JaxprEqn) -> dict[str, Any]:
        starts, limits = (list(operation.params[k]) for k in ("start_indices", "limit_indices"))
        for axis in range(len(starts)):
            if self._is_cut(operation.invars[0], axis):
                keep = self._keep(operation.invars[0], axis)
                starts[axis], limits[axis] = (
                    int(keep[: int(end)].sum()) for end in (starts[axis], limits[axis])
                )
        return {"start_indices": tuple(starts), "limit_indices": tuple(limits)}

    def _padding(self, operation: core.JaxprEqn) -> tuple[tuple[int, int, int], ...]:
        config = list(operation.params["padding_config"])
        for axis, (low, high, inside) in enumerate(config):
            keep = self._keep(operation.outvars[0], axis)
            if low or high:
                size = keep.size
                config[axis] = (int(keep[:low].sum()), int(keep[size - high :].sum()), inside)
        return tuple(config)


def _full(leaf: Any, axes: Mapping[int, np.ndarray]) -> jax.ShapeDtypeStruct:
    sizes = [axes[a].size if a in axes else n for a, n in enumerate(jnp.shape(leaf))]
    return jax.ShapeDtypeStruct(tuple(sizes), jnp.asarray(leaf).dtype)
