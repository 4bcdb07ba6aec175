"""Places of a whole program that belong to the same filter, and what needs them."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from jax.extend import core
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from sparsity_jax.pruning.links import Axis, Links, links
from sparsity_jax.pruning.operations import is_depthwise, named, shape
from sparsity_jax.sparsity.program import Program, variables_in

Line = tuple[core.Var, int]  # a value and one of its axes, along which filters may lie


class Need(NamedTuple):
    """Filters that an operation needs as they are."""

    filters: np.ndarray
    why: str


class Meeting(NamedTuple):
    """Places of a value and of weights that are multiplied and summed, pair by pair.

    A sum over an axis of a value is a meeting with nothing: `weights` is None.
    """

    operation: core.JaxprEqn
    value: Line
    weights: Line | None
    mutual: bool  # both are activations: either needs the other
    layer: str


@dataclasses.dataclass(frozen=True)
class Places:
    """The places along every axis that may carry filters, and the filter that each belongs to.

    Attributes:
      filters: value and axis -> the filter (a number) of each place. Two places have one number if
        the network ties them together: a convolution's output, its norm, a sum that it enters.
      needs: what is needed whatever its values.
      meetings: where zeros are not needed.
      count: how many filters there are.
    """

    filters: Mapping[Line, np.ndarray]
    needs: Sequence[Need]
    meetings: Sequence[Meeting]
    count: int


def find_places(program: Program, names: Sequence[str]) -> Places:
    """Tie the places of a program together.

    Args:
      program: the network.
      names: module of each leaf of the variables, to name layers by.

    Example:
      >>> program = trace(apply_fn, variables, images)  # doctest: +SKIP
      >>> find_places(program, names).count  # doctest: +SKIP
      4810
    """
    walk = _Walk(program, names)
    for operation in program.operations:
        walk.visit(operation)
    for _, output in variables_in(program.closed.jaxpr.outvars):
        walk.need_all(output, "they reach the model's output")
    return walk.result()


class _Walk:
    """Places found so far, while the operations are visited in order."""

    def __init__(self, program: Program, names: Sequence[str]) -> None:
        self.starts: dict[Line, int] = {}
        self.size = 0
        self.edges: list[tuple[np.ndarray, np.ndarray]] = []
        self.needed: list[Need] = []
        self.meetings: list[Meeting] = []
        self.owner: dict[core.Var, str] = dict(zip(program.weights, names, strict=True))
        self.origin: dict[core.Var, str] = dict.fromkeys(program.images, "the images")
        for leaf in program.weights:
            for axis in range(len(shape(leaf))):
                self.mark((leaf, axis))

    def mark(self, line: Line) -> None:
        size = shape(line[0])[line[1]]
        if line not in self.starts and isinstance(size, int) and size > 1:
            self.starts[line] = self.size
            self.size += size

    def at(self, line: Line, places: np.ndarray | None = None) -> np.ndarray:
        size = shape(line[0])[line[1]]
        return self.starts[line] + (np.arange(size) if places is None else places)

    def visit(self, operation: core.JaxprEqn) -> None:
        def line(axis: Axis) -> Line:
            side = operation.invars if axis.side == "in" else operation.outvars
            return side[axis.which], axis.axis  # pyright: ignore[reportReturnType]

        def marked(axis: Axis) -> bool:
            variable, place = line(axis)
            return isinstance(variable, core.Var) and (variable, place) in self.starts

        layer = self._layer(operation)
        found = links(operation, marked)
        for link in found.same:
            if marked(link.left):
                self.mark(line(link.right))
        for link in found.same:
            left, right = line(link.left), line(link.right)
            if right not in self.starts:
                continue
            if marked(link.left):
                pair = (self.at(left, link.at_left), self.at(right, link.at_right))
                self.edges.append(pair)
            elif isinstance(left[0], core.Var) and (source := self.origin.get(left[0])):
                why = f"they are tied to channels that come from {source}"
                self.needed.append(Need(self.at(right, link.at_right), why))
        mentioned = {link.left for link in found.same}
        mentioned |= self._meet(operation, found, line, marked, layer)
        for i, operand in variables_in(operation.invars):
            for axis in range(len(shape(operand))):
                if marked(Axis("in", i, axis)) and Axis("in", i, axis) not in mentioned:
                    why = f"they reach {_described(operation, layer)}"
                    self.needed.append(Need(self.at((operand, axis)), why))
        self._remember(operation, layer)

    def _meet(
        self, operation: core.JaxprEqn, found: Links, line: Any, marked: Any, layer: str
    ) -> set[Axis]:
        """Note what is multiplied and summed; axes whose needs are known thereby."""
        mentioned = set()
        for link in found.contracted:
            if marked(link.left) and marked(link.right):
                value, weights = line(link.left), line(link.right)
                both = value[0] in self.origin and weights[0] in self.origin
                if value[0] not in self.origin:
                    value, weights = weights, value
                self.meetings.append(Meeting(operation, value, weights, both, layer))
                mentioned |= {link.left, link.right}
        for axis in found.summed:
            if marked(axis):
                self.meetings.append(Meeting(operation, line(axis), None, False, layer))
                mentioned.add(axis)
        return mentioned

    def _layer(self, operation: core.JaxprEqn) -> str:
        owners = [self.owner.get(x, "") for _, x in variables_in(operation.invars)]
        return next((owner for owner in reversed(owners) if owner), "")

    def _remember(self, operation: core.JaxprEqn, layer: str) -> None:
        """Note where results come from: which layer's weights, or which operation on images."""
        operands = [x for _, x in variables_in(operation.invars)]
        origins = [self.origin[x] for x in operands if x in self.origin]
        for result in operation.outvars:
            if origins:
                carries = any((result, axis) in self.starts for axis in range(len(shape(result))))
                plain = operation.primitive.name in _TRANSPARENT
                known = carries or plain
                self.origin[result] = origins[0] if known else _described(operation, layer)
            elif layer:
                self.owner[result] = layer

    def need_all(self, variable: core.Var, why: str) -> None:
        for axis in range(len(shape(variable))):
            if (variable, axis) in self.starts:
                self.needed.append(Need(self.at((variable, axis)), why))

    def result(self) -> Places:
        left = np.concatenate([a for a, _ in self.edges] or [np.arange(0)])
        right = np.concatenate([b for _, b in self.edges] or [np.arange(0)])
        ones = np.ones(left.size, np.int8)
        graph = coo_array((ones, (left, right)), shape=(self.size, self.size))
        count, labels = connected_components(graph, directed=False)
        filters = {line: labels[self.at(line)] for line in self.starts}
        needs = [Need(labels[need.filters], need.why) for need in self.needed]
        return Places(filters, needs, self.meetings, int(count))


_TRANSPARENT = named("transpose reshape squeeze broadcast_in_dim convert_element_type copy slice")


def _described(operation: core.JaxprEqn, layer: str) -> str:
    name = operation.primitive.name
    if name == "conv_general_dilated":
        grouped = operation.params["feature_group_count"] != 1 and not is_depthwise(operation)
        return f"the grouped convolution {layer}" if grouped else f"the convolution {layer}"
    where = f" ({layer})" if layer else ""
    return f"an operation that takes all of them as they are, {name}{where}"
