"""Pixels of encoded images as they are stored, decoded in parallel."""

import functools
import io
import logging
import os
import warnings
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from typing import IO, TypeVar

import numpy as np
from PIL import Image

from sparsity_jax.data.files.archives import File
from sparsity_jax.errors import UserError

MAX_PIXELS = 4096 * 4096  # beyond any training image; refuses decompression bombs before decoding
GRAY_MODES = ("1", "L", "LA", "La")
_FORMATS = ("PNG", "JPEG", "MPO", "WEBP", "BMP", "GIF", "TIFF", "AVIF")
_CHUNK = 32  # files per task: a small image decodes faster than a task is handed over
_log = logging.getLogger(__name__)
_WORKERS = min(8, os.cpu_count() or 1)
WAY_OUT = (
    "replace it by a whole image, or remove it, or leave out all such images with"
    " `python -m sparsity_jax.data prepare SOURCE --skip_unreadable`"
)
T = TypeVar("T")


@functools.cache
def formats() -> tuple[str, ...]:
    """The picture formats that are read, as far as this machine's Pillow knows them."""
    Image.init()
    return tuple(name for name in _FORMATS if name in Image.OPEN)


def opened(file: IO[bytes], max_pixels: int) -> Image.Image:
    """Open a picture without decoding it.

    Raises:
        ValueError: of another format, or absurdly large.
    """
    try:
        image = Image.open(file, formats=formats())
    except Image.UnidentifiedImageError:
        raise ValueError("of no known picture format") from None
    if image.width * image.height > max_pixels:
        raise ValueError(f"{image.width}x{image.height} pixels, more than {max_pixels}")
    return image


def decode(data: bytes, *, max_pixels: int = MAX_PIXELS) -> np.ndarray:
    """Decode one image.

    Transparency is dropped, palettes and CMYK become RGB, 16-bit gray keeps its upper 8 bits.

    Args:
        data: a whole file of any of `formats()`.
        max_pixels: width times height beyond which it is refused undecoded.

    Returns:
        uint8 (H, W, 1) if it is stored as gray, else (H, W, 3).

    Raises:
        ValueError: it is damaged, of another format, or absurdly large.
    """
    try:
        with opened(io.BytesIO(data), max_pixels) as image:
            return _pixels(image)
    except Exception as error:  # Pillow raises a dozen types on damaged bytes
        raise ValueError(str(error).split("\n", 1)[0] or type(error).__name__) from error


def decode_files(
    files: Iterable[File], *, skipped: list[str] | None = None
) -> Iterator[tuple[File, np.ndarray]]:
    """Decode files on several threads, in order, holding only a few of them at a time.

    Args:
        files: encoded images.
        skipped: if given, unreadable images are left out and their names added here.

    Yields:
        Each file without its bytes, and its pixels: uint8 (H, W, 1 or 3).

    Raises:
        UserError: names the first file that cannot be decoded, unless they are skipped.
    """
    for file, pixels in in_threads(files, _decode_or_error):
        if isinstance(pixels, ValueError):
            if skipped is None:
                raise UserError(
                    f"image {file.name} cannot be read ({pixels}); {WAY_OUT}"
                ) from pixels
            skipped.append(file.name)
        else:
            yield file, pixels


def in_threads(files: Iterable[File], function: Callable[[bytes], T]) -> Iterator[tuple[File, T]]:
    """Apply a function to the bytes of files on several threads, in order, a few at a time.

    Yields:
        Each file without its bytes, and what the function returns for them.
    """
    waiting: deque[Future[list[tuple[File, T]]]] = deque()
    source = iter(files)
    pool = ThreadPoolExecutor(_WORKERS)

    def apply(chunk: list[File]) -> list[tuple[File, T]]:
        return [(file._replace(data=b""), function(file.data)) for file in chunk]

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            while chunk := list(islice(source, _CHUNK)):
                waiting.append(pool.submit(apply, chunk))
                if len(waiting) > 2 * _WORKERS:
                    yield from waiting.popleft().result()
            while waiting:
                yield from waiting.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)


def warn_of_skipped(names: list[str], source: str) -> None:
    """Log how many images of a source were skipped, and which, if any were."""
    if names:
        shown = ", ".join(names[:3]) + (", ..." if len(names) > 3 else "")
        what = "1 unreadable image is" if len(names) == 1 else f"{len(names)} unreadable images are"
        _log.warning("%s: %s left out: %s", source, what, shown)


def _decode_or_error(data: bytes) -> np.ndarray | ValueError:
    try:
        return decode(data)
    except ValueError as error:
        return error


def _pixels(image: Image.Image) -> np.ndarray:
    if image.mode.startswith("I;16"):
        return (np.asarray(image) >> 8).astype(np.uint8)[..., None]
    if image.mode in GRAY_MODES:
        return np.asarray(_in_mode(image, "L"))[..., None]
    if image.mode == "P" and "transparency" in image.info:
        image = image.convert("RGBA")  # Pillow warns when such a palette goes straight to RGB
    return np.asarray(_in_mode(image, "RGB"))


def _in_mode(image: Image.Image, mode: str) -> Image.Image:
    """The image in this mode; `convert` would copy one that has it already."""
    image.load()  # here a damaged file is found
    return image if image.mode == mode else image.convert(mode)
