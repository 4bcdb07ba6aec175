"""Pictures as they are seen: upright, opaque, in one size."""

import contextlib
import hashlib
import io
from typing import NamedTuple

import numpy as np
from PIL import Image

from sparsity_jax.data.files.decode import GRAY_MODES, MAX_PIXELS, opened

_ORIENTATION = 0x0112  # the EXIF tag
_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


class Seen(NamedTuple):
    """A decoded picture.

    Args:
        pixels: uint8 (H, W, 1 or 3), or uint16 (H, W, 1) for 16-bit gray.
        digest: of its file's bytes.
        turned: it was not stored upright.
        transparent: some of it was laid over white.
        size: 'WxH' before resizing.
    """

    pixels: np.ndarray
    digest: bytes
    turned: bool
    transparent: bool
    size: str


def see(data: bytes, *, resize: int = 0, max_pixels: int = MAX_PIXELS) -> Seen | ValueError:
    """Decode a picture: turned upright by its EXIF orientation, transparency over white.

    Of an animation the first frame is taken.

    Args:
        data: a whole file of any of `decode.formats()`.
        resize: above 0: make it `resize` pixels wide and high, antialiased, whatever its shape.
        max_pixels: width times height beyond which it is refused undecoded.

    Returns:
        The picture, or the error that says why it cannot be read.

    Example:
        >>> see(b"no picture")
        ValueError('of no known picture format')
    """
    try:
        with opened(io.BytesIO(data), max_pixels) as stored:
            stored.load()
            upright = _upright(stored)
            size, (opaque, transparent) = f"{upright.width}x{upright.height}", _opaque(upright)
            pixels = _pixels(opaque, resize)
    except Exception as error:  # Pillow raises a dozen types on damaged bytes
        return ValueError(str(error).split("\n", 1)[0] or type(error).__name__)
    digest = hashlib.blake2b(data, digest_size=16).digest()
    return Seen(pixels, digest, upright is not stored, transparent, size)


def scaled_to_bytes(pixels: np.ndarray, low: int, high: int) -> np.ndarray:
    """16-bit values from `low` to `high` as 0 to 255, rounded; those outside are cut off.

    Example:
        >>> scaled_to_bytes(np.array([100, 200, 300], np.uint16), 100, 300).tolist()
        [0, 128, 255]
    """
    spread = max(1, high - low)
    within = np.clip(pixels.astype(np.int64), low, high) - low
    return ((510 * within + spread) // (2 * spread)).astype(np.uint8)


def _upright(image: Image.Image) -> Image.Image:
    """The same object where nothing is to turn."""
    orientation = 1
    with contextlib.suppress(Exception):  # damaged EXIF is none
        orientation = image.getexif().get(_ORIENTATION, 1)
    turn = _UPRIGHT.get(orientation)
    return image if turn is None else image.transpose(turn)


def _opaque(image: Image.Image) -> tuple[Image.Image, bool]:
    """The image in mode I;16, L or RGB, and whether any of it was transparent."""
    if image.mode.startswith("I;16"):
        return image, False
    if image.mode in ("I", "F"):
        raise ValueError("32 bits a pixel; save it with 8 or 16")
    gray = image.mode in GRAY_MODES
    if not image.has_transparency_data:
        return image.convert("L" if gray else "RGB"), False
    layered = image.convert("LA" if gray and image.mode != "1" else "RGBA")
    alpha = layered.getchannel("A")
    under = Image.new("L" if layered.mode == "LA" else "RGB", image.size, "white")
    under.paste(layered.convert(under.mode), mask=alpha)
    return under.convert("L" if gray else "RGB"), alpha.getextrema()[0] != 255


def _pixels(image: Image.Image, resize: int) -> np.ndarray:
    deep = image.mode.startswith("I;16")
    if resize and image.size != (resize, resize):
        if deep:
            image = Image.fromarray(np.asarray(image).astype(np.float32))
        image = image.resize((resize, resize), Image.Resampling.BICUBIC)
    pixels = np.asarray(image)
    if deep:
        pixels = np.clip(np.round(pixels), 0, 65535).astype(np.uint16)
    return pixels[..., None] if pixels.ndim == 2 else pixels
