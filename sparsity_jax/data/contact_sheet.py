"""Contact sheet of a data set: one picture with a row of examples per class."""

from __future__ import annotations

import io
from pathlib import Path

import matplotlib
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from sparsity_jax.data.dataset import Dataset
from sparsity_jax.data.stream import Stream

MAX_SIDE = 2000  # pixels of the whole sheet
_MARGIN = 4
_LARGEST = 160  # pixels along a side of a shown image
_LONGEST_NAME = 28
_LOOKED_AT = 2000  # images of a stream, whose labels may be far apart on a disk


def contact_sheet(dataset: Dataset, *, columns: int = 10, cell: int = 64) -> Image.Image:
    """Training images of every class, evenly spaced, a row per class, its name on the left.

    Args:
        dataset: gray or colour.
        columns: images per class at most; a class with fewer leaves its row short.
        cell: smallest side of a shown image in pixels; smaller images are enlarged by whole
            factors, without smoothing. Very large ones are made smaller.

    Returns:
        An RGB picture of at most MAX_SIDE pixels a side. Of more classes than fit, some are shown,
        evenly spaced, and a last line says how many there are.

    Example:
        >>> images, labels = np.zeros((2, 8, 8, 1), np.uint8), np.array([0, 1], np.int32)
        >>> contact_sheet(Dataset("dots", images, labels, images, labels, ("cat", "dog")),
        ...               columns=1, cell=8).mode
        'RGB'
    """
    height, width = _shown_size(dataset, cell)
    row, column = height + _MARGIN, width + _MARGIN
    # Pillow's own font knows English letters only; matplotlib brings one that knows more.
    fonts = Path(matplotlib.get_data_path()) / "fonts" / "ttf"
    font = ImageFont.truetype(fonts / "DejaVuSans.ttf", size=12)
    names = [_shortened(name) for name in dataset.class_names]
    left = _MARGIN * 2 + int(max(font.getlength(name) for name in names))
    columns = min(
        columns, int(np.bincount(dataset.train_labels).max()), (MAX_SIDE - left) // column
    )
    shown = _spread(np.arange(dataset.classes), (MAX_SIDE - _MARGIN) // row - 1)
    more = "" if len(shown) == dataset.classes else f"{len(shown)} of {dataset.classes} classes"
    size = left + columns * column, (len(shown) + bool(more)) * row + _MARGIN
    sheet = Image.new("RGB", size, "white")
    draw = ImageDraw.Draw(sheet)
    for line, label in enumerate(shown):
        top = _MARGIN + line * row
        middle = top + (row - _MARGIN) // 2
        draw.text((_MARGIN, middle), names[label], fill="black", font=font, anchor="lm")
        for place, index in enumerate(
            _spread(np.flatnonzero(dataset.train_labels == label), columns)
        ):
            picture = _resized(Image.fromarray(_rgb(dataset.train_images[index])), width, height)
            sheet.paste(picture, (left + place * column, top))
    draw.text((_MARGIN, size[1] - row // 2), more, fill="black", font=font, anchor="lm")
    return sheet


def preview(source: Dataset | Stream, *, classes: int = 10, columns: int = 8) -> bytes:
    """A small contact sheet of some classes, as a PNG.

    Args:
        source: a set in memory, or one that streams, of which the first images are looked at.
        classes: how many at most, evenly spaced.
        columns: images of each.
    """
    images, labels = _some_images(source, classes, columns)
    there = np.unique(labels)
    names = tuple(source.class_names[label] for label in there)
    shown = np.searchsorted(there, labels).astype(np.int32)
    some = Dataset("some", images, shown, images[:1], shown[:1], names)
    stream = io.BytesIO()
    contact_sheet(some, columns=columns, cell=32).save(stream, "PNG", optimize=True)
    return stream.getvalue()


def _some_images(
    source: Dataset | Stream, classes: int, columns: int
) -> tuple[np.ndarray, np.ndarray]:
    """Images and labels of a few classes."""
    if isinstance(source, Dataset):
        labels = source.train_labels
    else:
        count = min(_LOOKED_AT, source.train_size)
        labels = np.array([source.train.label(index) for index in range(count)], np.int32)
    chosen = _spread(np.unique(labels), classes)
    places = np.concatenate([_spread(np.flatnonzero(labels == c), columns) for c in chosen])
    if isinstance(source, Dataset):
        return source.train_images[places], labels[places]
    return np.stack([source.train[int(place)][0] for place in places]), labels[places]


def _shown_size(dataset: Dataset, cell: int) -> tuple[int, int]:
    """Height and width of a shown image."""
    height, width, _ = dataset.image_shape
    longest = max(height, width)
    if longest > _LARGEST:
        return max(1, height * _LARGEST // longest), max(1, width * _LARGEST // longest)
    zoom = max(1, -(-cell // longest))
    return height * zoom, width * zoom


def _resized(picture: Image.Image, width: int, height: int) -> Image.Image:
    smaller = width < picture.width or height < picture.height
    how = Image.Resampling.BICUBIC if smaller else Image.Resampling.NEAREST
    return picture.resize((width, height), how)


def _shortened(name: str) -> str:
    return name if len(name) <= _LONGEST_NAME else f"{name[: _LONGEST_NAME - 1]}…"


def _spread(indices: np.ndarray, count: int) -> np.ndarray:
    """Up to count of the indices, evenly spaced: neighbours are often views of one object."""
    return (
        indices[np.arange(min(count, len(indices))) * len(indices) // count]
        if (len(indices) >= count)
        else indices
    )


def _rgb(image: np.ndarray) -> np.ndarray:
    """(H, W, 1 or 3) as (H, W, 3)."""
    return np.repeat(image, 3, axis=2) if image.shape[2] == 1 else image
