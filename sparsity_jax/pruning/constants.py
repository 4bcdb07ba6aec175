"""Channels of a program's values that are the same number everywhere."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
from jax.extend import core

from sparsity_jax.pruning.links import Axis, links
from sparsity_jax.pruning.operations import ELEMENTWISE, dtype, named, shape
from sparsity_jax.pruning.places import Line, Places
from sparsity_jax.sparsity.program import Program, plain

COPIES = named(
    """broadcast_in_dim concatenate cummax cummin reduce_max reduce_min reduce_window_max
    reduce_window_min reshape rev slice split squeeze transpose"""
)


class Constant(NamedTuple):
    """Slices along one axis of a value: whether each is one number throughout, and which."""

    known: Any
    values: Any

    def equals(self, number: float) -> np.ndarray:
        """Return a boolean for each slice: whether it is known to be `number`."""
        return self.known & (self.values == number)


Constants = dict[Line, Constant]


def find_constants(
    program: Program, places: Places, leaves: Mapping[core.Var, np.ndarray]
) -> Constants:
    """Follow known numbers through a network.

    Args:
      program: the network.
      places: its axes that may carry filters.
      leaves: values of leaves of the variables that count as known: vectors.

    Returns:
      For every axis that may carry filters, what is known of its slices. A channel is known only
      if it has the same value for every image and at every place of the map, borders included.

    Example:
      >>> found = find_constants(program, places, {scale: np.zeros(8)})  # doctest: +SKIP
    """
    constants: Constants = {}
    uniform: dict[core.Var, np.ndarray] = {}
    for leaf, values in leaves.items():
        axis = int(np.argmax(shape(leaf)))
        constants[leaf, axis] = Constant(np.ones(values.size, bool), values.reshape(-1))
    for operation in program.operations:
        state = _State(operation, places, constants, uniform)
        state.visit()
    return constants


class _State:
    """One operation, and what is known of its operands."""

    def __init__(
        self,
        operation: core.JaxprEqn,
        places: Places,
        constants: Constants,
        uniform: dict[core.Var, np.ndarray],
    ) -> None:
        self.operation, self.places = operation, places
        self.constants, self.uniform = constants, uniform
        self.name = operation.primitive.name

    def visit(self) -> None:
        if self._all_uniform():
            return
        found = links(self.operation, self._marked).same
        for j, result in enumerate(self.operation.outvars):
            for axis in range(len(shape(result))):
                if (result, axis) not in self.places.filters:
                    continue
                here = [link for link in found if link.right == Axis("out", j, axis)]
                constant = self._constant(result, axis, here)
                if constant is not None and constant.known.any():
                    self.constants[result, axis] = constant

    def _marked(self, axis: Axis) -> bool:
        variable = self.operation.invars[axis.which]
        return isinstance(variable, core.Var) and (variable, axis.axis) in self.places.filters

    def _all_uniform(self) -> bool:
        """Whether the results are one number throughout, as a broadcast literal is."""
        numbers = [self._number(atom) for atom in self.operation.invars]
        if not numbers or any(number is None for number in numbers):
            return False
        if self.name in ("broadcast_in_dim", "reshape", "squeeze"):
            results = numbers
        elif self.name in ELEMENTWISE:
            results = [np.asarray(x) for x in plain(self.operation, numbers)]
        else:
            return False
        self.uniform |= dict(zip(self.operation.outvars, results, strict=True))
        return True

    def _number(self, atom: Any) -> Any:
        if isinstance(atom, core.Literal):
            return np.asarray(atom.val) if np.ndim(atom.val) == 0 else None
        return self.uniform.get(atom)

    def _of(self, axis: Axis) -> Constant:
        atom = self.operation.invars[axis.which]
        size = shape(atom)[axis.axis]
        if (number := self._number(atom)) is not None:
            return Constant(np.ones(size, bool), np.full(size, number))
        if isinstance(atom, core.Var) and (atom, axis.axis) in self.constants:
            return self.constants[atom, axis.axis]
        return Constant(np.zeros(size, bool), np.ones(size, dtype(atom)))

    def _constant(self, result: core.Var, axis: int, here: list[Any]) -> Constant | None:
        size = shape(result)[axis]
        if self.name == "optimization_barrier":
            return self._moved(result, size, here)
        if self.name in ELEMENTWISE:
            return self._elementwise(result, axis, size)
        if not here:
            return None
        if self.name in ("conv_general_dilated", "dot_general"):
            return self._zeros(result, size, here)
        moved = self._moved(result, size, here)
        if self.name in COPIES:
            return moved
        if self.name == "pad":
            return self._padded(moved, axis, here[0].at_right)
        if self.name in ("reduce_sum", "reduce_window_sum", "cumsum"):
            return self._summed(moved)
        return None

    def _moved(self, result: core.Var, size: int, here: list[Any]) -> Constant:
        """Known slices, brought to where they are in the result."""
        known, reached = np.ones(size, bool), np.zeros(size, bool)
        values = np.ones(size, dtype(result))
        for link in here:
            ours, at = self._of(link.left), link.at_right
            theirs = ours.values[link.at_left]
            agrees = ~reached[at] | (values[at] == theirs)
            known[at] &= ours.known[link.at_left] & agrees
            values[at], reached[at] = theirs, True
        return Constant(known & reached, values)

    def _zeros(self, result: core.Var, size: int, here: list[Any]) -> Constant:
        """Sums of products in which one factor is zero."""
        known = np.zeros(size, bool)
        for link in here:
            zero = self._of(link.left).equals(0)
            known[link.at_right] |= zero[link.at_left]
        return Constant(known, np.zeros(size, dtype(result)))

    def _summed(self, moved: Constant) -> Constant:
        params = self.operation.params
        sizes = shape(self.operation.invars[0])
        zero = moved.equals(0)
        if self.name == "reduce_sum":
            many = math.prod(sizes[axis] for axis in params["axes"])
        elif self.name == "reduce_window_sum" and not np.any(params["padding"]):
            many = math.prod(params["window_dimensions"])
        else:
            return Constant(zero, moved.values)
        if not isinstance(many, int | np.integer):
            return Constant(zero, moved.values)
        return Constant(moved.known, (moved.values * many).astype(moved.values.dtype))

    def _padded(self, moved: Constant, axis: int, inner: np.ndarray) -> Constant:
        number = self._number(self.operation.invars[1])
        config = self.operation.params["padding_config"]
        others = [entry for k, entry in enumerate(config) if k != axis]
        around = np.ones(moved.known.size, bool)
        around[inner] = False
        if number is None:
            return Constant(moved.known & ~np.any(others), moved.values)
        values = np.where(around, number, moved.values).astype(moved.values.dtype)
        known = moved.known & ((moved.values == number) | (not np.any(others)))
        return Constant(known | around, values)

    def _elementwise(self, result: core.Var, axis: int, size: int) -> Constant | None:
        operands = []
        for i, atom in enumerate(self.operation.invars):
            sizes = shape(atom)
            if len(sizes) > axis and sizes[axis] == size:
                operands.append(self._of(Axis("in", i, axis)))
            elif (number := self._number(atom)) is not None:
                operands.append(Constant(np.ones(size, bool), np.full(size, number)))
            else:
                operands.append(Constant(np.zeros(size, bool), np.ones(size, dtype(atom))))
        if not any(operand.known.any() for operand in operands):
            return None
        known = np.logical_and.reduce([operand.known for operand in operands])
        values = np.ones(size, dtype(result))
        if known.any():
            inputs = [jnp.asarray(operand.values) for operand in operands]
            values = np.array(plain(self.operation, inputs)[0])
        zero = np.zeros(size, bool)
        if self.name == "mul":
            zero = operands[0].equals(0) | operands[1].equals(0)
        elif self.name == "div":
            zero = operands[0].equals(0) | operands[1].equals(float("inf"))
        elif self.name == "select_n":
            first, *rest = operands[1:]
            same = [first.known & r.known & (first.values == r.values) for r in rest]
            alike = np.logical_and.reduce(same)
            return Constant(known | alike, np.where(known, values, first.values))
        return Constant(known | zero, np.where(zero, 0, values).astype(values.dtype))
