"""Backgrounds of the cluttered pictures: overlapping facets, as in Cubism.

The paper takes the Cubism pictures of PeopleArt. Here each background is made of random convex
facets with a gradient of gray and, at times, a dark outline.
"""

from __future__ import annotations

import numpy as np

FACETS = 9
SIDES = 4
DARKEST, LIGHTEST = 100.0, 255.0  # grays
SLOPE = 250.0  # steepest gradient, grays per side of the picture
LINE = 0.025  # thickness of an outline, in sides of the picture
DRAWS = FACETS * (SIDES * 2 + 6)


def clutter(draws: np.ndarray, size: int) -> np.ndarray:
    """Backgrounds from uniform random numbers; the size only decides how finely they are sampled.

    Args:
        draws: (n, DRAWS), uniform in [0, 1), all that is random about a background.
        size: pixels along a side.

    Returns:
        float32 (n, size, size), grays from DARKEST to LIGHTEST.

    Example:
        >>> clutter(np.random.default_rng(0).random((2, DRAWS)), 16).shape
        (2, 16, 16)
    """
    facets = draws.reshape(len(draws), FACETS, SIDES * 2 + 6).astype(np.float32)
    turn, reach = facets[..., :SIDES], facets[..., SIDES : 2 * SIDES]
    x, y, base, slope, heading, line = np.moveaxis(facets[..., 2 * SIDES :], -1, 0)
    # Sides look in all directions, each turned at random within its quarter: always bounded.
    angles = 2 * np.pi * (np.arange(SIDES, dtype=np.float32) + turn) / SIDES
    reach = 0.12 + 0.5 * reach
    reach[:, 0] = 2.0  # the first facet covers everything
    line = line < 0.35

    step = (np.arange(size, dtype=np.float32) + 0.5) / size
    picture = np.zeros((len(draws), size, size), np.float32)
    for k in range(FACETS):
        dx, dy = step - x[:, k, None], step - y[:, k, None]
        outside = np.full(picture.shape, -np.inf, np.float32)
        for side in range(SIDES):
            outside = np.maximum(outside, _ramp(angles[:, k, side], dx, dy, -reach[:, k, side]))
        middle = DARKEST + (LIGHTEST - DARKEST) * base[:, k]
        gray = _ramp(heading[:, k] * 2 * np.pi, dx, dy, middle, SLOPE * slope[:, k])
        gray = np.clip(gray, DARKEST, LIGHTEST)
        gray = np.where(line[:, k, None, None] & (outside > -LINE), DARKEST, gray)
        picture = np.where(outside <= 0, gray, picture)
    return picture


def _ramp(
    angle: np.ndarray,
    dx: np.ndarray,
    dy: np.ndarray,
    start: np.ndarray,
    slope: np.ndarray | float = 1.0,
) -> np.ndarray:
    """start + slope * (cos(angle) dx + sin(angle) dy), (n, size, size); dx, dy are (n, size)."""
    across = (slope * np.cos(angle))[:, None] * dx + start[:, None]
    down = (slope * np.sin(angle))[:, None] * dy
    return across[:, None, :] + down[:, :, None]
