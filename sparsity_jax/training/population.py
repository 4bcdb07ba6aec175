"""Populations: many runs that train in one program, mapped onto one or more devices.

Everything of a population (hparams, orders, states) has a leading axis of members. A member is one
run: what it computes does not depend on who its neighbours are, nor on its place among them.
Devices split either the members, and never talk, or the batch of a single one, and then sums over
the batch (losses, gradients, BatchNorm's mean and variance) are sums over all of them.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, NamedTuple, TypeVar

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import AxisType, Mesh, NamedSharding
from jax.sharding import PartitionSpec as P

from sparsity_jax.distributed import graphs
from sparsity_jax.errors import UserError
from sparsity_jax.training.calls import calls
from sparsity_jax.training.input_pipeline import StreamingDataset
from sparsity_jax.training.members import MAPPED, member, sharing, stack
from sparsity_jax.training.state import (
    DeviceDataset,
    Hparams,
    ProgramConfig,
    TrainState,
    epoch_order,
)
from sparsity_jax.training.step import train_steps

Tree = TypeVar("Tree")


class MemberMapping(NamedTuple):
    """Layout of a population's members on devices.

    Fields:
      kind: 'unroll' (each member's operations stand in the program), 'vmap' (batched
        operations), 'hybrid' (batched, but convolutions member by member) or 'map' (one member
        after the other).
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
    """The fastest mapping, as far as it was measured or can be predicted.

    On a CPU, per member-step beside a run alone (width 0.25, 4 members, 2 cores quiet and busy):
    unroll 0.92 and 1.14, map 0.96 and 1.02, vmap 1.2 and 1.4; map also compiles but once. A GPU
    gets hybrid by prediction, not by measurement: about as few kernels as vmap, and none of its
    grouped convolutions; one member on a device is the run alone. TPUs get vmap, not measured.

    Args:
      members: of the population.
      kind: 'unroll', 'vmap', 'hybrid' or 'map'; None chooses.
      device_map: 'shard_map' or 'pmap'.
      devices: how many there are; as many are used as divide the members.

    Example:
      >>> choose_mapping(12, kind="map", devices=8).devices
      6
    """
    used = max(count for count in range(1, devices + 1) if members % count == 0)
    fastest = {"cpu": "map", "gpu": "hybrid" if members > used else "unroll"}
    return MemberMapping(kind or fastest.get(jax.default_backend(), "vmap"), device_map, used)


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


class EpochOrders:
    """Every member's order of images in the latest epoch asked for, drawn once.

    Args:
      hparams: leaves (members,).
      data: what is trained on.
    """

    def __init__(self, hparams: Hparams, data: DeviceDataset | StreamingDataset) -> None:
        self._hparams, self._size = hparams, data.train_size
        self._epoch, self._orders = -1, jnp.zeros(0)

    def of(self, epoch: int) -> jax.Array:
        """The orders (members, images) of an epoch."""
        if epoch != self._epoch:
            self._orders = _orders(self._hparams, epoch, size=self._size)
            self._epoch = epoch
        return self._orders


def train_population(
    program: ProgramConfig,
    hparams: Hparams,
    data: DeviceDataset | StreamingDataset,
    state: TrainState,
    *,
    until: int,
    mapping: MemberMapping,
    orders: EpochOrders | None = None,
) -> TrainState:
    """Train a population until step `until` and wait for the result; as `train_steps`, but many.

    Args:
      program: that all members share.
      hparams: leaves (members,).
      data: what to train on; a set that streams can feed one member only.
      state: leaves (members, ...), all at the same step; its buffers are given up.
      until: absolute step, at least the state's.
      mapping: where the members go.
      orders: of these hparams and data, for calls that follow each other within an epoch.

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
    orders, options = orders or EpochOrders(hparams, data), graphs.compiler_options()
    start, steps_per_epoch = int(np.asarray(state.step)[0]), data.train_size // program.batch_size
    for call in calls(start, until, steps_per_epoch=steps_per_epoch):
        fixed = call.steps if call.fixed else None
        compiled = _compiled(program, mapping, fixed, options)
        state = compiled(hparams, orders.of(call.epoch), state, data, call.steps)
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
def _compiled(
    program: ProgramConfig,
    mapping: MemberMapping,
    fixed: int | None,
    options: graphs.Options,
) -> Callable[..., TrainState]:
    """The compiled steps of a population: (hparams, orders, state, data, count) -> state.

    Args:
      program: of every member.
      mapping: of the members.
      fixed: the only count that is taken; None: any.
      options: of the compiler.
    """
    jit = functools.partial(jax.jit, donate_argnums=2, compiler_options=dict(options))
    block = _fixed(functools.partial(MAPPED[mapping.kind], program), fixed)
    if mapping.devices == 1:
        return jit(block)
    if mapping.split == "batch":
        shared = functools.partial(sharing, program, _batch_sharding(mapping))
        return jit(_fixed(shared, fixed), out_shardings=NamedSharding(_mesh(mapping), P()))
    split, whole = P("members"), P()
    if mapping.device_map == "shard_map":
        sharded = jax.shard_map(
            block,
            mesh=_mesh(mapping),
            in_specs=(split, split, split, whole, whole),
            out_specs=split,
            check_vma=False,
        )
        return jit(sharded)
    devices = jax.local_devices()[: mapping.devices]
    mapped = jax.pmap(block, in_axes=(0, 0, 0, None, None), devices=devices)

    def compiled(
        hparams: Hparams, orders: Any, state: TrainState, data: DeviceDataset, count: int
    ) -> TrainState:
        blocks = _reshaped((hparams, orders, state), (mapping.devices, -1))
        return _reshaped(mapped(*blocks, data, count), (-1,))

    return compiled


def _fixed(steps: Callable[..., TrainState], count: int | None) -> Callable[..., TrainState]:
    """The steps as they are, or always as many as `count`, whatever number they are called with."""
    if count is None:
        return steps

    def fixed_steps(
        hparams: Hparams, orders: jax.Array, state: TrainState, data: DeviceDataset, _: Any
    ) -> TrainState:
        return steps(hparams, orders, state, data, count)

    return fixed_steps


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
