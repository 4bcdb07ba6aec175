"""A tiny run on a tiny data set."""

import dataclasses

import pytest

from sparsity_jax.data import Dataset
from sparsity_jax.models import Conv, Plan
from sparsity_jax.training import DeviceDataset, ProgramConfig

PLAN = Plan("tiny", (Conv(4, pool=True), Conv(6)), (8, 8, 1), "global", (5,), 3)
SETUP = ProgramConfig(
    plan=PLAN,
    optimizer="adam",
    regularizer="l2",
    wd_mode="schedule",
    batch_size=8,
    drops=((9, 0.1),),
    flip=True,
)


@pytest.fixture(scope="session")
def program() -> ProgramConfig:
    return SETUP


@pytest.fixture(scope="session")
def dataset(toy) -> Dataset:
    return toy(45, 13)


@pytest.fixture(scope="session")
def data(dataset) -> DeviceDataset:
    return DeviceDataset.of(dataset)


@pytest.fixture
def with_program():
    """The tiny program with some fields changed."""
    return lambda **changes: dataclasses.replace(SETUP, **changes)
