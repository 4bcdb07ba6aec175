"""Random views of an object, and the camera that frames the object in each."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

AZIMUTH_DEGREES = (-180.0, 180.0)
ELEVATION_DEGREES = (-15.0, 45.0)
FILL = (0.82, 0.97)
MOST_SHIFT = 0.15


@dataclass(frozen=True)
class View:
    """One view of an object.

    Attributes:
        azimuth: degrees around the vertical axis.
        elevation: degrees above the horizon.
        fill: the longer side of the object in the picture, as a fraction of the picture.
        shift: (2,), where it lies: from -1, left or bottom, to 1, right or top. The way from 0 to
            1 is the room that is left, at most MOST_SHIFT of half the picture.
    """

    azimuth: float
    elevation: float
    fill: float
    shift: tuple[float, float]


@dataclass(frozen=True, eq=False)
class Camera:
    """An orthographic camera.

    Attributes:
        frame: (3, 3), rows are the directions to the right, up, and towards the camera.
        centre: (2,), the middle of the picture along the first two.
        half: half the side of the square picture.
    """

    frame: np.ndarray
    centre: np.ndarray
    half: float


def sample_view(rng: np.random.Generator) -> View:
    """A random view: azimuth and elevation uniform, as in the paper; size and place vary slightly.

    Args:
        rng: five numbers are drawn, always.

    Returns:
        A `View`, azimuth in [-180, 180), elevation in [-15, 45) degrees.

    Example:
        >>> -15 <= sample_view(np.random.default_rng(0)).elevation < 45
        True
    """
    draws = rng.random(5)
    azimuth, elevation, fill = (
        low + (high - low) * draw
        for (low, high), draw in zip(
            (AZIMUTH_DEGREES, ELEVATION_DEGREES, FILL), draws[:3], strict=True
        )
    )
    shift = 2 * draws[3:] - 1
    return View(float(azimuth), float(elevation), float(fill), (float(shift[0]), float(shift[1])))


def frame(azimuth: float, elevation: float) -> np.ndarray:
    """The directions right, up and towards the camera, as rows (3, 3), right-handed; degrees."""
    a, e = np.deg2rad(azimuth), np.deg2rad(elevation)
    return np.array(
        [
            [-np.sin(a), np.cos(a), 0.0],
            [-np.sin(e) * np.cos(a), -np.sin(e) * np.sin(a), np.cos(e)],
            [np.cos(e) * np.cos(a), np.cos(e) * np.sin(a), np.sin(e)],
        ]
    )


def camera(vertices: np.ndarray, view: View) -> Camera:
    """The camera of a view, framing the vertices (V, 3): all of them lie inside the picture."""
    axes = frame(view.azimuth, view.elevation)
    flat = vertices @ axes[:2].T
    low, high = flat.min(axis=0), flat.max(axis=0)
    extent = np.maximum(high - low, 1e-6)
    half = float(extent.max()) / (2 * view.fill)
    room = np.minimum(half - extent / 2, MOST_SHIFT * half)
    centre = (low + high) / 2 - np.asarray(view.shift) * room
    return Camera(axes, centre, half)
