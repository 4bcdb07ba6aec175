"""What is trained by the benchmarks: the project's real step, on noise."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import jax.numpy as jnp
import numpy as np
from timing import Column, timed

from configs.quickstart import get_config
from sparsity_jax.config.sweep import expand
from sparsity_jax.data import Dataset
from sparsity_jax.models import Conv, Plan
from sparsity_jax.models.networks import basicnet
from sparsity_jax.training import (
    DeviceDataset,
    Hparams,
    ProgramConfig,
    TrainState,
    init_state,
    train_steps,
)
from sparsity_jax.training.members import stack
from sparsity_jax.training.population import MemberMapping, train_population
from sparsity_jax.training.run import make_run

BATCH = 40
MAPPINGS = ("vmap", "map", "unroll", "hybrid")
MINIATURE = Plan("miniature", (Conv(4, pool=True), Conv(6)), (8, 8, 1), "global", (5,), 10)


@dataclasses.dataclass(frozen=True)
class Workload:
    """A program and the data that it trains on."""

    program: ProgramConfig
    data: DeviceDataset


def plan_of(network: str) -> Plan:
    """BasicNet by width, side and channels: '0.25x16x1'; or the 'miniature'."""
    if network == MINIATURE.name:
        return MINIATURE
    width, side, channels = network.split("x")
    return basicnet(classes=10, input_shape=(int(side), int(side), int(channels)), width=width)


def make_workload(plan: Plan, *, images: int, program: ProgramConfig | None = None) -> Workload:
    """Adam with L2 (unless a setup says otherwise) on that many images of noise."""
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (images, *plan.input_shape), np.uint8)
    labels = rng.integers(0, plan.classes, images).astype(np.int32)
    half = np.full(plan.input_shape[2], 0.5, np.float32)
    data = DeviceDataset(*map(jnp.asarray, (pixels, labels, pixels[:1], labels[:1], half, half)))
    own = ProgramConfig(plan, "adam", "l2", "schedule", BATCH, (), flip=False)
    return Workload(program or own, data)


def quick_start(seeds: int) -> tuple[Workload, list[Hparams]]:
    """The quick start's Adam + L2 with that many seeds, on noise of its shape and size."""
    config = get_config()
    config.seeds, config.sweep = seeds, ({"optimizer": "adam", "regularizer": "l2"},)
    views = config.to_dict()["renderings"]
    shape = (views["train_views"], views["size"], views["size"], 1)
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, shape, np.uint8)
    labels = rng.integers(0, 10, len(images)).astype(np.int32)
    noise = Dataset("noise", images, labels, images[:40], labels[:40], tuple("0123456789"))
    data = DeviceDataset.of(noise)
    jobs = [make_run(run, noise, data, Path()) for run in expand(config)]
    return Workload(jobs[0].program, data), [job.hparams for job in jobs]


def seeded(count: int) -> list[Hparams]:
    """Members that differ in their seeds."""
    numbers = [jnp.float32(value) for value in (1e-3, 1e-3, 1, 1, 0)]
    zero = jnp.float32(0)
    return [Hparams(*numbers, seed=jnp.uint32(seed), gamma_l1=zero) for seed in range(count)]


def alone(work: Workload, own: Hparams) -> Column:
    """One run."""
    return one_after_the_other(work, [own])


def one_after_the_other(work: Workload, members: Sequence[Hparams]) -> Column:
    """Every member takes the steps by itself; then the next does."""
    states = [init_state(work.program, own) for own in members]

    def steps(count: int) -> None:
        for i, own in enumerate(members):
            until = int(states[i].step) + count
            states[i] = train_steps(work.program, own, work.data, states[i], until=until)

    return timed(steps)


def together(work: Workload, members: Sequence[Hparams], mapping: MemberMapping) -> Column:
    """All members take the steps in one program. Its state is made when it is first called."""
    hparams, state = stack(members), None

    def steps(count: int) -> None:
        nonlocal state
        begun = state or fresh(work, members)
        until = int(begun.step[0]) + count
        state = train_population(
            work.program, hparams, work.data, begun, until=until, mapping=mapping
        )

    return timed(steps)


def fresh(work: Workload, members: Sequence[Hparams]) -> TrainState:
    """The members' stacked state before their first step."""
    return stack([init_state(work.program, own) for own in members])
