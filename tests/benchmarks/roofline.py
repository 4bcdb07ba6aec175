"""How fast could a training step be at best on this device?

A step does so many operations and moves so many bytes, both counted from the plan; the device
multiplies and copies at rates that are measured here. No step ends before the slower of the two.
"""

from __future__ import annotations

import dataclasses
import functools
import math
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax
from timing import Column, in_rounds, timed
from workload import Workload

from sparsity_jax.models import Plan
from sparsity_jax.pruning.cost import cost
from sparsity_jax.training import Hparams, init_state
from sparsity_jax.training.step import train_step

_FLOAT = 4  # bytes
_SIZES = {"gpu": (8192, 2**28), "cpu": (2048, 2**26)}  # matrix side, numbers copied
_MINIATURE = (256, 2**18)


@dataclasses.dataclass(frozen=True)
class Counted:
    """What one training step of one member takes."""

    flops: float
    bytes: float


@dataclasses.dataclass(frozen=True)
class Ceilings:
    """What the device does at best: FLOP/s of a large product, bytes/s of a large copy."""

    flops: float
    bytes: float

    def least_ms(self, counted: Counted) -> float:
        """Milliseconds under which no step comes."""
        return 1e3 * max(counted.flops / self.flops, counted.bytes / self.bytes)


def count(plan: Plan, batch: int) -> Counted:
    """Operations and the fewest bytes of a step, from the plan alone.

    flops = 2 batch (3 macs - macs of C1): forward, gradient of the weights, and gradient of the
    inputs, which the first layer does not need; products with the zero padding count, as usual.
    bytes = 4 (10 params + 5 batch sum over layers of (outputs + next inputs)). Parameters are read
    by both passes, their gradient is written and read, and Adam reads and writes three arrays. A
    convolution's output, and what norm, rectifier and pooling make of it, are written and read
    forward and read backward; their gradients are written and read. Caches may spare some of it.
    """
    found, first = cost(plan), plan.convs[0]
    places = [shape[:2] for shape in plan.conv_shapes]
    macs_of_c1 = math.prod(places[0]) * first.kernel**2 * plan.input_shape[2] * first.filters
    outputs = sum(math.prod(place) * c.filters for place, c in zip(places, plan.convs, strict=True))
    inputs = sum(math.prod(shape) for shape in plan.map_shapes)
    return Counted(
        flops=2 * batch * (3 * found.macs - macs_of_c1),
        bytes=_FLOAT * (10 * found.params + 5 * batch * (outputs + inputs)),
    )


def counted_by_xla(work: Workload, own: Hparams) -> Counted:
    """What XLA says of the compiled step (products that it rewrites or calls out may differ)."""
    program, data = work.program, work.data
    images = jnp.zeros((program.batch_size, *program.plan.input_shape), jnp.float32)
    arguments = own, init_state(program, own), images, data.train_labels[: program.batch_size]
    step = jax.jit(functools.partial(train_step, program)).lower(*arguments).compile()
    found: Any = step.cost_analysis() or {}
    found = found[0] if isinstance(found, list) else found
    return Counted(found.get("flops", math.nan), found.get("bytes accessed", math.nan))


def measure_ceilings(*, quick: bool, rounds: int, seconds: float) -> Ceilings:
    """Multiply large matrices, at the precision that the training step has too, and copy."""
    side, numbers = _MINIATURE if quick else _SIZES.get(jax.default_backend(), _SIZES["cpu"])
    columns = {"matmul": _products(side), "copy": _copies(numbers)}
    best = {
        name: min(taken) / 1e3  # seconds
        for name, taken in in_rounds(columns, rounds=rounds, seconds=seconds).times.items()
    }
    return Ceilings(2 * side**3 / best["matmul"], 2 * _FLOAT * numbers / best["copy"])


def _products(side: int) -> Column:
    @jax.jit
    def products(times: jax.Array, a: jax.Array, b: jax.Array) -> jax.Array:
        return lax.fori_loop(0, times, lambda _, x: x @ b, a)

    a, b = jax.random.normal(jax.random.key(0), (2, side, side)) / math.sqrt(side)
    return timed(lambda times: products(jnp.int32(times), a, b))


def _copies(numbers: int) -> Column:
    @functools.partial(jax.jit, donate_argnums=1)
    def copies(times: jax.Array, x: jax.Array) -> jax.Array:
        return lax.fori_loop(0, times, lambda _, x: 1.0 - x, x)

    x = jax.random.normal(jax.random.key(0), (numbers,))

    def steps(times: int) -> jax.Array:
        nonlocal x
        x = copies(jnp.int32(times), x)
        return x

    return timed(steps)
