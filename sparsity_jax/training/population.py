"""Populations: many runs that train in one program, mapped onto one or more devices.

Everything of a population (hparams, orders, states) has a leading axis of members. A member is one
run: what it computes does not depend on who its neighbours are, nor on its place among them.
Devices split either the members, and never talk, or the batch of a single one, and then sums over
the batch (losses, gradients, BatchNorm's mean and variance) are sums over all of them.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, TypeVar

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.sharding import AxisType, Mesh, NamedSharding
from jax.sharding import PartitionSpec as P

from sparsity_jax.errors import UserError
from sparsity_jax.training.input_pipeline import StreamingDataset
from sparsity_jax.training.state import (
    DeviceDataset,
    Hparams,
    ProgramConfig,
    TrainState,
    epoch_order,
)
from sparsity_jax.training.step import one_step, take_steps, train_steps

Tree = TypeVar("Tree")


class MemberMapping(NamedTuple):
    """Layout of a population's members on devices.

    Fields:
      kind: 'unroll' (each member's operations stand in the program), 'vmap' (batched
        operations) or 'map' (one member after the other).
      device_map: 'shard_map' or 'pmap'; the same program and bits.
      devices: how many devices share the members (or the batch); a divisor of their number.
      split: what the devices divide: 'members', on this host, or the 'batch' of one member, on all
        hosts that work together.
    """

    kind: str
    device_map: str = "shard_map"
    devices: int = 1
    split: str = "members"


def choose_mapping(
    members: int, *, kind: str | None = None, device_map: str = "shard_map", devices: int = 1
) -> MemberMapping:
    """The fastest mapping as far as it was measured.

    On a CPU, per member-step beside a run alone (width 0.25, 4 members, 2 cores quiet and busy):
    unroll 0.92 and 1.14, map 0.96 and 1.02, vmap 1.2 and 1.4; map also compiles but once. GPU and
    TPU get vmap, whose batched products are what fills them; that is not measured.

    Args:
      members: of the population.
      kind: 'unroll', 'vmap' or 'map'; None chooses.
      device_map: 'shard_map' or 'pmap'.
      devices: how many there are; as many are used as divide the members.

    Example:
      >>> choose_mapping(12, kind="map", devices=8).devices
      6
    """
    used = max(count for count in range(1, devices + 1) if members % count == 0)
    fastest = "map" if jax.default_backend() == "cpu" else "vmap"
    return MemberMapping(kind or fastest, device_map, used)


def split_batch(batch_size: int) -> MemberMapping:
    """The mapping of one large run: all devices of all hosts share each of its batches.

    Args:
      batch_size: on one host, as many devices are used as divide it.

    Raises:
      UserError: on several hosts, a batch that their devices cannot share evenly.

    Example:
      >>> split_batch(40).split
      'batch'
    """
    there = jax.device_count()
    used = max(count for count in range(1, there + 1) if batch_size % count == 0)
    if jax.process_count() > 1 and used < there:
        raise UserError(
            f"a batch of {batch_size} cannot be shared by {there} devices of "
            f"{jax.process_count()} hosts; give a multiple"
        )
    return MemberMapping("map", devices=used, split="batch")


def stack(members: Sequence[Tree]) -> Tree:
    """One tree whose leaves have a leading axis of members."""
    return jax.tree.map(lambda *leaves: jnp.stack(leaves), *members)


def member(tree: Tree, index: int) -> Tree:
    """One member's tree out of a population's."""
    return jax.tree.map(lambda leaf: leaf[index], tree)


def train_population(
    program: ProgramConfig,
    hparams: Hparams,
    data: DeviceDataset | StreamingDataset,
    state: TrainState,
    *,
    until: int,
    mapping: MemberMapping,
) -> TrainState:
    """Train a population until step `until` and wait for the result; as `train_steps`, but many.

    Args:
      program: that all members share.
      hparams: leaves (members,).
      data: what to train on; a set that streams can feed one member only.
      state: leaves (members, ...), all at the same step; its buffers are given up.
      until: absolute step, at least the state's.
      mapping: where the members go.

    Returns:
      The state at step `until`. A member that diverged is full of NaN and touches no other.

    Example:
      >>> hparams = stack([hparams_a, hparams_b])  # doctest: +SKIP
      >>> state = stack([state_a, state_b])  # doctest: +SKIP
      >>> mapping = MemberMapping("map")  # doctest: +SKIP
      >>> state = train_population(  # doctest: +SKIP
      ...     program, hparams, data, state, until=10, mapping=mapping
      ... )
    """
    if isinstance(data, StreamingDataset):
        alone = member(hparams, 0), data, member(state, 0)
        return stack([train_steps(program, *alone, until=until, split=_batch_sharding(mapping))])
    step, steps_per_epoch = int(np.asarray(state.step)[0]), data.train_size // program.batch_size
    compiled = _compiled(program, mapping)
    while step < until:
        epoch, place = divmod(step, steps_per_epoch)
        count = min(until - step, steps_per_epoch - place)
        orders = _orders(hparams, epoch, size=data.train_size)
        state = compiled(hparams, orders, state, data, count)
        step += count
    return jax.block_until_ready(state)


def on_devices(tree: Tree, mapping: MemberMapping) -> Tree:
    """The data set, or whatever else all devices of the mapping read, copied to each of them."""
    if mapping.devices == 1 or isinstance(tree, StreamingDataset):
        return tree
    return jax.device_put(jax.device_get(tree), NamedSharding(_mesh(mapping), P()))


@functools.partial(jax.jit, static_argnames="size")
def _orders(hparams: Hparams, epoch: int | jax.Array, *, size: int) -> jax.Array:
    """Every member's order of this epoch's images (members, size)."""
    return jax.vmap(lambda own: epoch_order(own, epoch, size=size))(hparams)


@functools.lru_cache(maxsize=64)
def _compiled(program: ProgramConfig, mapping: MemberMapping) -> Callable[..., TrainState]:
    """The compiled steps of a population: (hparams, orders, state, data, count) -> state."""
    block = functools.partial(_MAPPED[mapping.kind], program)
    if mapping.devices == 1:
        return jax.jit(block, donate_argnums=2)
    if mapping.split == "batch":
        shared = functools.partial(_sharing, program, _batch_sharding(mapping))
        whole = NamedSharding(_mesh(mapping), P())
        return jax.jit(shared, donate_argnums=2, out_shardings=whole)
    split, whole = P("members"), P()
    if mapping.device_map == "shard_map":
        sharded = jax.shard_map(
            block,
            mesh=_mesh(mapping),
            in_specs=(split, split, split, whole, whole),
            out_specs=split,
            check_vma=False,
        )
        return jax.jit(sharded, donate_argnums=2)
    devices = jax.local_devices()[: mapping.devices]
    mapped = jax.pmap(block, in_axes=(0, 0, 0, None, None), devices=devices)

    def compiled(
        hparams: Hparams, orders: Any, state: TrainState, data: DeviceDataset, count: int
    ) -> TrainState:
        blocks = _reshaped((hparams, orders, state), (mapping.devices, -1))
        return _reshaped(mapped(*blocks, data, count), (-1,))

    return compiled


def _mesh(mapping: MemberMapping) -> Mesh:
    """The devices of a mapping in a row, along the axis that they split."""
    there = jax.local_devices() if mapping.split == "members" else jax.devices()
    devices = there[: mapping.devices]
    return jax.make_mesh((len(devices),), (mapping.split,), (AxisType.Auto,), devices=devices)


def _batch_sharding(mapping: MemberMapping) -> NamedSharding | None:
    """Which device takes which images of a batch; None where none is split."""
    if mapping.split == "members" or mapping.devices == 1:
        return None
    return NamedSharding(_mesh(mapping), P("batch"))


def _reshaped(tree: Tree, leading: tuple[int, ...]) -> Tree:
    """Every leaf with its first axis (or first two, where one is wanted) reshaped to `leading`."""
    axes = 3 - len(leading)
    return jax.tree.map(lambda leaf: leaf.reshape(*leading, *leaf.shape[axes:]), tree)


def _unrolled(
    program: ProgramConfig,
    hparams: Hparams,
    orders: jax.Array,
    state: TrainState,
    data: DeviceDataset,
    count: jax.Array,
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
    count: jax.Array,
) -> TrainState:
    def steps(hparams: Hparams, order: jax.Array, state: TrainState) -> TrainState:
        return take_steps(program, hparams, data, order, state, count)

    return jax.vmap(steps)(hparams, orders, state)


def _in_turn(
    program: ProgramConfig,
    hparams: Hparams,
    orders: jax.Array,
    state: TrainState,
    data: DeviceDataset,
    count: jax.Array,
) -> TrainState:
    def steps(own: tuple[Hparams, jax.Array, TrainState]) -> TrainState:
        return take_steps(program, own[0], data, own[1], own[2], count)

    return lax.map(steps, (hparams, orders, state))


def _sharing(
    program: ProgramConfig,
    split: NamedSharding | None,
    hparams: Hparams,
    orders: jax.Array,
    state: TrainState,
    data: DeviceDataset,
    count: jax.Array,
) -> TrainState:
    """The only member's steps, on batches of which every device takes a part."""
    own = member(hparams, 0), data, orders[0], member(state, 0)
    return stack([take_steps(program, *own, count, split=split)])


_MAPPED = {"unroll": _unrolled, "vmap": _vmapped, "map": _in_turn}
