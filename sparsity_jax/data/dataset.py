"""Data set in memory: one frozen value that every loader returns."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

_CHUNK_BYTES = 1 << 23  # of uint8 pixels; np.bincount widens them eightfold, so 64 MB at a time


@dataclass(frozen=True, eq=False)
class Dataset:
    """A labelled image set that fits in memory, split into train and test.

    Pixels stay uint8 from the file to the device; flips and normalisation happen in the compiled
    step (`data.augment`). N images of H x W pixels with C channels.

    Args:
        name: what results.csv calls it, e.g. 'renderings', 'CIFAR10', or a folder's stem.
        train_images: uint8 (N, H, W, C), C = 1 (gray) or 3 (RGB).
        train_labels: int32 (N,), indices into `class_names`.
        test_images: uint8 (M, H, W, C).
        test_labels: int32 (M,).
        class_names: one name per label.
        variant: what else tells it apart, e.g. 'bg=clean'.
        moments: (mean, std) of the training images if they are known already.

    Raises:
        ValueError: arrays of other types or shapes, or labels without a class.

    Example:
        >>> import numpy as np
        >>> images, labels = np.zeros((2, 4, 4, 1), np.uint8), np.array([0, 1], np.int32)
        >>> Dataset("dots", images, labels, images, labels, ("cat", "dog")).image_shape
        (4, 4, 1)
    """

    name: str
    train_images: np.ndarray
    train_labels: np.ndarray
    test_images: np.ndarray
    test_labels: np.ndarray
    class_names: tuple[str, ...]
    variant: str = ""
    moments: tuple[np.ndarray, np.ndarray] | None = None

    def __post_init__(self) -> None:
        if not self.class_names or len(set(self.class_names)) != len(self.class_names):
            raise ValueError(f"class names must be distinct, not {self.class_names}")
        for split in ("train", "test"):
            images, labels = getattr(self, f"{split}_images"), getattr(self, f"{split}_labels")
            _check_images(split, images)
            _check_labels(split, labels, len(images), len(self.class_names))
        if self.train_images.shape[1:] != self.test_images.shape[1:]:
            raise ValueError(
                f"train images are {self.train_images.shape[1:]} but test images"
                f" {self.test_images.shape[1:]}"
            )

    @property
    def classes(self) -> int:
        """Number of classes."""
        return len(self.class_names)

    @property
    def train_size(self) -> int:
        """Number of training images."""
        return len(self.train_images)

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """(H, W, C) of every image."""
        height, width, channels = self.train_images.shape[1:]
        return height, width, channels

    @property
    def mean(self) -> np.ndarray:
        """Mean of train pixels / 255 per channel: float32 (C,)."""
        return self._moments[0]

    @property
    def std(self) -> np.ndarray:
        """Standard deviation (divided by n, not n - 1) of train pixels / 255: float32 (C,).

        A channel of one constant value gets 1, so that normalising it gives zeros.
        """
        return self._moments[1]

    @cached_property
    def _moments(self) -> tuple[np.ndarray, np.ndarray]:
        return self.moments or channel_moments(self.train_images)


def channel_moments(images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    r"""Mean and standard deviation of pixels / 255 per channel, exact in integers.

    $\mu_c = \frac{1}{255 n} \sum_i x_{ic}$,
    $\sigma_c = \frac{1}{255 n} \sqrt{n \sum_i x_{ic}^2 - (\sum_i x_{ic})^2}$,
    from a histogram of the 256 pixel values: no float copy of the set, no rounding before the
    square root.

    Args:
        images: uint8 (N, H, W, C).

    Returns:
        (mean, std), each float32 (C,); std is 1 where a channel is constant.

    Example:
        >>> import numpy as np
        >>> channel_moments(np.array([0, 255], np.uint8).reshape(2, 1, 1, 1))
        (array([0.5], dtype=float32), array([0.5], dtype=float32))
    """
    return moments_of(histograms(images))


def moments_of(counts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean and standard deviation of pixels / 255 from how often each of 256 values occurs.

    Args:
        counts: int64 (C, 256), as `histograms` counts them; those of parts of a set add up.

    Returns:
        (mean, std), each float32 (C,); std is 1 where a channel is constant.
    """
    moments = []
    for channel in counts.tolist():  # Python integers never overflow
        n = sum(channel)
        total = sum(v * k for v, k in enumerate(channel))
        squares = sum(v * v * k for v, k in enumerate(channel))
        spread = (n * squares - total**2) ** 0.5 / (255 * n)
        moments.append((total / (255 * n), spread or 1.0))
    mean, std = np.array(moments, np.float32).T.copy()
    return mean, std


def histograms(images: np.ndarray) -> np.ndarray:
    """Counts of each pixel value in each channel: int64 (C, 256)."""
    channels = images.shape[-1]
    counts = np.zeros((channels, 256), np.int64)
    step = max(1, _CHUNK_BYTES // max(1, images[0].size))
    for start in range(0, len(images), step):
        pixels = images[start : start + step].reshape(-1, channels)
        for channel in range(channels):
            counts[channel] += np.bincount(pixels[:, channel], minlength=256)
    return counts


def _check_images(split: str, images: np.ndarray) -> None:
    if images.dtype != np.uint8 or images.ndim != 4 or images.shape[-1] not in (1, 3):
        raise ValueError(
            f"{split} images must be uint8 (N, H, W, 1 or 3), not {images.dtype} {images.shape}"
        )
    if images.size == 0:
        raise ValueError(f"{split} images are empty: {images.shape}")


def _check_labels(split: str, labels: np.ndarray, count: int, classes: int) -> None:
    if labels.dtype != np.int32 or labels.shape != (count,):
        raise ValueError(
            f"{split} labels must be int32 ({count},), not {labels.dtype} {labels.shape}"
        )
    if labels.min() < 0 or labels.max() >= classes:
        raise ValueError(
            f"{split} labels must lie in [0, {classes}), not [{labels.min()}, {labels.max()}]"
        )
