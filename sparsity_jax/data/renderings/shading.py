"""Shading: face normals under a head light, then anti-aliasing."""

from __future__ import annotations

import numpy as np

from sparsity_jax.data.renderings.meshes.mesh import Mesh

AMBIENT, HEAD_LIGHT, SIDE_LIGHT = 0.40, 0.35, 0.40
SIDE_LIGHT_FROM = (-0.45, 0.7, 0.55)  # right, up, towards the camera
BRIGHTEST = 225.0


def face_grays(mesh: Mesh, frame: np.ndarray) -> np.ndarray:
    """Gray of every face as one camera sees it.

    tone * (ambient + head * |n . towards| + side * max(0, n . light)), both sides of a face alike.

    Args:
        mesh: with F faces.
        frame: (3, 3), rows right, up, towards the camera.

    Returns:
        float32 (F + 1,), 0 to 255. The last one is 0, for the face number -1: nothing is hit.
    """
    normals = mesh.normals @ frame.T
    normals *= np.where(normals[:, 2:] < 0, -1.0, 1.0)
    light = np.asarray(SIDE_LIGHT_FROM) / np.linalg.norm(SIDE_LIGHT_FROM)
    shade = AMBIENT + HEAD_LIGHT * normals[:, 2] + SIDE_LIGHT * np.maximum(normals @ light, 0)
    return np.append(np.minimum(mesh.tones * shade, 1) * BRIGHTEST, 0).astype(np.float32)


def averaged(picture: np.ndarray, factor: int) -> np.ndarray:
    """Mean over blocks of factor x factor pixels: (..., S * factor, S * factor) to (..., S, S)."""
    *rest, rows, columns = picture.shape
    blocks = picture.reshape(*rest, rows // factor, factor, columns // factor, factor)
    return blocks.mean(axis=(-3, -1), dtype=np.float32)
