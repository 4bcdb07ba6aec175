"""Evaluation: sums that add up over batches of any size, against the definition in numpy."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sparsity_jax.models import Conv, ConvNet, Plan
from sparsity_jax.training.evaluate import confusion, evaluate

PLAN = Plan("tiny", (Conv(4),), (6, 6, 1), "global", (), 8)
RNG = np.random.default_rng(0)
IMAGES = RNG.integers(0, 256, size=(37, 6, 6, 1)).astype(np.uint8)
LABELS = RNG.integers(0, 8, size=37).astype(np.int32)
SCALE = {"mean": jnp.array([0.5]), "std": jnp.array([0.25])}
VARIABLES = ConvNet(PLAN).init(jax.random.key(0), jnp.zeros((1, 6, 6, 1)))


def test_it_is_the_definition():
    x = (IMAGES / 255.0 - 0.5) / 0.25
    logits = np.asarray(ConvNet(PLAN).apply(VARIABLES, jnp.float32(x)), np.float64)
    shifted = logits - logits.max(axis=1, keepdims=True)
    log_p = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    best = np.argsort(-logits, axis=1)
    score = evaluate(PLAN, VARIABLES, IMAGES, LABELS, **SCALE)
    assert score.loss == pytest.approx(-log_p[np.arange(37), LABELS].mean(), rel=1e-5)
    assert score.error == pytest.approx(100 * (best[:, 0] != LABELS).mean())
    top5 = (best[:, :5] == LABELS[:, None]).any(axis=1)
    assert score.top5_error == pytest.approx(100 * (1 - top5.mean()))


@given(batch_size=st.integers(1, 50), count=st.integers(1, 37))
@settings(max_examples=12, deadline=None)
def test_the_batch_size_does_not_matter(batch_size, count):
    images, labels = IMAGES[:count], LABELS[:count]
    whole = evaluate(PLAN, VARIABLES, images, labels, **SCALE)
    parts = evaluate(PLAN, VARIABLES, images, labels, **SCALE, batch_size=batch_size)
    assert parts.error == whole.error
    assert parts.top5_error == whole.top5_error
    assert parts.loss == pytest.approx(whole.loss, rel=1e-5)


def test_a_network_of_nans_or_of_equal_logits_is_always_wrong():
    for value in (np.nan, 0.0):
        broken = jax.tree.map(lambda leaf, value=value: jnp.full_like(leaf, value), VARIABLES)
        assert evaluate(PLAN, broken, IMAGES, LABELS, **SCALE).error == 100


@given(count=st.integers(1, 37))
@settings(max_examples=6, deadline=None)
def test_confusions_are_counted_by_the_definition(count):
    images, labels = IMAGES[:count], LABELS[:count]
    x = (images / 255.0 - 0.5) / 0.25
    taken = np.argmax(ConvNet(PLAN).apply(VARIABLES, jnp.float32(x)), axis=1)
    found = confusion(PLAN, VARIABLES, images, labels, **SCALE)
    matrix = np.zeros((8, 8), int)
    np.add.at(matrix, (labels, taken), 1)
    again = np.zeros((8, 8), int)
    again[found[:, 0], found[:, 1]] = found[:, 2]
    np.testing.assert_array_equal(again, matrix)
    assert (found[:, 2] > 0).all()


@pytest.mark.parametrize("value", [np.nan, 0.0])
def test_what_is_wrong_is_also_confused(value):
    broken = jax.tree.map(lambda leaf: jnp.full_like(leaf, value), VARIABLES)
    found = confusion(PLAN, broken, IMAGES, LABELS, **SCALE)
    assert found[:, 2].sum() == 37
    assert (found[:, 0] != found[:, 1]).all()
