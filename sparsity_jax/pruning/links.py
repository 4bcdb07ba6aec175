"""Places of the operands and results of one operation that belong to the same filter."""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np
from jax.extend import core

from sparsity_jax.pruning.operations import ELEMENTWISE, REDUCTIONS, WINDOWS, is_depthwise, shape


class Axis(NamedTuple):
    """An axis of an operand (`side` 'in') or of a result ('out')."""

    side: str
    which: int
    axis: int


class Link(NamedTuple):
    """Places along two axes that belong together, pair by pair."""

    left: Axis
    right: Axis
    at_left: np.ndarray
    at_right: np.ndarray


@dataclasses.dataclass(frozen=True)
class Links:
    """Ties that one operation makes between places along its axes.

    Attributes:
      same: places that must go together or stay together.
      contracted: places of two operands that are multiplied and summed: where one is zero, neither
        is needed.
      summed: axes of operands that are summed over: zeros are not needed.

    Axes that appear nowhere are needed as they are.
    """

    same: tuple[Link, ...] = ()
    contracted: tuple[Link, ...] = ()
    summed: tuple[Axis, ...] = ()


Marked = Callable[[Axis], bool]  # whether an axis may carry filters


def links(operation: core.JaxprEqn, marked: Marked) -> Links:
    """Links of one operation.

    Args:
      operation: of a flat program.
      marked: whether an axis of an operand may carry filters; a flattened map is linked along the
        one of its axes that does.

    Example:
      >>> import jax
      >>> [operation] = jax.make_jaxpr(lambda x, y: x + y)(np.ones((2, 8)), np.ones((2, 8))).eqns
      >>> len(links(operation, lambda axis: True).same)
      4
    """
    name = operation.primitive.name
    if name in ELEMENTWISE:
        return Links(tuple(_elementwise(operation)))
    if name in REDUCTIONS:
        return _reduction(operation)
    if name in WINDOWS or name == "rev":
        return Links(tuple(_windows(operation)))
    rule = _RULES.get(name)
    return rule(operation, marked) if rule else Links()


def _whole(left: Axis, right: Axis, size: Any) -> Link:
    places = np.arange(size if isinstance(size, int) else 0)  # a symbolic axis has no filters
    return Link(left, right, places, places)


def _elementwise(operation: core.JaxprEqn) -> Iterator[Link]:
    for j, result in enumerate(operation.outvars):
        sizes = shape(result)
        for i, operand in enumerate(operation.invars):
            if len(operation.outvars) > 1 and i != j:
                continue  # optimization_barrier: each result is its operand
            theirs = shape(operand)
            for axis, size in enumerate(sizes if len(theirs) == len(sizes) else ()):
                if theirs[axis] == size:
                    yield _whole(Axis("in", i, axis), Axis("out", j, axis), size)


def _reduction(operation: core.JaxprEqn) -> Links:
    axes = tuple(int(axis) for axis in operation.params["axes"])
    sizes = shape(operation.invars[0])
    kept = [axis for axis in range(len(sizes)) if axis not in axes]
    same = tuple(
        _whole(Axis("in", 0, axis), Axis("out", 0, k), sizes[axis]) for k, axis in enumerate(kept)
    )
    sums = operation.primitive.name == "reduce_sum"
    return Links(same, summed=tuple(Axis("in", 0, axis) for axis in axes) if sums else ())


def _windows(operation: core.JaxprEqn) -> Iterator[Link]:
    """Axes that a window of one place slides along, or that are not touched at all."""
    params, sizes = operation.params, shape(operation.invars[0])
    touched = (
        {int(params["axis"])} if "axis" in params else set(map(int, params.get("dimensions", ())))
    )
    for axis, size in enumerate(sizes):
        if "window_dimensions" in params:
            at = [params[key][axis] for key in ("window_dimensions", "window_strides")]
            if at != [1, 1] or tuple(params["padding"][axis]) != (0, 0):
                continue
        elif axis in touched:
            continue
        yield _whole(Axis("in", 0, axis), Axis("out", 0, axis), size)


def _convolution(operation: core.JaxprEqn, _: Marked) -> Links:
    dims, groups = operation.params["dimension_numbers"], operation.params["feature_group_count"]
    left, right = map(shape, operation.invars)
    images, channels = dims.lhs_spec[:2]
    filters, inputs = dims.rhs_spec[:2]
    if operation.params["batch_group_count"] != 1:
        return Links()
    batch = _whole(Axis("in", 0, images), Axis("out", 0, dims.out_spec[0]), left[images])
    out = Axis("out", 0, dims.out_spec[1])
    made = _whole(Axis("in", 1, filters), out, right[filters])
    if is_depthwise(operation):
        each = right[filters] // groups
        source = np.repeat(np.arange(groups), each)
        through = Link(Axis("in", 0, channels), out, source, np.arange(right[filters]))
        return Links((batch, made, through))
    if groups != 1:
        return Links((batch,))
    met = _whole(Axis("in", 0, channels), Axis("in", 1, inputs), left[channels])
    return Links((batch, made), (met,))


def _product(operation: core.JaxprEqn, _: Marked) -> Links:
    (meet_left, meet_right), (both_left, both_right) = operation.params["dimension_numbers"]
    sides = [(0, meet_left, both_left), (1, meet_right, both_right)]
    sizes = [shape(operand) for operand in operation.invars]
    same, at = [], 0
    for k, (a, b) in enumerate(zip(both_left, both_right, strict=True)):
        same += [_whole(Axis("in", 0, a), Axis("out", 0, k), sizes[0][a])]
        same += [_whole(Axis("in", 1, b), Axis("out", 0, k), sizes[1][b])]
    at = len(both_left)
    for side, meets, both in sides:
        for axis in (a for a in range(len(sizes[side])) if a not in (*meets, *both)):
            same.append(_whole(Axis("in", side, axis), Axis("out", 0, at), sizes[side][axis]))
            at += 1
    met = tuple(
        _whole(Axis("in", 0, a), Axis("in", 1, b), sizes[0][a])
        for a, b in zip(meet_left, meet_right, strict=True)
    )
    return Links(tuple(same), met)


