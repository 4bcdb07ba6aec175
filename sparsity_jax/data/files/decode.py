"""What are the pixels of an encoded image? PNG or JPEG bytes to uint8 arrays, in parallel."""

import io
import logging
import os
import warnings
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice

import numpy as np
from PIL import Image

from sparsity_jax.data.files.archives import File
from sparsity_jax.errors import UserError

MAX_PIXELS = 4096 * 4096  # beyond any training image; refuses decompression bombs before decoding
_GRAY_MODES = ("1", "L", "LA")
_CHUNK = 32  # files per task: a small image decodes faster than a task is handed over
_log = logging.getLogger(__name__)
_WORKERS = min(8, os.cpu_count() or 1)


def decode(data: bytes, *, max_pixels: int = MAX_PIXELS) -> np.ndarray:
    """Decode one image.

    Transparency is dropped, palettes and CMYK become RGB, 16-bit gray keeps its upper 8 bits.

    Args:
        data: a whole PNG or JPEG file.
        max_pixels: width times height beyond which it is refused undecoded.

    Returns:
        uint8 (H, W, 1) if it is stored as gray, else (H, W, 3).

    Raises:
        ValueError: it is damaged, of another format, or absurdly large.
    """
    try:
        with Image.open(io.BytesIO(data), formats=("PNG", "JPEG")) as image:
            width, height = image.size
            if width * height > max_pixels:
                raise ValueError(f"{width}x{height} pixels, more than {max_pixels}")
            return _pixels(image)
    except Image.UnidentifiedImageError:
        raise ValueError("neither PNG nor JPEG") from None
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
    waiting: deque[Future[list[tuple[File, np.ndarray]]]] = deque()
    source = iter(files)
    pool = ThreadPoolExecutor(_WORKERS)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            while chunk := list(islice(source, _CHUNK)):
                waiting.append(pool.submit(_decode_chunk, chunk, skipped))
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


def _decode_chunk(files: list[File], skipped: list[str] | None) -> list[tuple[File, np.ndarray]]:
    decoded = []
    for file in files:
        try:
            decoded.append((file._replace(data=b""), _decode_named(file)))
        except UserError:
            if skipped is None:
                raise
            skipped.append(file.name)
    return decoded


def _decode_named(file: File) -> np.ndarray:
    try:
        return decode(file.data)
    except ValueError as error:
        raise UserError(
            f"image {file.name} cannot be read ({error}); replace it by a whole PNG or JPEG, or"
            " remove it, or leave out all such images with `python -m sparsity_jax.data prepare"
            " SOURCE --skip_unreadable`"
        ) from error


def _pixels(image: Image.Image) -> np.ndarray:
    if image.mode.startswith("I;16"):
        return (np.asarray(image) >> 8).astype(np.uint8)[..., None]
    if image.mode in _GRAY_MODES:
        return np.asarray(_in_mode(image, "L"))[..., None]
    if image.mode == "P" and "transparency" in image.info:
        image = image.convert("RGBA")  # Pillow warns when such a palette goes straight to RGB
    return np.asarray(_in_mode(image, "RGB"))


def _in_mode(image: Image.Image, mode: str) -> Image.Image:
    """The image in this mode; `convert` would copy one that has it already."""
    image.load()  # here a damaged file is found
    return image if image.mode == mode else image.convert(mode)
