"""How fast is each convolution of BasicNet for several members: batched, one by one, one alone?

    python tests/benchmarks/gpu_layers.py [--out=FILE.json] [--members 1 4 8 16] [--layers C1 ...]
        [--precisions float32 bfloat16] [--minutes=9] [--quick]

Each row is one layer, number of members and precision; forward, gradient of the input and gradient
of the kernel are timed apart, in microseconds a member, in a loop of many turns in one call:

  grouped   what `vmap` makes: one convolution with a group for each member
  looped    member by member, as the mapping 'hybrid' has it

If a grouped kernel gradient takes more than 1.3 times the looped one, 'vmap' is out. The file is
resumed; a row takes seconds. --quick measures in miniature, anywhere: its figures mean nothing.
"""

from __future__ import annotations

import argparse
import functools
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

sys.path.insert(0, str(Path(__file__).parents[2]))

from resumable import Figures, measured
from terms import Terms
from timing import in_rounds, timed
from workload import BATCH, MINIATURE, plan_of

from sparsity_jax.distributed import graphs
from sparsity_jax.models import Plan
from sparsity_jax.models.by_member import one_by_one
from sparsity_jax.models.convolution import conv

PARTS = ("forward", "input", "kernel")
FORMS = {"grouped": conv, "looped": one_by_one}


def layer_row(
    shapes: tuple[tuple[int, ...], tuple[int, ...]], members: int, precision: str, *, quick: bool
) -> Figures:
    """Microseconds a member of every form and part."""
    columns = {
        f"{form} {part}": timed(_turns(convolve, part, shapes, members, precision))
        for form, convolve in FORMS.items()
        for part in PARTS
    }
    found = in_rounds(columns, **Terms(quick=quick).pace)
    figures: Figures = {
        name.replace(" ", "_"): 1e3 * found.median(name) / members for name in found.times
    }
    figures |= {name.replace(" ", "_"): why for name, why in found.absent.items()}
    pair = figures.get("grouped_kernel"), figures.get("looped_kernel")
    if all(isinstance(each, float) for each in pair):
        figures["kernel_ratio"] = pair[0] / pair[1]
    return figures


def _turns(
    convolve: Any,
    part: str,
    shapes: tuple[tuple[int, ...], tuple[int, ...]],
    members: int,
    precision: str,
) -> Callable[[int], jax.Array]:
    """A function that takes so many turns of a part in one call; every turn needs the last one."""
    keys = jax.random.split(jax.random.key(0), 3)
    x, kernel = (
        jax.random.normal(key, (members, *shape)).astype(precision)
        for key, shape in zip(keys, shapes, strict=False)
    )
    native = functools.partial(convolve, method="native")
    out = jax.eval_shape(jax.vmap(native), x, kernel)
    dy = jax.random.normal(keys[2], out.shape).astype(precision)

    def one(x: jax.Array, kernel: jax.Array, dy: jax.Array) -> jax.Array:
        if part == "forward":
            return native(x, kernel)
        return jax.vjp(native, x, kernel)[1](dy)[PARTS.index(part) - 1]

    def turn(_: jax.Array, carried: jax.Array) -> jax.Array:
        # What is carried is far too small to change a result, and the compiler cannot know it.
        given = x + (1e-30 * carried).astype(x.dtype), kernel, dy
        given = given if part != "input" else (x, kernel, dy + (1e-30 * carried).astype(x.dtype))
        results = jax.vmap(one)(*given)
        return results.reshape(members, -1)[:, 0].astype(jnp.float32).sum()  # needs every member's

    run = jax.jit(
        lambda count: lax.fori_loop(0, count, turn, jnp.float32(0)),
        compiler_options=dict(graphs.compiler_options()),
    )
    return lambda count: run(jnp.int32(count))


def layers_of(plan: Plan) -> dict[str, tuple[tuple[int, ...], tuple[int, ...]]]:
    """Layer -> shapes of the batch that it sees and of its kernel."""
    found, seen = {}, plan.input_shape
    for name, layer, out in zip(plan.layer_names, plan.convs, plan.map_shapes, strict=True):
        kernel = (layer.kernel, layer.kernel, seen[2], layer.filters)
        found[name] = ((BATCH, *seen), kernel)
        seen = out
    return found


def main() -> None:
    """Print a row for each layer, number of members and precision."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path)
    parser.add_argument("--members", type=int, nargs="+", default=[1, 4, 8, 16])
    parser.add_argument("--layers", nargs="+")
    parser.add_argument("--precisions", nargs="+", default=["float32", "bfloat16"])
    parser.add_argument("--minutes", type=float, default=9.0)
    parser.add_argument("--quick", action="store_true")
    asked = parser.parse_args()
    layers = layers_of(MINIATURE if asked.quick else plan_of("1x32x3"))
    rows = {
        f"{name} x{members} {precision}": functools.partial(
            layer_row, layers[name], members, precision, quick=asked.quick
        )
        for precision in asked.precisions
        for name in asked.layers or layers
        for members in asked.members
    }
    measured(rows, out=asked.out, minutes=asked.minutes, heading="microseconds a member")


if __name__ == "__main__":
    main()
