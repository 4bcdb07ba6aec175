"""Groups of runs that train in one program, and how many members fit."""

from __future__ import annotations

import functools
import itertools
import math
import os
from collections.abc import Iterator, Sequence

import jax
import jax.numpy as jnp

from sparsity_jax.training import StreamingDataset
from sparsity_jax.training.run import Run
from sparsity_jax.training.state import Hparams, ProgramConfig, init_state

# A group's rows appear when it ends, and on a CPU its members take turns: no larger than it pays.
MOST_MEMBERS = {"cpu": 4}
# Elsewhere memory decides, up to here: every member adds its convolutions to what is compiled.
MOST_MEMBERS_PER_DEVICE = 32
# Copies of every layer's output alive at once: input, output and gradient of convolution, norm and
# rectifier, and what their lowering unfolds. Measured on CPU: 4.6 to 6.1 (XLA's own account).
_OUTPUTS = 8
_STATES = 2
_CPU_SHARE, _DEVICE_SHARE = 0.5, 0.8


def groups(runs: Sequence[Run], *, most: int = 0, shards: int = 1) -> list[tuple[Run, ...]]:
    """Split runs into groups that train in one program each, in the order of their first members.

    Members of a group share program, data, length and evaluations; they differ in strengths, rates,
    seeds. Data that streams feeds one run at a time. Runs that are cut on the way train one by one
    on every backend: after its first cut each is a program of its own shapes, which vmap cannot
    batch; widening all to the widest would spend again what the cuts saved, and an unrolled program
    would be compiled anew at every member's cut. What a cut saves is in each run's own time.

    Args:
      runs: in the order of the config.
      most: members at most; 0: as many as is fast here (4 on a CPU, 32 a device elsewhere) and
        fits.
      shards: processes that divide the groups; groups get smaller until there are as many.

    Returns:
      The groups; every run is in one.
    """
    alike = _alike(runs)
    limits = [most or _most_members(members[0].program) for members in alike]
    counts = [-(-len(members) // limit) for members, limit in zip(alike, limits, strict=True)]
    while sum(counts) < min(shards, len(runs)):
        sizes = [len(members) / count for members, count in zip(alike, counts, strict=True)]
        counts[sizes.index(max(sizes))] += 1
    split = zip(alike, counts, strict=True)
    return [group for members, count in split for group in _in_even_parts(members, count)]


def _alike(runs: Sequence[Run]) -> list[list[Run]]:
    """Collect the runs that could share a program."""
    alike: dict[tuple, list[Run]] = {}
    for index, run in enumerate(runs):
        alone = isinstance(run.data, StreamingDataset) or run.config.prune_during_training
        data = index if alone else run.data.fingerprint
        alike.setdefault((run.program, data, *run.evaluation_steps), []).append(run)
    return list(alike.values())


def _in_even_parts(members: Sequence[Run], count: int) -> Iterator[tuple[Run, ...]]:
    """Cut members into groups whose sizes differ by one at most: equal sizes share a program."""
    ends = [len(members) * part // count for part in range(count + 1)]
    for first, end in itertools.pairwise(ends):
        yield tuple(members[first:end])


def _most_members(program: ProgramConfig) -> int:
    many = MOST_MEMBERS_PER_DEVICE * jax.local_device_count()
    fast = MOST_MEMBERS.get(jax.default_backend(), many)
    return max(1, min(fast, free_bytes() // member_bytes(program)))


def memory_line(group: Sequence[Run]) -> str:
    """Say how much memory a group needs, of how much, before it is trained."""
    needed = len(group) * member_bytes(group[0].program)
    return (
        f"{len(group)} runs in one program, at most {needed / 1e9:.2f} GB of "
        f"{free_bytes() / 1e9:.1f} GB"
    )


def member_bytes(program: ProgramConfig) -> int:
    """Estimate from above the bytes that one member's state and step need.

    8 outputs + 2 states, in float32: outputs = batch x sum over layers of height x width x
    filters; the second state is for gradients and updates. The tests compare it with XLA's account
    of the compiled program.

    Example:
      >>> member_bytes(program) // 2**20  # doctest: +SKIP
      21  # width 0.25, 16x16 gray, batch 40
    """
    plan = program.plan
    outputs = math.prod(plan.input_shape) + sum(math.prod(shape) for shape in plan.conv_shapes)
    hparams = Hparams(*(jnp.float32(0),) * 5, seed=jnp.uint32(0))
    state = jax.eval_shape(functools.partial(init_state, program), hparams)
    state_bytes = sum(leaf.size * leaf.dtype.itemsize for leaf in jax.tree.leaves(state))
    return 4 * _OUTPUTS * program.batch_size * outputs + _STATES * state_bytes


def free_bytes() -> int:
    """Count the bytes of one device that a population may take."""
    device = jax.local_devices()[0]
    limit = (device.memory_stats() or {}).get("bytes_limit") if device.platform != "cpu" else None
    if limit:
        return int(_DEVICE_SHARE * limit)
    return int(_CPU_SHARE * os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))
