"""Steps of a population's members in one program: one function for each kind of mapping.

Each takes (program, hparams, orders, state, data, count); hparams, orders and state have a leading
axis of members, and every member takes `count` steps within one epoch.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import TypeVar

import jax
import jax.numpy as jnp
from jax import lax
from jax.sharding import NamedSharding
from jax.typing import ArrayLike

from sparsity_jax.training.state import DeviceDataset, Hparams, ProgramConfig, TrainState
from sparsity_jax.training.step import one_step, take_steps

Tree = TypeVar("Tree")


def stack(members: Sequence[Tree]) -> Tree:
    """One tree whose leaves have a leading axis of members."""
    return jax.tree.map(lambda *leaves: jnp.stack(leaves), *members)


def member(tree: Tree, index: int | jax.Array) -> Tree:
    """One member's tree out of a population's."""
    return jax.tree.map(lambda leaf: leaf[index], tree)


@jax.jit
def _sliced(tree: Tree, index: jax.Array) -> Tree:
    return member(tree, index)


def member_near(tree: Tree, index: int) -> Tree:
    """One member's tree where reading it costs least, not all of it being read.

    On a CPU that is the host, which shares its memory. Elsewhere it stays on the first device of
    this process, sliced in one call; a tree that lies on other hosts too is fetched.
    """
    leaves = jax.tree.leaves(tree)
    elsewhere = any(not leaf.is_fully_addressable for leaf in leaves)
    if jax.default_backend() == "cpu" or elsewhere:
        return member(jax.device_get(tree), index)
    own = _sliced(tree, jnp.int32(index))
    spread = any(leaf.sharding.num_devices > 1 for leaf in leaves)
    return jax.device_put(own, jax.local_devices()[0]) if spread else own


def _unrolled(
    program: ProgramConfig,
    hparams: Hparams,
    orders: jax.Array,
    state: TrainState,
    data: DeviceDataset,
    count: ArrayLike,
) -> TrainState:
    """All members take a step, then all the next: their operations may overlap."""
    who = range(len(state.step))
    own = [(member(hparams, index), data, orders[index]) for index in who]

    def body(_: jax.Array, states: list[TrainState]) -> list[TrainState]:
        return [one_step(program, *own[index], states[index]) for index in who]

    return stack(lax.fori_loop(0, count, body, [member(state, index) for index in who]))


def _vmapped(
    program: ProgramConfig,
    hparams: Hparams,
    orders: jax.Array,
    state: TrainState,
    data: DeviceDataset,
    count: ArrayLike,
) -> TrainState:
    def steps(hparams: Hparams, order: jax.Array, state: TrainState) -> TrainState:
        return take_steps(program, hparams, data, order, state, count)

    return jax.vmap(steps)(hparams, orders, state)


def _hybrid(
    program: ProgramConfig,
    hparams: Hparams,
    orders: jax.Array,
    state: TrainState,
    data: DeviceDataset,
    count: ArrayLike,
) -> TrainState:
    """As `_vmapped`, but that every member's convolutions stay its own."""
    own = dataclasses.replace(program, by_member=True)
    return _vmapped(own, hparams, orders, state, data, count)


def _in_turn(
    program: ProgramConfig,
    hparams: Hparams,
    orders: jax.Array,
    state: TrainState,
    data: DeviceDataset,
    count: ArrayLike,
) -> TrainState:
    def steps(own: tuple[Hparams, jax.Array, TrainState]) -> TrainState:
        return take_steps(program, own[0], data, own[1], own[2], count)

    return lax.map(steps, (hparams, orders, state))


def sharing(
    program: ProgramConfig,
    split: NamedSharding | None,
    hparams: Hparams,
    orders: jax.Array,
    state: TrainState,
    data: DeviceDataset,
    count: ArrayLike,
) -> TrainState:
    """The only member's steps, on batches of which every device takes a part."""
    own = member(hparams, 0), data, orders[0], member(state, 0)
    return stack([take_steps(program, *own, count, split=split)])


MAPPED = {"unroll": _unrolled, "vmap": _vmapped, "map": _in_turn, "hybrid": _hybrid}
