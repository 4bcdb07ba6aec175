"""Images on their way into the network: crops, flips and normalisation in the step.

Pure JAX functions on a batch, for use under `jax.jit`: images reach the device as uint8, whether
they live there or stream. The paper flips and normalises, and crops nothing, on CIFAR and
TinyImageNet; on ImageNet it crops 224 of 256 pixels (section 5).
"""

import functools
import math

import jax
import jax.numpy as jnp

from sparsity_jax.errors import UserError

AUGMENTATIONS = ("flip", "crop", "resized_crop", "pad_crop")
_AREAS = (0.08, 1.0)  # of a resized crop, as a share of the image
_RATIOS = (3 / 4, 4 / 3)  # its width over its height


def seen_shape(augment: str, shape: tuple[int, int, int]) -> tuple[int, int, int]:
    """Shape that the network sees of (H, W, C): all, or 7/8 of each side where images are cropped.

    Example:
        >>> seen_shape("crop", (256, 256, 3)), seen_shape("flip", (32, 32, 3))
        ((224, 224, 3), (32, 32, 3))
    """
    height, width, channels = shape
    if augment in ("flip", "pad_crop"):
        return shape
    return max(1, height * 7 // 8), max(1, width * 7 // 8), channels


def centre_crop(images: jax.Array, size: tuple[int, int]) -> jax.Array:
    """The middle of each image, as it is tested: (..., H, W, C) to (..., *size, C).

    Example:
        >>> centre_crop(jnp.arange(4).reshape(1, 1, 4, 1), (1, 2)).ravel().tolist()
        [1, 2]
    """
    height, width = images.shape[-3:-1]
    top, left = (height - size[0]) // 2, (width - size[1]) // 2
    return images[..., top : top + size[0], left : left + size[1], :]


def random_crop(key: jax.Array, images: jax.Array, size: tuple[int, int]) -> jax.Array:
    """Cut a window out of each image, every place equally likely.

    Args:
        key: a JAX random key, used up by this call.
        images: any type, (N, H, W, C).
        size: height and width of the window, at most those of the images.

    Returns:
        The windows, same type, (N, *size, C).

    Example:
        >>> random_crop(jax.random.key(0), jnp.zeros((2, 8, 8, 3), jnp.uint8), (7, 7)).shape
        (2, 7, 7, 3)
    """
    count, height, width, channels = images.shape
    most = jnp.array([height - size[0], width - size[1]])
    corners = jax.random.randint(key, (count, 2), 0, most + 1)

    def cut(image: jax.Array, corner: jax.Array) -> jax.Array:
        return jax.lax.dynamic_slice(image, (*corner, 0), (*size, channels))

    return jax.vmap(cut)(images, corners)


def pad_crop(key: jax.Array, images: jax.Array, pad: int) -> jax.Array:
    """Cut a window of each image's own size out of the image with `pad` black pixels around it.

    The usual augmentation of CIFAR (He et al. 2016): pad 4, crop 32. Padding comes before
    normalisation, as torchvision's RandomCrop pads, so the border is black, not the mean colour.

    Args:
        key: a JAX random key, used up by this call.
        images: uint8 (N, H, W, C).
        pad: pixels on every side; every one of (2 pad + 1)^2 shifts is equally likely.

    Returns:
        The shifted images, same type and shape.

    Raises:
        UserError: a pad of half the image or more.

    Example:
        >>> pad_crop(jax.random.key(0), jnp.zeros((2, 8, 8, 3), jnp.uint8), 2).shape
        (2, 8, 8, 3)
    """
    height, width = images.shape[1:3]
    check_pad(pad, (height, width))
    sides = (pad, pad)
    padded = jnp.pad(images, ((0, 0), sides, sides, (0, 0)))
    return random_crop(key, padded, (height, width))


def check_pad(pad: int, size: tuple[int, int]) -> None:
    """Raise UserError for a pad that could leave less than half of an image to see.

    Example:
        >>> check_pad(4, (32, 32))
    """
    most = (min(size) - 1) // 2
    if pad > most:
        raise UserError(
            f"config.pad={pad} is half of a {size[0]}x{size[1]} image or more; give at most {most}"
        )


def random_resized_crop(key: jax.Array, images: jax.Array, size: tuple[int, int]) -> jax.Array:
    r"""Cuts a window of random area and shape out of each image and resizes it, bilinear.

    Area uniform in 8 to 100 % of the image, log of width over height uniform in
    $\pm\log(4/3)$, then cut to the image, place uniform. (torchvision's RandomResizedCrop draws
    a window that sticks out again, up to ten times; cutting it needs no loop.)

    Args:
        key: a JAX random key, used up by this call.
        images: any type, (N, H, W, C).
        size: height and width of the result.

    Returns:
        float32 (N, *size, C), in the range of the images.

    Example:
        >>> images = jnp.zeros((2, 8, 8, 3), jnp.uint8)
        >>> random_resized_crop(jax.random.key(0), images, (7, 7)).shape
        (2, 7, 7, 3)
    """
    count, *sides, channels = images.shape
    area_key, ratio_key, place_key = jax.random.split(key, 3)
    area = sides[0] * sides[1] * jax.random.uniform(area_key, (count,), None, *_AREAS)
    spread = [math.log(ratio) for ratio in _RATIOS]
    ratio = jnp.exp(jax.random.uniform(ratio_key, (count,), None, *spread))
    windows = jnp.stack([jnp.sqrt(area / ratio), jnp.sqrt(area * ratio)], axis=1)
    windows = jnp.clip(windows, 1.0, jnp.array(sides, jnp.float32))
    corners = (jnp.array(sides) - windows) * jax.random.uniform(place_key, (count, 2))
    resize = functools.partial(_window, shape=(*size, channels))
    return jax.vmap(resize)(images, corners, windows)


def _window(
    image: jax.Array, corner: jax.Array, window: jax.Array, *, shape: tuple[int, int, int]
) -> jax.Array:
    """The part of an image that starts at `corner` and is `window` large, resized to `shape`."""
    zoom = jnp.array(shape[:2]) / window
    return jax.image.scale_and_translate(
        image.astype(jnp.float32), shape, (0, 1), zoom, -corner * zoom, method="linear"
    )


def as_tested(
    images: jax.Array, *, size: tuple[int, int], mean: jax.Array, std: jax.Array
) -> jax.Array:
    """Images as they are tested and measured: the centre `size`, normalised, nothing random."""
    return normalise(centre_crop(images, size), mean, std)


def normalise(images: jax.Array, mean: jax.Array, std: jax.Array) -> jax.Array:
    r"""Shifts and scales pixels so that each channel of the training set has mean 0 and std 1.

    $y = (x / 255 - \mu_c) / \sigma_c$. The paper says "normalised" (section 2.1) without constants;
    here they are the training set's own, per channel: `Dataset.mean` and `Dataset.std`.

    Args:
        images: uint8 (..., H, W, C).
        mean: float32 (C,), of pixels / 255.
        std: float32 (C,), of pixels / 255.

    Returns:
        float32 of the same shape.

    Example:
        >>> normalise(jnp.array([[[255]]], jnp.uint8), jnp.array([0.5]), jnp.array([0.25])).item()
        2.0
    """
    return (images.astype(jnp.float32) / 255.0 - mean) / std


def flip(key: jax.Array, images: jax.Array) -> jax.Array:
    """Mirror each image left to right with probability one half, independently.

    Which images are mirrored depends on the key and on the place in the batch only, not on the
    pixels: the same key twice gives the batch back.

    Args:
        key: a JAX random key, used up by this call.
        images: any type, (N, H, W, C).

    Returns:
        The images, same type and shape, about half of them mirrored along W.

    Example:
        >>> flip(jax.random.key(0), jnp.arange(4).reshape(2, 1, 2, 1)).shape
        (2, 1, 2, 1)
    """
    mirrored = jax.random.bernoulli(key, 0.5, (images.shape[0], 1, 1, 1))
    return jnp.where(mirrored, images[:, :, ::-1, :], images)