def _broadcast(operation: core.JaxprEqn, _: Marked) -> Links:
    sizes, target = shape(operation.invars[0]), shape(operation.outvars[0])
    pairs = enumerate(map(int, operation.params["broadcast_dimensions"]))
    return Links(
        tuple(
            _whole(Axis("in", 0, axis), Axis("out", 0, k), sizes[axis])
            for axis, k in pairs
            if sizes[axis] == target[k]
        )
    )


def _transpose(operation: core.JaxprEqn, _: Marked) -> Links:
    sizes = shape(operation.invars[0])
    order = enumerate(map(int, operation.params["permutation"]))
    return Links(tuple(_whole(Axis("in", 0, a), Axis("out", 0, k), sizes[a]) for k, a in order))


def _reshape(operation: core.JaxprEqn, marked: Marked) -> Links:
    """Axes that a reshape keeps, and the one axis with filters of each group that it merges."""
    before, after = shape(operation.invars[0]), shape(operation.outvars[0])
    if operation.params.get("dimensions") is not None or 0 in (*before, *after):
        return Links()
    same = []
    for ours, theirs in _groups(before, after):
        wide = [axis for axis in ours if before[axis] != 1]
        result = [axis for axis in theirs if after[axis] != 1]
        carrying = [axis for axis in wide if marked(Axis("in", 0, axis))]
        if len(result) == 1 and len(carrying) == 1:
            axis, size = carrying[0], math.prod(before[a] for a in wide)
            inner = math.prod(before[a] for a in wide if a > axis)
            places = np.arange(size)
            source = places // inner % before[axis]
            same.append(Link(Axis("in", 0, axis), Axis("out", 0, result[0]), source, places))
    return Links(tuple(same))


def _groups(before: Any, after: Any) -> Iterator[tuple[list[int], list[int]]]:
    """Shortest runs of axes with as many elements before as after."""
    i = j = 0
    while i < len(before) and j < len(after):
        ours, theirs, left, right = [i], [j], before[i], after[j]
        while left != right:
            if left < right:
                ours.append(ours[-1] + 1)
                left *= before[ours[-1]]
            else:
                theirs.append(theirs[-1] + 1)
                right *= after[theirs[-1]]
        yield ours, theirs
        i, j = ours[-1] + 1, theirs[-1] + 1


def _squeeze(operation: core.JaxprEqn, _: Marked) -> Links:
    sizes = shape(operation.invars[0])
    gone = {int(axis) % len(sizes) for axis in operation.params["dimensions"]}
    kept = enumerate(axis for axis in range(len(sizes)) if axis not in gone)
    return Links(tuple(_whole(Axis("in", 0, a), Axis("out", 0, k), sizes[a]) for k, a in kept))


def _concatenate(operation: core.JaxprEqn, _: Marked) -> Links:
    joined = int(operation.params["dimension"])
    same, start = [], 0
    for i, operand in enumerate(operation.invars):
        for axis, size in enumerate(shape(operand)):
            link = _whole(Axis("in", i, axis), Axis("out", 0, axis), size)
            offset = start if axis == joined else 0
            same.append(link._replace(at_right=link.at_right + offset))
        start += shape(operand)[joined]
    return Links(tuple(same))


def _slice(operation: core.JaxprEqn, _: Marked) -> Links:
    params, same = operation.params, []
    strides = params["strides"] or itertools.repeat(1)
    cuts = zip(params["start_indices"], strides, strict=False)
    for axis, (start, stride) in enumerate(cuts):
        if stride == 1:
            size = shape(operation.outvars[0])[axis]
            link = _whole(Axis("in", 0, axis), Axis("out", 0, axis), size)
            same.append(link._replace(at_left=link.at_left + start))
    return Links(tuple(same))


def _split(operation: core.JaxprEqn, _: Marked) -> Links:
    parted = int(operation.params["axis"])
    same, start = [], 0
    for j, result in enumerate(operation.outvars):
        for axis, size in enumerate(shape(result)):
            link = _whole(Axis("in", 0, axis), Axis("out", j, axis), size)
            offset = start if axis == parted else 0
            same.append(link._replace(at_left=link.at_left + offset))
        start += shape(result)[parted]
    return Links(tuple(same))


def _pad(operation: core.JaxprEqn, _: Marked) -> Links:
    same = []
    for axis, (low, high, inside) in enumerate(operation.params["padding_config"]):
        size = shape(operation.invars[0])[axis]
        if inside == 0 and min(low, high) >= 0:
            link = _whole(Axis("in", 0, axis), Axis("out", 0, axis), size)
            same.append(link._replace(at_right=link.at_right + int(low)))
    return Links(tuple(same))


_RULES: dict[str, Callable[[core.JaxprEqn, Marked], Links]] = {
    "broadcast_in_dim": _broadcast,
    "concatenate": _concatenate,
    "conv_general_dilated": _convolution,
    "dot_general": _product,
    "pad": _pad,
    "reshape": _reshape,
    "slice": _slice,
    "split": _split,
    "squeeze": _squeeze,
    "transpose": _transpose,
}
