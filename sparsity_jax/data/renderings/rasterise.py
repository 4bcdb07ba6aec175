"""Scan-line rasteriser in NumPy, for any platform: the frontmost triangle at each pixel.

The same answer as casting one ray through the middle of each pixel, up to rounding at the edges:
a pixel belongs to a triangle when its middle lies inside, and the nearest triangle wins.
"""

from __future__ import annotations

import numpy as np


def front_faces(points: np.ndarray, faces: np.ndarray, size: int) -> np.ndarray:
    """The front-most face at every pixel of a square picture.

    Args:
        points: (V, 3), column and row in pixels (the first pixel spans 0 to 1), and nearness.
        faces: (F, 3), vertex numbers.
        size: pixels along a side.

    Returns:
        int32 (size, size), face numbers, -1 where there is none.

    Example:
        >>> corners = np.array([[0, 0, 0], [2, 0, 0], [0, 2, 0.0]])
        >>> front_faces(corners, np.array([[0, 1, 2]]), 2).tolist()
        [[0, 0], [0, -1]]
    """
    corners = points[faces]
    line, row = _lines(corners, size)
    first, last = _spans(corners[line], row, size)
    pair, column = _expand(first, last)
    line, row = line[pair], row[pair]
    plane = _depth_planes(corners)[line]
    nearness = plane[:, 0] * (column + 0.5) + plane[:, 1] * (row + 0.5) + plane[:, 2]
    # Written far to near, so that the nearest face is what remains at each pixel.
    order = np.argsort(nearness, kind="stable")
    hits = np.full(size * size, -1, np.int32)
    hits[(row * size + column)[order]] = line[order]
    return hits.reshape(size, size)


def _expand(first: np.ndarray, last: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """All integers of all intervals [first, last]: (number of the interval, integer)."""
    counts = np.maximum(last - first + 1, 0)
    owner = np.repeat(np.arange(len(counts)), counts)
    starts = np.cumsum(counts) - counts
    return owner, np.arange(len(owner)) + (first - starts)[owner]


def _lines(corners: np.ndarray, size: int) -> tuple[np.ndarray, np.ndarray]:
    """All (face, row) pairs where the middle of the row crosses the face."""
    rows = corners[:, :, 1]
    first = np.maximum(np.ceil(rows.min(axis=1) - 0.5), 0).astype(np.int64)
    last = np.minimum(np.floor(rows.max(axis=1) - 0.5), size - 1).astype(np.int64)
    return _expand(first, last)


def _spans(corners: np.ndarray, row: np.ndarray, size: int) -> tuple[np.ndarray, np.ndarray]:
    """First and last column (N,) whose middle lies inside each triangle (N, 3, 3) on its row."""
    height = row + 0.5
    low, high = np.full(len(row), np.inf), np.full(len(row), -np.inf)
    for k in range(3):
        start, end = corners[:, k], corners[:, (k + 1) % 3]
        rise = end[:, 1] - start[:, 1]
        along = (height - start[:, 1]) / np.where(rise == 0, np.nan, rise)
        column = start[:, 0] + along * (end[:, 0] - start[:, 0])
        crosses = (along >= 0) & (along <= 1)
        low = np.where(crosses, np.minimum(low, column), low)
        high = np.where(crosses, np.maximum(high, column), high)
    first = np.clip(np.ceil(low - 0.5), 0, size)
    last = np.clip(np.floor(high - 0.5), -1, size - 1)
    return first.astype(np.int64), last.astype(np.int64)


def _depth_planes(corners: np.ndarray) -> np.ndarray:
    """a, b, c (F, 3) with nearness = a * column + b * row + c on each face; edge-on faces: flat."""
    origin, side, other = corners[:, 0], *(corners[:, k] - corners[:, 0] for k in (1, 2))
    area = side[:, 0] * other[:, 1] - side[:, 1] * other[:, 0]
    safe = np.where(np.abs(area) < 1e-12, np.inf, area)
    a = (side[:, 2] * other[:, 1] - side[:, 1] * other[:, 2]) / safe
    b = (side[:, 0] * other[:, 2] - side[:, 2] * other[:, 0]) / safe
    return np.stack([a, b, origin[:, 2] - a * origin[:, 0] - b * origin[:, 1]], axis=1)
