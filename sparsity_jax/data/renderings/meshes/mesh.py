"""Meshes: triangles with a tone each, and the few ways to move and join them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

Vector = Sequence[float] | np.ndarray


@dataclass(frozen=True, eq=False)
class Mesh:
    """Triangles in space, up is +z.

    Attributes:
        vertices: float64 (V, 3), positions.
        faces: int32 (F, 3), three vertex numbers per triangle.
        tones: float64 (F,), how light the surface is, 0 black to 1 white.

    Example:
        >>> from sparsity_jax.data.renderings.meshes.shapes import box
        >>> len(box((1, 2, 3)).faces)
        12
    """

    vertices: np.ndarray
    faces: np.ndarray
    tones: np.ndarray

    @property
    def normals(self) -> np.ndarray:
        """Unit normal of every face, float64 (F, 3); zero for a face without area."""
        a, b, c = (self.vertices[self.faces[:, k]] for k in range(3))
        normals = np.cross(b - a, c - a)
        length = np.linalg.norm(normals, axis=1, keepdims=True)
        return normals / np.where(length > 0, length, 1.0)


def painted(vertices: np.ndarray, faces: np.ndarray, tone: float) -> Mesh:
    """A mesh whose faces all have one tone."""
    return Mesh(vertices, faces, np.full(len(faces), tone))


def joined(parts: Iterable[Mesh]) -> Mesh:
    """All parts as one mesh; parts may overlap, nothing is merged or cut."""
    parts = list(parts)
    starts = np.cumsum([0] + [len(part.vertices) for part in parts[:-1]])
    return Mesh(
        np.concatenate([part.vertices for part in parts]),
        np.concatenate([part.faces + start for part, start in zip(parts, starts, strict=True)]),
        np.concatenate([part.tones for part in parts]),
    )


def moved(mesh: Mesh, offset: Vector) -> Mesh:
    """The mesh shifted by offset (3,)."""
    return Mesh(mesh.vertices + np.asarray(offset, float), mesh.faces, mesh.tones)


def scaled(mesh: Mesh, factors: Vector | float) -> Mesh:
    """The mesh stretched about the origin by one factor or by one factor per axis."""
    return Mesh(mesh.vertices * np.asarray(factors, float), mesh.faces, mesh.tones)


def turned(mesh: Mesh, axis: str, degrees: float) -> Mesh:
    """The mesh turned about the x, y or z axis through the origin, counter-clockwise."""
    angle = np.deg2rad(degrees)
    c, s = np.cos(angle), np.sin(angle)
    first, second = {"x": (1, 2), "y": (2, 0), "z": (0, 1)}[axis]
    vertices = mesh.vertices.copy()
    vertices[:, first] = c * mesh.vertices[:, first] - s * mesh.vertices[:, second]
    vertices[:, second] = s * mesh.vertices[:, first] + c * mesh.vertices[:, second]
    return Mesh(vertices, mesh.faces, mesh.tones)


def normalised(mesh: Mesh) -> Mesh:
    """The mesh centred on its bounding box and scaled to touch the unit sphere from inside."""
    middle = (mesh.vertices.min(axis=0) + mesh.vertices.max(axis=0)) / 2
    vertices = mesh.vertices - middle
    return Mesh(vertices / np.linalg.norm(vertices, axis=1).max(), mesh.faces, mesh.tones)
