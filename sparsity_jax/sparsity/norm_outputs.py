"""Outputs of norms, recognised by what is computed with their arrays."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import jax
from jax.extend import core

from sparsity_jax.sparsity.evaluation import ApplyFn
from sparsity_jax.sparsity.norm_arrays import array_names, find_norms
from sparsity_jax.sparsity.program import Program, evaluate, plain, trace, variables_in

KEEPING = ("convert_element_type", "copy", "reshape", "transpose")  # do not end a norm


class Stage(NamedTuple):
    """Value on the way through a norm, or one made of its arrays alone."""

    norm: str
    axis: int  # of the filters


def norm_outputs(apply_fn: ApplyFn, variables: Any, images: Any) -> list[tuple[str, Any, int]]:
    """Outputs of every norm that a function runs, whatever class it is and whatever it is inside.

    A norm's output is the last value in a row of operations that combine a map with numbers made
    of this norm's arrays (mean, var, scale, bias) alone.

    Args:
      apply_fn: (variables, images) -> anything.
      variables: of the model; arrays may be traced.
      images: a batch.

    Returns:
      (norm path, output, axis of the filters), in the order in which they run. Norms inside loops
      are missing.

    Example:
      >>> [(path, output.shape) for path, output, _ in norm_outputs(apply_fn, variables, images)]
      [('C1/norm', (4, 8, 8, 16)), ('C2/norm', (4, 4, 4, 32))]
    """
    program = trace(apply_fn, variables, images)
    owners = {name: path for path, norm in find_norms(variables).items() for name in norm.values()}
    ends = _ends(program, [owners.get(name, "") for name in array_names(variables)])
    found: dict[core.Var, Any] = {}

    def bind(operation: core.JaxprEqn, operands: list[Any]) -> list[Any]:
        results = plain(operation, operands)
        wanted = zip(operation.outvars, results, strict=True)
        found.update((var, result) for var, result in wanted if var in ends)
        return results

    evaluate(program.closed, [*jax.tree.leaves(variables), *jax.tree.leaves(images)], bind)
    return [(stage.norm, found[var], stage.axis) for var, stage in ends.items()]


def _ends(program: Program, owners: Sequence[str]) -> Mapping[core.Var, Stage]:
    """Values that leave a norm."""
    of_images = program.of_images()
    made: dict[core.Var, Stage] = {}  # of one norm's arrays alone
    for leaf, owner in zip(program.weights, owners, strict=True):
        if owner:
            made[leaf] = Stage(owner, leaf.aval.ndim - 1)  # pyright: ignore[reportAttributeAccessIssue]
    stages: dict[core.Var, Stage] = {}
    passed: set[core.Var] = set()
    for operation in program.operations:
        operands = [x for _, x in variables_in(operation.invars)]
        maps = [x for x in operands if x in of_images]
        numbers = {made[x] for x in operands if x in made}
        result = operation.outvars[0]
        if not maps and numbers and all(x in made for x in operands):
            if len({stage.norm for stage in numbers}) == 1:
                made[result] = max((_moved(operation, s) for s in numbers), key=lambda s: s.axis)
        elif len(maps) == 1 and numbers and len(operands) == 2:
            [stage] = numbers
            passed |= {x for x in maps if x in stages and stages[x].norm == stage.norm}
            stages[result] = stage
        elif len(maps) == 1 and maps[0] in stages and operation.primitive.name in KEEPING:
            stages[result] = _moved(operation, stages[maps[0]])
            passed.add(maps[0])
        elif len(maps) == 2 and (
            factor := next((x for x in maps if _scales(x, result, stages)), None)
        ):
            stages[result] = stages[factor]  # gamma over the batch's own deviation
            passed.add(factor)
    return {var: stage for var, stage in stages.items() if var not in passed}


def _scales(operand: core.Var, result: core.Var, stages: Mapping[core.Var, Stage]) -> bool:
    """Whether an operand is a number for each filter, made of a norm's arrays and the batch."""
    sizes = [math.prod(var.aval.shape) for var in (operand, result)]  # pyright: ignore[reportAttributeAccessIssue]
    return operand in stages and sizes[0] < sizes[1]


def _moved(operation: core.JaxprEqn, stage: Stage) -> Stage:
    """The stage with its axis where the operation puts it."""
    params, name = operation.params, operation.primitive.name
    if name == "broadcast_in_dim":
        return stage._replace(axis=int(params["broadcast_dimensions"][stage.axis]))
    if name == "reshape":
        wide = [k for k, size in enumerate(params["new_sizes"]) if size != 1]
        return stage._replace(axis=wide[-1] if wide else len(params["new_sizes"]) - 1)
    if name == "transpose":
        return stage._replace(axis=list(params["permutation"]).index(stage.axis))
    return stage
