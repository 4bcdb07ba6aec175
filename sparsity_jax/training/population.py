"""How do many runs train in one program: mapped onto a device how, and onto which devices?

Everything of a population (hypers, orders, states) has a leading axis of members. A member is one
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
from sparsity_jax.training.order import epoch_order
from sparsity_jax.training.state import Corpus, Hypers, Setup, State
from sparsity_jax.training.step import advance, one_step, take_steps
from sparsity_jax.training.streamed import StreamedCorpus

Tree = TypeVar("Tree")


class Layout(NamedTuple):
    """How the members of a population are laid out.

    Fields:
      mapping: 'unroll' (each member's operations stand in the program), 'vmap' (batched
        operations) or 'map' (one member after the other).
      device_map: 'shard_map' or 'pmap'; the same program and bits.
      devices: how many devices share the members (or the batch); a divisor of their number.
      split: what the devices divide: 'members', on this host, or the 'batch' of one member, on all
        hosts that work together.
    """

    mapping: str
    device_map: str = "shard_map"
    devices: int = 1
    split: str = "members"


def choose_layout(
    members: int, *, mapping: str | None = None, device_map: str = "shard_map", devices: int = 1
) -> Layout:
    """The fastest layout as far as it was measured.

    On a CPU, per member-step beside a run alone (width 0.25, 4 members, 2 cores quiet and busy):
    unroll 0.92 and 1.14, map 0.96 and 1.02, vmap 1.2 and 1.4; map also compiles but once. GPU and
    TPU get vmap, whose batched products are what fills them; that is not measured.

    Args:
      members: of the population.
      mapping: 'unroll', 'vmap' or 'map'; None chooses.
      device_map: 'shard_map' or 'pmap'.
      devices: how many there are; as many are used as divide the members.

    Example:
      >>> choose_layout(12, mapping="map", devices=8).devices
      6
    """
    used = max(count for count in range(1, devices + 1) if members % count == 0)
    fastest = "map" if jax.default_backend() == "cpu" else "vmap"
    return Layout(mapping or fastest, device_map, used)


def split_batch(batch_size: int) -> Layout:
    """The layout of one large run: all devices of all hosts share each of its batches.

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
    return Layout("map", devices=used, split="batch")


def stack(members: Sequence[Tree]) -> Tree:
    """One tree whose leaves have a leading axis of members."""
    return jax.tree.map(lambda *leaves: jnp.stack(leaves), *members)


def member(tree: Tree, index: int) -> Tree:
    """One member's tree out of a population's."""
    return jax.tree.map(lambda leaf: leaf[index], tree)


def advance_members(
    setup: Setup,
    hypers: Hypers,
    corpus: Corpus | StreamedCorpus,
    state: State,
    *,
    until: int,
    layout: Layout,
) -> State:
    """Train a population until step `until` and wait for the result; as `advance`, but many.

    Args:
      setup: that all members share.
      hypers: leaves (members,).
      corpus: the data; one that streams can feed one member only.
      state: leaves (members, ...), all at the same step; its buffers are given up.
      until: absolute step, at least the state's.
      layout: where the members go.

    Returns:
      The state at step `until`. A member that diverged is full of NaN and touches no other.

    Example:
      >>> hypers, state = stack([hypers_a, hypers_b]), stack([state_a, state_b])
      >>> state = advance_members(setup, hypers, corpus, state, until=10, layout=Layout("map"))
    """
    if isinstance(corpus, StreamedCorpus):
        alone = member(hypers, 0), corpus, member(state, 0)
        return stack([advance(setup, *alone, until=until, split=_batch_sharding(layout))])
    step, steps_per_epoch = int(np.asarray(state.step)[0]), corpus.train_size // setup.batch_size
    program = _program(setup, layout)
    while step < until:
        epoch, place = divmod(step, steps_per_epoch)
        count = min(until - step, steps_per_epoch - place)
        orders = _orders(hypers, epoch, size=corpus.train_size)
        state = program(hypers, orders, state, corpus, count)
        step += count
    return jax.block_until_ready(state)


def on_devices(tree: Tree, layout: Layout) -> Tree:
    """The corpus, or whatever else all devices of the layout read, with a copy on each of them."""
    if layout.devices == 1 or isinstance(tree, StreamedCorpus):
        return tree
    return jax.device_put(jax.device_get(tree), NamedSharding(_mesh(layout), P()))


