"""A population is its members: what one computes does not depend on the others."""

import dataclasses
import json
import os
import subprocess
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from sparsity_jax.data import Dataset, Stream
from sparsity_jax.distributed import graphs
from sparsity_jax.models import Conv, Plan
from sparsity_jax.models.networks import basicnet
from sparsity_jax.training import (
    DeviceDataset,
    Hparams,
    ProgramConfig,
    StreamingDataset,
    init_state,
    population,
    train_steps,
)
from sparsity_jax.training.grouping import member_bytes
from sparsity_jax.training.members import MAPPED, member, stack
from sparsity_jax.training.population import (
    EpochOrders,
    MemberMapping,
    _compiled,
    choose_mapping,
    on_devices,
    split_batch,
    train_population,
)

PLAN = Plan("tiny", (Conv(4, pool=True), Conv(6)), (8, 8, 1), "global", (5,), 3)
SETUP = ProgramConfig(PLAN, "adam", "l2", "schedule", 8, ((7, 0.1),), flip=True)


def hparams(seed: int, strength: float = 1e-3, rate: float = 1e-3) -> Hparams:
    numbers = {"learning_rate": rate, "strength": strength, "beta_init": 0.0, "gamma_l1": 0.0}
    scales = {"gamma_lr_scale": 1.0, "beta_lr_scale": 1.0}
    values = {name: jnp.float32(value) for name, value in (numbers | scales).items()}
    return Hparams(**values, seed=jnp.uint32(seed))


MEMBERS = [hparams(0), hparams(1), hparams(0, strength=0.1), hparams(7, rate=1e-2)]


@pytest.fixture(scope="module")
def data() -> DeviceDataset:
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (40, 8, 8, 1), np.uint8)
    labels = rng.integers(0, 3, 40).astype(np.int32)
    half = np.full(1, 0.5, np.float32)
    return DeviceDataset(*map(jnp.asarray, (images, labels, images, labels, half, half)))


@pytest.fixture(scope="module")
def alone(data: DeviceDataset) -> list:
    """Each member trained by itself."""
    return [train_steps(SETUP, own, data, init_state(SETUP, own), until=12) for own in MEMBERS]


def together(data: DeviceDataset, members: list, mapping: MemberMapping, *, until: int = 12):
    state = stack([init_state(SETUP, own) for own in members])
    for step in (5, until):  # 5 steps an epoch: the second call spans two epochs
        state = train_population(SETUP, stack(members), data, state, until=step, mapping=mapping)
    return state


def same(a, b) -> bool:
    pairs = zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True)
    return all(np.array_equal(np.asarray(x), np.asarray(y), equal_nan=True) for x, y in pairs)


@pytest.mark.parametrize("mapping", ["unroll", "map"])
def test_members_are_bit_for_bit_the_runs_alone(data, alone, mapping):
    state = together(data, MEMBERS, MemberMapping(mapping))
    assert all(same(member(state, i), own) for i, own in enumerate(alone))


