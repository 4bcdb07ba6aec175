"""Simple solids that objects are assembled from: boxes, rods, balls, lathed and lofted solids."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
import trimesh.creation

from sparsity_jax.data.renderings.meshes.mesh import Mesh, Vector, painted

Points = Sequence[Sequence[float]] | np.ndarray


@lru_cache(maxsize=64)
def _unit(kind: str, detail: int) -> tuple[np.ndarray, np.ndarray]:
    """Vertices and faces of a unit solid by trimesh; made once, since building one is slow."""
    if kind == "box":
        solid = trimesh.creation.box(extents=(1, 1, 1))
    elif kind == "cylinder":
        solid = trimesh.creation.cylinder(radius=1, height=1, sections=detail)
    else:
        solid = trimesh.creation.icosphere(subdivisions=detail, radius=1)
    return np.array(solid.vertices, float), np.array(solid.faces, np.int32)


def box(size: Vector, center: Vector = (0, 0, 0), *, tone: float = 0.8) -> Mesh:
    """A box with edge lengths size (3,) around center (3,)."""
    vertices, faces = _unit("box", 0)
    return painted(vertices * np.asarray(size, float) + np.asarray(center, float), faces, tone)


def ball(
    radii: Vector | float, center: Vector = (0, 0, 0), *, tone: float = 0.8, detail: int = 1
) -> Mesh:
    """An ellipsoid with one radius or one per axis; detail 1 has 80 faces, 2 has 320."""
    vertices, faces = _unit("sphere", detail)
    return painted(vertices * np.asarray(radii, float) + np.asarray(center, float), faces, tone)


def rod(
    start: Vector,
    end: Vector,
    radius: float,
    *,
    end_radius: float | None = None,
    sections: int = 8,
    tone: float = 0.8,
) -> Mesh:
    """A round rod from start to end; with end_radius it tapers, to a cone at zero."""
    start, end = np.asarray(start, float), np.asarray(end, float)
    vertices, faces = _unit("cylinder", sections)
    along = vertices[:, 2:] + 0.5
    radii = radius + along * ((radius if end_radius is None else end_radius) - radius)
    side, other = _across(end - start)
    points = radii * (vertices[:, :1] * side + vertices[:, 1:2] * other)
    return painted(points + start + along * (end - start), faces, tone)


def _across(direction: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Two unit vectors across a direction, and across each other, right-handed."""
    direction = direction / np.linalg.norm(direction)
    helper = np.zeros(3)
    helper[np.argmin(np.abs(direction))] = 1.0
    side = np.cross(direction, helper)
    side /= np.linalg.norm(side)
    return side, np.cross(direction, side)


@lru_cache(maxsize=256)
def _loft_faces(rings: int, points: int, closed: bool) -> np.ndarray:
    """Faces between neighbouring rings; the two caps are fans around two extra vertices."""
    following = np.roll(np.arange(points), -1)
    here = np.arange(points)
    faces = []
    for ring in range(rings if closed else rings - 1):
        low, high = ring * points, (ring + 1) % rings * points
        faces.append(np.stack([low + here, low + following, high + following], axis=1))
        faces.append(np.stack([low + here, high + following, high + here], axis=1))
    if not closed:
        bottom, last = rings * points, (rings - 1) * points
        faces.append(np.stack([following, here, np.full(points, bottom)], axis=1))
        faces.append(np.stack([last + here, last + following, np.full(points, bottom + 1)], axis=1))
    return np.concatenate(faces).astype(np.int32)


def loft(rings: np.ndarray, *, tone: float = 0.8) -> Mesh:
    """A skin over a stack of outlines, closed by a fan at either end.

    Args:
        rings: (S, P, 3), S outlines of P points each, counter-clockwise seen from the last one.
        tone: of all faces.
    """
    rings = np.asarray(rings, float)
    caps = rings[[0, -1]].mean(axis=1)
    faces = _loft_faces(rings.shape[0], rings.shape[1], False)
    return painted(np.concatenate([rings.reshape(-1, 3), caps]), faces, tone)


def circle(sections: int) -> np.ndarray:
    """Points on the unit circle, (sections, 2), counter-clockwise from (1, 0)."""
    angle = 2 * np.pi * np.arange(sections) / sections
    return np.stack([np.cos(angle), np.sin(angle)], axis=1)


