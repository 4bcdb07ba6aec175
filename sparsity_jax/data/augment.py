"""What happens to images on their way into the network? Flips and normalisation, inside the step.

Pure JAX functions on a batch, for use under `jax.jit`: the data set itself stays uint8 on the
device. The paper flips and normalises, and crops nothing, on CIFAR and TinyImageNet.
"""

import jax
import jax.numpy as jnp


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
    """Mirrors each image left to right with probability one half, independently.

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