@pytest.mark.parametrize("mapping", ["vmap", "hybrid"])
def test_batched_members_are_the_runs_alone_up_to_rounding(data, alone, mapping):
    state = together(data, MEMBERS, MemberMapping(mapping))
    for i, own in enumerate(alone):
        for got, expected in zip(
            jax.tree.leaves(member(state, i).variables), jax.tree.leaves(own.variables), strict=True
        ):
            np.testing.assert_allclose(got, expected, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("mapping", MAPPED)
def test_neither_place_nor_a_diverging_neighbour_changes_a_member(data, mapping):
    usual = together(data, MEMBERS, MemberMapping(mapping))
    wild = [hparams(3, rate=1e30), *MEMBERS[:2][::-1], MEMBERS[3]]
    mixed = together(data, wild, MemberMapping(mapping))
    assert not np.isfinite(np.asarray(mixed.loss_sum[0]))
    assert [same(member(mixed, i), member(usual, j)) for i, j in ((1, 1), (2, 0), (3, 3))] == [
        True
    ] * 3


@pytest.mark.parametrize("streams", [False, True])
def test_devices_that_split_the_batch_are_one_device_up_to_rounding(data, streams):
    """BatchNorm's statistics too: they are those of the whole batch."""
    mapping = split_batch(SETUP.batch_size)
    assert mapping.devices == 4  # as conftest has them
    own = stack(MEMBERS[:1])
    state = on_devices(stack([init_state(SETUP, MEMBERS[0])]), mapping)
    images, labels = np.asarray(data.train_images), np.asarray(data.train_labels)
    toy = Dataset("toy", images, labels, images, labels, ("a", "b", "c"))
    exact = dataclasses.replace(data, mean=jnp.array(toy.mean), std=jnp.array(toy.std))
    there = StreamingDataset(Stream.of(toy)) if streams else on_devices(exact, mapping)
    state = train_population(SETUP, own, there, state, until=12, mapping=mapping)
    alone = train_steps(SETUP, MEMBERS[0], exact, init_state(SETUP, MEMBERS[0]), until=12)
    assert state.loss_sum.sharding.num_devices == 4
    for got, expected in zip(
        jax.tree.leaves(member(state, 0)), jax.tree.leaves(alone), strict=True
    ):
        np.testing.assert_allclose(got, expected, rtol=1e-4, atol=1e-5)


def test_a_batch_that_no_two_devices_divide_stays_on_one():
    assert split_batch(7).devices == 1
    assert split_batch(6).devices == 3


def test_a_fixed_number_of_steps_is_that_number_of_steps(data):
    mapping = MemberMapping("map")
    own, start = stack(MEMBERS[:2]), stack([init_state(SETUP, own) for own in MEMBERS[:2]])
    orders = EpochOrders(own, data).of(0)
    a, b = (
        _compiled(SETUP, mapping, fixed, ())(own, orders, jax.tree.map(jnp.copy, start), data, 3)
        for fixed in (None, 3)
    )
    assert a.step.tolist() == [3, 3]
    for got, expected in zip(jax.tree.leaves(b), jax.tree.leaves(a), strict=True):
        np.testing.assert_allclose(got, expected, rtol=1e-4, atol=1e-5)


def test_an_epoch_is_drawn_once(data, monkeypatch):
    drawn = []
    monkeypatch.setattr(
        population, "_orders", lambda hparams, epoch, size: drawn.append(epoch) or np.arange(size)
    )
    orders = EpochOrders(stack(MEMBERS), data)
    for epoch in (0, 0, 0, 1, 1, 2, 0):
        orders.of(epoch)
    assert drawn == [0, 1, 2, 0]


def test_a_gpu_batches_members_and_leaves_one_alone(monkeypatch):
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    assert [choose_mapping(n, devices=4).kind for n in (1, 4, 7, 8)] == [
        "unroll", "unroll", "hybrid", "hybrid",
    ]  # fmt: skip
    assert choose_mapping(7, kind="vmap").kind == "vmap"


def test_training_as_a_gpu_does_it_is_the_runs_alone_up_to_rounding(data, alone, monkeypatch):
    """Fixed calls, compiler options, convolutions by member, two-stage norms: run on a CPU."""
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    monkeypatch.setattr("sparsity_jax.training.calls.FIXED_STEPS", 3)
    built = []
    compiled = population._compiled
    monkeypatch.setattr(
        population, "_compiled", lambda *given: built.append(given[2:]) or compiled(*given)
    )
    state = together(data, MEMBERS[:2], choose_mapping(2))
    options = graphs.compiler_options()
    assert options
    # 5 steps an epoch, looks at 5 and 12: calls of 3 and 2, 3 and 2, 2.
    assert built == [(3, options), (None, options)] * 2 + [(None, options)]
    for i, own in enumerate(alone[:2]):
        for got, expected in zip(
            jax.tree.leaves(member(state, i).variables), jax.tree.leaves(own.variables), strict=True
        ):
            np.testing.assert_allclose(got, expected, rtol=1e-3, atol=1e-4)


def test_strengths_rates_and_seeds_share_one_program(data):
    _compiled.cache_clear()
    mapping = MemberMapping("map")
    together(data, MEMBERS[:2], mapping)
    together(data, MEMBERS[2:], mapping)
    assert _compiled.cache_info().misses == 1
    assert _compiled(SETUP, mapping, None, ())._cache_size() == 1


def test_choose_layout_uses_as_many_devices_as_divide_the_members():
    assert [choose_mapping(n, devices=8).devices for n in (1, 3, 8, 11, 12, 16)] == [
        1, 3, 8, 1, 6, 8,
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("width", "side", "members"), [("0.25", 16, 1), ("0.25", 16, 3), ("0.125", 32, 2)]
)
def test_the_memory_estimate_is_above_the_compilers_account_but_not_by_much(width, side, members):
    plan = basicnet(classes=10, input_shape=(side, side, 1), width=width)
    program = ProgramConfig(plan, "adam", "l2", "schedule", 40, (), flip=True)
    own = stack([hparams(seed) for seed in range(members)])
    shapes = jax.eval_shape(jax.vmap(lambda each: init_state(program, each)), own)
    some = np.zeros((80, side, side, 1), np.uint8), np.zeros(80, np.int32)
    data = DeviceDataset(*some, *some, np.ones(1, np.float32), np.ones(1, np.float32))
    orders = np.zeros((members, 80), np.int32)
    compiled = (
        _compiled(program, MemberMapping("unroll"), None, ())
        .lower(own, orders, shapes, data, 3)
        .compile()
    )
    account = compiled.memory_analysis()
    needed = account.temp_size_in_bytes + account.output_size_in_bytes
    assert needed < members * member_bytes(program) < 4 * needed


def test_eight_devices_give_the_bits_of_one_and_never_talk():
    """In a process of its own, because the number of devices is fixed when JAX starts."""
    environment = os.environ | {"JAX_NUM_CPU_DEVICES": "8"}
    script = Path(__file__).parents[1] / "helpers" / "on_eight_devices.py"
    done = subprocess.run(
        [sys.executable, str(script)], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    found = json.loads(done.stdout.splitlines()[-1])
    assert found == {
        "devices": 8,
        "shard_map is one device": True,
        "pmap is shard_map": True,
        "shards": 8,
        "collectives": [],
    }
