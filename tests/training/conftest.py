"""A tiny run on a tiny data set."""

import dataclasses

import numpy as np
import pytest

from sparsity_jax.data import Dataset
from sparsity_jax.models import Conv, Plan
from sparsity_jax.training import Corpus, Setup

PLAN = Plan("tiny", (Conv(4, pool=True), Conv(6)), (8, 8, 1), "global", (5,), 3)
SETUP = Setup(
    plan=PLAN,
    optimizer="adam",
    regularizer="l2",
    wd_mode="schedule",
    batch_size=8,
    drops=((9, 0.1),),
    flip=True,
)


@pytest.fixture(scope="session")
def setup() -> Setup:
    return SETUP


@pytest.fixture(scope="session")
def dataset() -> Dataset:
    """Three classes that differ in brightness; 45 images for training, 13 for testing."""
    rng = np.random.default_rng(0)

    def split(size):
        labels = np.arange(size, dtype=np.int32) % 3
        noise = rng.integers(0, 60, size=(size, 8, 8, 1))
        return (noise + 80 * labels[:, None, None, None]).astype(np.uint8), labels

    return Dataset("toy", *split(45), *split(13), class_names=("dark", "gray", "light"))


@pytest.fixture(scope="session")
def corpus(dataset) -> Corpus:
    return Corpus.of(dataset)


@pytest.fixture
def with_setup():
    """The tiny setup with some fields changed."""
    return lambda **changes: dataclasses.replace(SETUP, **changes)