def lathe(profile: Points, *, sections: int = 14, tone: float = 0.8) -> Mesh:
    """A solid of revolution about z; profile is a list of (radius, height), bottom first."""
    profile = np.asarray(profile, float)
    rings = np.empty((len(profile), sections, 3))
    rings[:, :, :2] = profile[:, None, :1] * circle(sections)
    rings[:, :, 2] = profile[:, 1:]
    return loft(rings, tone=tone)


def prism(
    outline: np.ndarray, bottom: float, top: float, *, taper: float = 1.0, tone: float = 0.8
) -> Mesh:
    """An outline (P, 2) in the xy plane raised from bottom to top, its end scaled by taper.

    The outline is counter-clockwise and star-shaped about its mean, so that the caps can be fans.
    """
    outline = np.asarray(outline, float)
    rings = np.empty((2, len(outline), 3))
    rings[0, :, :2], rings[1, :, :2] = outline, outline * taper
    rings[0, :, 2], rings[1, :, 2] = bottom, top
    return loft(rings, tone=tone)


def pipe(
    points: Points,
    radius: Vector | float,
    *,
    closed: bool = False,
    sections: int = 6,
    tone: float = 0.8,
) -> Mesh:
    """Build a round pipe along a flat polyline.

    Args:
        points: (S, 3), lying roughly in one plane.
        radius: one, or one per point (S,).
        closed: True joins the last point to the first, without caps.
        sections: corners of the cross-section.
        tone: brightness in [0, 1].
    """
    points = np.asarray(points, float)
    if closed:
        tangents = np.roll(points, -1, axis=0) - np.roll(points, 1, axis=0)
    else:
        tangents = np.gradient(points, axis=0)
    tangents /= np.linalg.norm(tangents, axis=1, keepdims=True)
    normal = _plane_normal(tangents)
    side = np.cross(normal, tangents)
    side /= np.linalg.norm(side, axis=1, keepdims=True)
    up = np.cross(tangents, side)
    outline = circle(sections)
    radii = np.broadcast_to(np.asarray(radius, float), (len(points),))[:, None, None]
    rings = points[:, None] + radii * (
        outline[:, :1] * side[:, None] + outline[:, 1:] * up[:, None]
    )
    if not closed:
        return loft(rings, tone=tone)
    return painted(rings.reshape(-1, 3), _loft_faces(len(points), sections, True), tone)


def _plane_normal(tangents: np.ndarray) -> np.ndarray:
    """What unit tangents (S, 3) turn about; any direction across them where they are straight."""
    turn = np.cross(tangents[:-1], tangents[1:])
    strongest = turn[np.argmax(np.linalg.norm(turn, axis=1))]
    if np.linalg.norm(strongest) < 1e-6:
        return _across(tangents[0])[0]
    return strongest / np.linalg.norm(strongest)


def ring(
    radius: float,
    thickness: float,
    center: Vector = (0, 0, 0),
    *,
    axis: str = "y",
    sections: int = 16,
    sides: int = 5,
    tone: float = 0.8,
) -> Mesh:
    """A torus around an axis; radius is to the middle of the pipe, thickness the pipe's radius."""
    first, second = {"x": (1, 2), "y": (0, 2), "z": (0, 1)}[axis]
    points = np.zeros((sections, 3))
    points[:, [first, second]] = radius * circle(sections)
    return pipe(
        points + np.asarray(center, float), thickness, closed=True, sections=sides, tone=tone
    )


def arc(radii: Vector, start: float, end: float, count: int) -> np.ndarray:
    """Points on an ellipse with radii (2,), from start to end degrees, (count, 2)."""
    angle = np.deg2rad(np.linspace(start, end, count))
    return np.stack([np.cos(angle), np.sin(angle)], axis=1) * np.asarray(radii, float)


def rounded(width: float, depth: float, corner: float, *, steps: int = 3) -> np.ndarray:
    """A rectangle around the origin with rounded corners, counter-clockwise, (4 * steps, 2)."""
    corner = min(corner, width / 2, depth / 2)
    middles = ((1, 1, 0), (-1, 1, 90), (-1, -1, 180), (1, -1, 270))
    return np.concatenate(
        [
            arc((corner, corner), start, start + 90, steps)
            + np.array([x * (width / 2 - corner), y * (depth / 2 - corner)])
            for x, y, start in middles
        ]
    )
