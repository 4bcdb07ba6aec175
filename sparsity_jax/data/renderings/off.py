"""CAD models in the Object File Format (.off): text to triangles, or a clear error."""

import re
from itertools import pairwise

import numpy as np

_HEADER = re.compile(r"\s*(ST)?C?N?OFF(?![A-Za-z])")  # 4OFF, nOFF and BINARY have other layouts
_COMMENT = re.compile(r"#.*")


def read_off(data: bytes) -> tuple[np.ndarray, np.ndarray]:
    r"""Read vertices and faces; polygons become fans of triangles.

    Real files are untidy, and this reads them: comments and empty lines, the word OFF missing, or
    glued to the counts, colours behind vertices and faces, faces without area (left out).

    Args:
        data: contents of the file.

    Returns:
        vertices float64 (V, 3) and faces int32 (F, 3), V >= 3 and F >= 1.

    Raises:
        ValueError: cut off, not numbers, vertex numbers out of range, or nothing to see.

    Example:
        >>> square = b"OFF4 1 0 # a square\n0 0 0\n1 0 0\n1 1 0\n0 1 0\n4 0 1 2 3"
        >>> read_off(square)[1].tolist()
        [[0, 1, 2], [0, 2, 3]]
    """
    lines = [_COMMENT.sub("", line).strip() for line in data.decode("latin-1").splitlines()]
    lines = [line for line in lines if line]
    if not lines:
        raise ValueError("it is empty")
    if header := _HEADER.match(lines[0]):
        rest = lines[0][header.end() :].strip()
        lines = [rest, *lines[1:]] if rest else lines[1:]
    vertex_count, face_count = _counts(lines)
    vertices = _vertices(lines[1 : 1 + vertex_count])
    faces = _faces(lines[1 + vertex_count : 1 + vertex_count + face_count], vertex_count)
    corners = vertices[faces]
    doubled_areas = np.linalg.norm(
        np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]), axis=1
    )
    if not (doubled_areas > 0).any():
        raise ValueError("it has no face with an area")
    return vertices, faces[doubled_areas > 0]


def _counts(lines: list[str]) -> tuple[int, int]:
    """Numbers of vertices and faces, checked against the lines that follow."""
    words = lines[0].split() if lines else []
    try:
        vertices, faces = (int(word) for word in words[:2])
    except ValueError:
        raise ValueError(
            "it does not begin with OFF and the numbers of vertices and faces"
        ) from None
    if vertices < 3 or faces < 1:
        raise ValueError(f"it announces {vertices} vertices and {faces} faces")
    if vertices + faces > len(lines) - 1:
        raise ValueError(
            f"it is cut off: {vertices} vertices and {faces} faces are announced,"
            f" {len(lines) - 1} lines follow"
        )
    return vertices, faces


def _vertices(lines: list[str]) -> np.ndarray:
    try:
        vertices = np.array([line.split()[:3] for line in lines], dtype=np.float64)
    except ValueError:
        raise ValueError("a vertex is not three numbers") from None
    if vertices.shape[1:] != (3,) or not (np.abs(vertices) < 1e100).all():  # also refuses NaN
        raise ValueError("a vertex is not three finite numbers")
    return vertices


def _faces(lines: list[str], vertex_count: int) -> np.ndarray:
    triangles = []
    for line in lines:
        words = line.split()
        try:
            corners = [int(word) for word in words[1 : 1 + int(words[0])]]
        except ValueError:
            raise ValueError(f"a face is not whole numbers: {line[:40]!r}") from None
        if int(words[0]) < 0 or len(corners) < int(words[0]):
            raise ValueError(f"a face lacks corners: {line[:40]!r}")
        if corners and not 0 <= min(corners) <= max(corners) < vertex_count:
            raise ValueError(f"a face names a vertex that is not there: {line[:40]!r}")
        triangles += [(corners[0], *pair) for pair in pairwise(corners[1:])]
    return np.array(triangles, np.int32).reshape(-1, 3)