@functools.partial(jax.jit, static_argnames="size")
def _orders(hypers: Hypers, epoch: int | jax.Array, *, size: int) -> jax.Array:
    """Every member's order of this epoch's images (members, size)."""
    return jax.vmap(lambda own: epoch_order(own, epoch, size=size))(hypers)


@functools.lru_cache(maxsize=64)
def _program(setup: Setup, layout: Layout) -> Callable[..., State]:
    """The compiled steps of a population: (hypers, orders, state, corpus, count) -> state."""
    block = functools.partial(_MAPPED[layout.mapping], setup)
    if layout.devices == 1:
        return jax.jit(block, donate_argnums=2)
    if layout.split == "batch":
        shared = functools.partial(_sharing, setup, _batch_sharding(layout))
        whole = NamedSharding(_mesh(layout), P())
        return jax.jit(shared, donate_argnums=2, out_shardings=whole)
    split, whole = P("members"), P()
    if layout.device_map == "shard_map":
        sharded = jax.shard_map(
            block,
            mesh=_mesh(layout),
            in_specs=(split, split, split, whole, whole),
            out_specs=split,
            check_vma=False,
        )
        return jax.jit(sharded, donate_argnums=2)
    devices = jax.local_devices()[: layout.devices]
    mapped = jax.pmap(block, in_axes=(0, 0, 0, None, None), devices=devices)

    def program(hypers: Hypers, orders: Any, state: State, corpus: Corpus, count: int) -> State:
        blocks = _reshaped((hypers, orders, state), (layout.devices, -1))
        return _reshaped(mapped(*blocks, corpus, count), (-1,))

    return program


def _mesh(layout: Layout) -> Mesh:
    """The layout's devices in a row, along the axis that they split."""
    there = jax.local_devices() if layout.split == "members" else jax.devices()
    devices = there[: layout.devices]
    return jax.make_mesh((len(devices),), (layout.split,), (AxisType.Auto,), devices=devices)


def _batch_sharding(layout: Layout) -> NamedSharding | None:
    """Which device takes which images of a batch; None where none is split."""
    if layout.split == "members" or layout.devices == 1:
        return None
    return NamedSharding(_mesh(layout), P("batch"))


def _reshaped(tree: Tree, leading: tuple[int, ...]) -> Tree:
    """Every leaf with its first axis (or first two, where one is wanted) reshaped to `leading`."""
    axes = 3 - len(leading)
    return jax.tree.map(lambda leaf: leaf.reshape(*leading, *leaf.shape[axes:]), tree)


def _unrolled(
    setup: Setup, hypers: Hypers, orders: jax.Array, state: State, corpus: Corpus, count: jax.Array
) -> State:
    """All members take a step, then all the next: their operations may overlap."""
    who = range(len(state.step))
    own = [(member(hypers, index), corpus, orders[index]) for index in who]

    def body(_: jax.Array, states: list[State]) -> list[State]:
        return [one_step(setup, *own[index], states[index]) for index in who]

    return stack(lax.fori_loop(0, count, body, [member(state, index) for index in who]))


def _vmapped(
    setup: Setup, hypers: Hypers, orders: jax.Array, state: State, corpus: Corpus, count: jax.Array
) -> State:
    def steps(hypers: Hypers, order: jax.Array, state: State) -> State:
        return take_steps(setup, hypers, corpus, order, state, count)

    return jax.vmap(steps)(hypers, orders, state)


def _in_turn(
    setup: Setup, hypers: Hypers, orders: jax.Array, state: State, corpus: Corpus, count: jax.Array
) -> State:
    def steps(own: tuple[Hypers, jax.Array, State]) -> State:
        return take_steps(setup, own[0], corpus, own[1], own[2], count)

    return lax.map(steps, (hypers, orders, state))


def _sharing(
    setup: Setup,
    split: NamedSharding | None,
    hypers: Hypers,
    orders: jax.Array,
    state: State,
    corpus: Corpus,
    count: jax.Array,
) -> State:
    """The only member's steps, on batches of which every device takes a part."""
    own = member(hypers, 0), corpus, orders[0], member(state, 0)
    return stack([take_steps(setup, *own, count, split=split)])


_MAPPED = {"unroll": _unrolled, "vmap": _vmapped, "map": _in_turn}
