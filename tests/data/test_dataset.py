"""Data set values: what is refused, and constants against NumPy in float64."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from sparsity_jax.data import dataset as arrays
from sparsity_jax.data.dataset import Dataset, channel_moments


def parts(**changes):
    images = np.arange(2 * 4 * 3 * 3, dtype=np.uint8).reshape(2, 4, 3, 3)
    labels = np.array([0, 1], np.int32)
    return {
        "name": "tiny",
        "train_images": images,
        "train_labels": labels,
        "test_images": images[:1],
        "test_labels": labels[:1],
        "class_names": ("cat", "dog"),
        **changes,
    }


def test_properties():
    dataset = Dataset(**parts())
    assert dataset.classes == 2
    assert dataset.image_shape == (4, 3, 3)
    assert dataset.mean.dtype == dataset.std.dtype == np.float32
    with pytest.raises(AttributeError):
        dataset.name = "other"  # type: ignore[misc]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"train_images": np.zeros((2, 4, 3, 3), np.float32)}, "uint8"),
        ({"train_images": np.zeros((2, 4, 3), np.uint8)}, "uint8"),
        ({"train_images": np.zeros((2, 4, 3, 4), np.uint8)}, "uint8"),
        ({"test_images": np.zeros((1, 3, 4, 3), np.uint8)}, "test images"),
        ({"test_images": np.zeros((0, 4, 3, 3), np.uint8)}, "empty"),
        ({"train_labels": np.array([0, 1], np.int64)}, "int32"),
        ({"train_labels": np.array([0], np.int32)}, "int32"),
        ({"train_labels": np.array([0, 2], np.int32)}, r"\[0, 2\)"),
        ({"test_labels": np.array([-1], np.int32)}, r"\[0, 2\)"),
        ({"class_names": ("cat", "cat")}, "distinct"),
        ({"class_names": ()}, "distinct"),
    ],
)
def test_refuses(changes, message):
    with pytest.raises(ValueError, match=message):
        Dataset(**parts(**changes))


SHAPES = st.tuples(*[st.integers(1, 5)] * 3, st.sampled_from([1, 3]))


@given(npst.arrays(np.uint8, SHAPES))
def test_moments_agree_with_float64(images):
    mean, std = channel_moments(images)
    scaled = images.astype(np.float64) / 255
    expected = scaled.std(axis=(0, 1, 2))
    np.testing.assert_allclose(mean, scaled.mean(axis=(0, 1, 2)), rtol=1e-6)
    np.testing.assert_allclose(std, np.where(expected < 1e-9, 1, expected), rtol=1e-6)


def test_chunks_add_up(monkeypatch):
    images = np.random.default_rng(0).integers(0, 256, (50, 6, 5, 3), dtype=np.uint8)
    whole = channel_moments(images)
    monkeypatch.setattr(arrays, "_CHUNK_BYTES", 7 * 6 * 5 * 3)  # 7 images; 50 is no multiple
    np.testing.assert_array_equal(channel_moments(images), whole)


def test_normalised_training_set_has_mean_0_and_std_1():
    images = np.random.default_rng(1).integers(30, 90, (64, 8, 8, 3), dtype=np.uint8)
    dataset = Dataset(
        **parts(train_images=images, train_labels=np.zeros(64, np.int32), test_images=images[:1])
    )
    pixels = (images / 255.0 - dataset.mean) / dataset.std
    np.testing.assert_allclose(pixels.mean((0, 1, 2)), 0, atol=1e-5)
    np.testing.assert_allclose(pixels.std((0, 1, 2)), 1, atol=1e-5)
