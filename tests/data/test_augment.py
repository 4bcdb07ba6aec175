"""Flips and normalisation: relations, and NumPy as the oracle."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sparsity_jax.data.augment import (
    as_tested,
    centre_crop,
    flip,
    normalise,
    random_crop,
    random_resized_crop,
    seen_shape,
)
from sparsity_jax.data.dataset import channel_moments

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


def test_crops_are_windows_and_every_place_is_drawn():
    """8 x 9 images whose pixels tell where they are; windows of 6 x 7 have 9 places."""
    rows, columns = np.mgrid[:8, :9]
    image = np.stack([rows, columns], -1).astype(np.uint8)
    batch = jnp.asarray(np.broadcast_to(image, (900, *image.shape)))
    crops = np.asarray(random_crop(jax.random.key(0), batch, (6, 7)))
    corners = crops[:, 0, 0].astype(int)
    for crop, (top, left) in zip(crops, corners, strict=True):
        assert (crop == image[top : top + 6, left : left + 7]).all()
    _, counts = np.unique(corners, axis=0, return_counts=True)
    assert len(counts) == 9
    assert np.abs(counts - 100).max() < 6 * np.sqrt(900 / 9 * 8 / 9)


def test_a_crop_of_the_whole_image_is_the_image():
    images = jnp.asarray(IMAGES)
    assert (random_crop(jax.random.key(0), images, (5, 6)) == images).all()
    assert (centre_crop(images, (5, 6)) == images).all()


def test_the_centre_is_the_middle():
    images = jnp.asarray(IMAGES)
    assert (centre_crop(images, (3, 2)) == IMAGES[:, 1:4, 2:4]).all()
    zero, one = jnp.zeros(3), jnp.ones(3)
    tested = as_tested(images, size=(3, 2), mean=zero, std=one)
    np.testing.assert_allclose(tested, IMAGES[:, 1:4, 2:4] / 255, rtol=1e-6)


def test_resized_crops_show_windows_of_the_stated_areas_and_shapes():
    """On a ramp, the difference of a crop's borders tells how wide its window was."""
    side = 64
    rows, columns = np.mgrid[:side, :side]
    ramp = np.stack([rows, columns], -1).astype(np.uint8)
    batch = jnp.asarray(np.broadcast_to(ramp, (500, *ramp.shape)))
    crops = np.asarray(random_resized_crop(jax.random.key(0), batch, (56, 56)))
    assert crops.shape == (500, 56, 56, 2)
    heights = (crops[:, -4, 28, 0] - crops[:, 3, 28, 0]) / 49 * 56  # steps between pixel centres
    widths = (crops[:, 28, -4, 1] - crops[:, 28, 3, 1]) / 49 * 56
    areas, ratios = heights * widths / side**2, widths / heights
    assert 0.07 < areas.min() < 0.15
    assert 0.9 < areas.max() < 1.02
    assert 0.4 < areas.mean() < 0.57  # 0.54, less what is cut at the borders
    assert 0.72 < ratios.min() < 0.8
    assert 1.25 < ratios.max() < 1.4
    # A ramp stays a ramp, but for the ripple of antialiasing.
    np.testing.assert_allclose(np.diff(crops[:, 4:-4, 28, 0], 2, axis=1), 0, atol=0.15)


def test_a_constant_image_stays_constant_when_resized():
    images = jnp.full((4, 16, 12, 3), 77, jnp.uint8)
    crops = random_resized_crop(jax.random.key(1), images, (14, 10))
    np.testing.assert_allclose(crops, 77, rtol=1e-5)


def test_crops_are_224_of_256():
    assert seen_shape("crop", (256, 256, 3)) == seen_shape("resized_crop", (256, 256, 3))
    assert seen_shape("crop", (256, 256, 3)) == (224, 224, 3)
    assert seen_shape("flip", (32, 32, 3)) == (32, 32, 3)
