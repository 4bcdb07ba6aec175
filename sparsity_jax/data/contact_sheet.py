"""Contact sheet of a data set: one picture with a row of examples per class."""

from __future__ import annotations

from pathlib import Path

import matplotlib
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from sparsity_jax.data.dataset import Dataset

_MARGIN = 4


def contact_sheet(dataset: Dataset, *, columns: int = 10, cell: int = 64) -> Image.Image:
    """Training images of every class, evenly spaced, a row per class, its name on the left.

    Args:
        dataset: gray or colour.
        columns: images per class at most; a class with fewer leaves its row short.
        cell: smallest side of a shown image in pixels; smaller images are enlarged by whole
            factors, without smoothing.

    Returns:
        An RGB picture.

    Example:
        >>> images, labels = np.zeros((2, 8, 8, 1), np.uint8), np.array([0, 1], np.int32)
        >>> contact_sheet(Dataset("dots", images, labels, images, labels, ("cat", "dog")),
        ...               columns=1, cell=8).mode
        'RGB'
    """
    height, width, _ = dataset.image_shape
    zoom = max(1, -(-cell // max(height, width)))
    row, column = height * zoom + _MARGIN, width * zoom + _MARGIN
    columns = min(columns, int(np.bincount(dataset.train_labels).max()))
    # Pillow's own font knows English letters only; matplotlib brings one that knows more.
    fonts = Path(matplotlib.get_data_path()) / "fonts" / "ttf"
    font = ImageFont.truetype(fonts / "DejaVuSans.ttf", size=12)
    left = _MARGIN * 2 + int(max(font.getlength(name) for name in dataset.class_names))
    sheet = Image.new("RGB", (left + columns * column, dataset.classes * row + _MARGIN), "white")
    draw = ImageDraw.Draw(sheet)
    for label, name in enumerate(dataset.class_names):
        top = _MARGIN + label * row
        draw.text((_MARGIN, top + (row - _MARGIN) // 2), name, fill="black", font=font, anchor="lm")
        for place, index in enumerate(
            _spread(np.flatnonzero(dataset.train_labels == label), columns)
        ):
            picture = Image.fromarray(_rgb(dataset.train_images[index]))
            enlarged = picture.resize((width * zoom, height * zoom), Image.Resampling.NEAREST)
            sheet.paste(enlarged, (left + place * column, top))
    return sheet


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
