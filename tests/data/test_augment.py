"""Flips and normalisation: relations, and NumPy as the oracle."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sparsity_jax.data.arrays import channel_moments
from sparsity_jax.data.augment import flip, normalise

IMAGES = np.random.default_rng(0).integers(0, 256, (64, 5, 6, 3), dtype=np.uint8)


def test_normalised_training_set_has_mean_0_and_std_1():
    pixels = np.asarray(normalise(jnp.asarray(IMAGES), *map(jnp.asarray, channel_moments(IMAGES))))
    assert pixels.dtype == np.float32
    np.testing.assert_allclose(pixels.mean((0, 1, 2)), 0, atol=1e-5)
    np.testing.assert_allclose(pixels.std((0, 1, 2)), 1, atol=1e-5)


def test_normalise_agrees_with_float64():
    mean, std = np.array([[0.1, 0.5, 0.9], [0.2, 0.3, 1.5]], np.float32)
    expected = (IMAGES.astype(np.float64) / 255 - mean) / std
    actual = jax.jit(normalise)(jnp.asarray(IMAGES), jnp.asarray(mean), jnp.asarray(std))
    np.testing.assert_allclose(actual, expected, atol=1e-5)


@settings(deadline=None, max_examples=20)
@given(seed=st.integers(0, 2**31 - 1))
def test_each_image_is_itself_or_its_mirror(seed):
    flipped = np.asarray(flip(jax.random.key(seed), jnp.asarray(IMAGES)))
    assert flipped.dtype == np.uint8
    same = (flipped == IMAGES).all((1, 2, 3))
    mirrored = (flipped == IMAGES[:, :, ::-1]).all((1, 2, 3))
    assert (same ^ mirrored).all()
    assert 0 < mirrored.sum() < len(IMAGES)  # 2 ** -63 to fail


def test_same_key_twice_is_the_identity():
    key, images = jax.random.key(3), jnp.asarray(IMAGES)
    once = flip(key, images)
    assert (once != images).any()
    np.testing.assert_array_equal(flip(key, once), images)
    np.testing.assert_array_equal(jax.jit(flip)(key, images), once)


def test_other_key_flips_other_images():
    images = jnp.asarray(IMAGES)
    assert (flip(jax.random.key(1), images) != flip(jax.random.key(2), images)).any()


@pytest.mark.parametrize("count", [1, 40])
def test_half_are_flipped_at_every_place(count):
    """Binomial(2000, 1/2) at each place of the batch, 6 standard deviations allowed."""
    images = jnp.tile(jnp.array([0, 1], jnp.uint8).reshape(1, 1, 2, 1), (count, 1, 1, 1))
    keys = jax.random.split(jax.random.key(0), 2000)
    flips = np.asarray(jax.vmap(lambda key: flip(key, images))(keys))[:, :, 0, 0, 0]
    assert np.abs(flips.mean(0) - 0.5).max() < 6 * 0.5 / np.sqrt(2000)
    if count > 1:  # neighbours do not flip together
        agreement = (flips[:, :-1] == flips[:, 1:]).mean(0)
        assert np.abs(agreement - 0.5).max() < 6 * 0.5 / np.sqrt(2000)
