"""Ray casting: the face of a mesh that the ray through each pixel meets first.

The one place that chooses the intersector: Embree where its Python package embreex can be imported
(Linux on x86-64 at present), else the numpy rasteriser of `rasterise.py`. Both look through the
middle of each pixel and give the same picture up to pixels on an edge.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Sequence
from functools import cache

import numpy as np

from sparsity_jax.data.renderings.camera import Camera
from sparsity_jax.data.renderings.meshes.mesh import Mesh
from sparsity_jax.data.renderings.rasterise import front_faces

Intersector = Callable[[Mesh, Sequence[Camera], int], np.ndarray]


@cache
def intersector_name() -> str:
    """'embree' where embreex can be imported, else 'portable'."""
    try:
        importlib.import_module("embreex.rtcore_scene")
        importlib.import_module("embreex.mesh_construction")
    except ImportError:
        return "portable"
    return "embree"


def first_faces(
    mesh: Mesh, cameras: Sequence[Camera], size: int, *, intersector: str | None = None
) -> np.ndarray:
    """The face that is seen at every pixel, for several cameras around one mesh.

    Args:
        mesh: with F faces.
        cameras: n of them.
        size: pixels along a side of the square picture; rays go through the middle of pixels.
        intersector: 'embree' or 'portable'; by default the faster one that can be imported.

    Returns:
        int32 (n, size, size), face numbers, -1 where the ray meets nothing. Row 0 is the top.

    Example:
        >>> from sparsity_jax.data.renderings.meshes.shapes import box
        >>> from sparsity_jax.data.renderings.camera import View, camera
        >>> cube = box((1, 1, 1))
        >>> view = View(azimuth=0, elevation=0, fill=0.5, shift=(0, 0))
        >>> int((first_faces(cube, [camera(cube.vertices, view)], 4) >= 0).sum())
        4
    """
    trace: Intersector = {"embree": _embree, "portable": _portable}[
        intersector or intersector_name()
    ]
    return trace(mesh, cameras, size)


def _embree(mesh: Mesh, cameras: Sequence[Camera], size: int) -> np.ndarray:
    """All rays of all cameras through one Embree scene."""
    scenes = importlib.import_module("embreex.rtcore_scene")
    construction = importlib.import_module("embreex.mesh_construction")
    scene = scenes.EmbreeScene()
    construction.TriangleMesh(scene, mesh.vertices.astype(np.float32), mesh.faces)
    far = 2.0 * float(np.linalg.norm(mesh.vertices, axis=1).max()) + 1.0
    step = (np.arange(size) + 0.5) / size * 2 - 1
    origins = np.empty((len(cameras), size, size, 3), np.float32)
    directions = np.empty_like(origins)
    for k, camera in enumerate(cameras):
        right, up, towards = camera.frame
        across = (camera.centre[0] + camera.half * step)[:, None] * right
        along = (camera.centre[1] - camera.half * step)[:, None] * up + far * towards
        origins[k] = across[None] + along[:, None]
        directions[k] = -towards
    hits = scene.run(origins.reshape(-1, 3), directions.reshape(-1, 3))
    return np.asarray(hits, np.int32).reshape(len(cameras), size, size)


def _portable(mesh: Mesh, cameras: Sequence[Camera], size: int) -> np.ndarray:
    """One camera after the other through the numpy rasteriser."""
    hits = np.empty((len(cameras), size, size), np.int32)
    for k, camera in enumerate(cameras):
        points = mesh.vertices @ camera.frame.T
        points[:, :2] = (points[:, :2] - camera.centre) / camera.half
        points[:, :2] = (points[:, :2] * np.array([1, -1]) + 1) * (size / 2)
        hits[k] = front_faces(points, mesh.faces, size)
    return hits
