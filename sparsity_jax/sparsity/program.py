"""A model as a flat list of primitive operations."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax.extend import core

ClosedJaxpr = Any  # jax.extend.core has it, its stubs do not
Bind = Callable[[core.JaxprEqn, list[Any]], list[Any]]  # (operation, operands) -> results

CALLED = ("jaxpr", "call_jaxpr", "fun_jaxpr")  # where calls keep what they call
CALLS = (
    "checkpoint",
    "closed_call",
    "core_call",
    "custom_jvp_call",
    "custom_vjp_call",
    "custom_vjp_call_jaxpr",
    "jit",
    "pjit",
    "remat",
    "remat2",
)


@dataclasses.dataclass(frozen=True)
class Program:
    """Operations of a function of (variables, images), calls inlined.

    Attributes:
      closed: the operations; its inputs are the leaves of the variables, then of the images.
      leaves: how many of the inputs are leaves of the variables.
      output: the structure of the output.
    """

    closed: ClosedJaxpr
    leaves: int
    output: Any

    @property
    def operations(self) -> Sequence[core.JaxprEqn]:
        """Operations in the order in which they run."""
        return self.closed.jaxpr.eqns

    @property
    def weights(self) -> Sequence[core.Var]:
        """Inputs that are leaves of the variables."""
        return self.closed.jaxpr.invars[: self.leaves]

    @property
    def images(self) -> Sequence[core.Var]:
        """Inputs that are the images."""
        return self.closed.jaxpr.invars[self.leaves :]

    def of_images(self) -> set[core.Var]:
        """Values that depend on the images."""
        found = set(self.images)
        for operation in self.operations:
            if any(isinstance(x, core.Var) and x in found for x in operation.invars):
                found |= set(operation.outvars)
        return found


def trace(function: Callable[[Any, Any], Any], variables: Any, images: Any) -> Program:
    """Trace a function; jitted functions, remat and custom derivatives in it are inlined.

    Args:
      function: (variables, images) -> anything made of arrays.
      variables: a tree of arrays or of their shapes.
      images: likewise.

    Returns:
      The program. Loops (scan, while) and branches (cond) stay single operations.

    Example:
      >>> program = trace(lambda v, x: jax.nn.relu(x @ v), np.ones((3, 2)), np.ones((1, 3)))
      >>> [operation.primitive.name for operation in program.operations]
      ['dot_general', 'max']
    """
    closed, shapes = jax.make_jaxpr(function, return_shape=True)(variables, images)
    shaped = jax.tree.leaves((jax.tree.map(_shaped, variables), jax.tree.map(_shaped, images)))

    def run(*inputs: Any) -> list[Any]:
        return evaluate(closed, inputs, _inline)

    flat = _used(jax.make_jaxpr(run)(*shaped))
    leaves = len(jax.tree.leaves(variables))
    return Program(flat, leaves, jax.tree.structure(shapes))


def evaluate(closed: ClosedJaxpr, inputs: Sequence[Any], bind: Bind) -> list[Any]:
    """Run a program operation by operation.

    Args:
      closed: the program.
      inputs: one value for each of its inputs.
      bind: runs one operation on its operands.

    Returns:
      The outputs.

    Example:
      >>> program = jax.make_jaxpr(lambda x: 2 * x)(1.0)
      >>> [float(y) for y in evaluate(program, [3.0], plain)]
      [6.0]
    """
    jaxpr = closed.jaxpr
    values: dict[core.Var, Any] = dict(zip(jaxpr.constvars, closed.consts, strict=True))
    values |= dict(zip(jaxpr.invars, inputs, strict=True))

    def read(atom: Any) -> Any:
        return atom.val if isinstance(atom, core.Literal) else values[atom]

    for operation in jaxpr.eqns:
        results = bind(operation, [read(atom) for atom in operation.invars])
        values |= dict(zip(operation.outvars, results, strict=True))
    return [read(atom) for atom in jaxpr.outvars]


def plain(operation: core.JaxprEqn, operands: list[Any], **changed: Any) -> list[Any]:
    """Run one operation of a flat program as it stands, or with some parameters changed.

    Example:
      >>> [operation] = jax.make_jaxpr(jax.numpy.sin)(0.0).eqns
      >>> [float(y) for y in plain(operation, [0.0])]
      [0.0]
    """
    primitive = operation.primitive
    result = primitive.bind(*operands, **{**operation.params, **changed})
    return list(result) if primitive.multiple_results else [result]


def called(operation: core.JaxprEqn) -> ClosedJaxpr:
    """The program that a call runs; None if the operation is no call."""
    if operation.primitive.name not in CALLS:
        return None
    inside = next(operation.params[key] for key in CALLED if key in operation.params)
    return inside if hasattr(inside, "consts") else core.ClosedJaxpr(inside, ())  # pyright: ignore[reportPrivateImportUsage]


def variables_in(atoms: Sequence[Any]) -> Iterator[tuple[int, core.Var]]:
    """Operands or results that are no literals, with their places."""
    return ((i, x) for i, x in enumerate(atoms) if isinstance(x, core.Var))


def _used(closed: ClosedJaxpr) -> ClosedJaxpr:
    """The program without operations that lead to no output."""
    wanted = {x for _, x in variables_in(closed.jaxpr.outvars)}
    operations = []
    for operation in reversed(closed.jaxpr.eqns):
        if wanted & set(operation.outvars):
            operations.append(operation)
            wanted |= {x for _, x in variables_in(operation.invars)}
    return closed.replace(jaxpr=closed.jaxpr.replace(eqns=operations[::-1]))


def _shaped(leaf: Any) -> jax.ShapeDtypeStruct:
    return jax.ShapeDtypeStruct(
        jnp.shape(leaf), jax.dtypes.canonicalize_dtype(jnp.result_type(leaf))
    )


def _inline(operation: core.JaxprEqn, operands: list[Any]) -> list[Any]:
    inside = called(operation)
    return plain(operation, operands) if inside is None else evaluate(inside, operands, _inline)
