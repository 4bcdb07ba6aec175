"""Normalisation constants of real images against those that the literature states.

CIFAR-10 is at hand as JPEG files only: compression keeps the means and smooths a little contrast
away, hence the tolerances. ImageNet is not at hand, nor CIFAR-100.
"""

from itertools import islice
from pathlib import Path

import numpy as np
import pytest

from sparsity_jax.data.dataset import histograms, moments_of
from sparsity_jax.data.files.archives import read_archive
from sparsity_jax.data.files.decode import decode_files

CIFAR10 = Path(__file__).parents[3] / "shared" / "data" / "cifar10_jpeg.tar.xz"
MEAN, STD = (0.4914, 0.4822, 0.4465), (0.2470, 0.2435, 0.2616)


@pytest.mark.skipif(not CIFAR10.exists(), reason="needs real CIFAR-10: cifar10_jpeg.tar.xz")
def test_constants_of_cifar10_are_the_stated_ones():
    files = read_archive(CIFAR10, lambda name: name.startswith("train/") and name.endswith(".jpg"))
    pixels = (each for _, each in decode_files(files))
    total, count = np.zeros((3, 256), np.int64), 0
    while chunk := list(islice(pixels, 2000)):
        total, count = total + histograms(np.stack(chunk)), count + len(chunk)
    mean, std = moments_of(total)
    assert count == 50_000
    np.testing.assert_allclose(mean, MEAN, atol=3e-4)  # 0.08 of a gray level
    np.testing.assert_allclose(std, STD, atol=2e-3)
    assert (std < STD).all()  # smoothed, never sharpened
