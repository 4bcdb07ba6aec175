"""Objects: every class gives sound meshes that differ from instance to instance."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sparsity_jax.data.renderings.meshes import CLASS_NAMES, make_mesh
from sparsity_jax.data.renderings.meshes.mesh import Mesh, joined, moved, scaled, turned
from sparsity_jax.data.renderings.meshes.shapes import (
    ball,
    box,
    lathe,
    loft,
    pipe,
    prism,
    ring,
    rod,
    rounded,
)

PAPER = (
    "aeroplane bed bench bicycle boat bookshelf bus camera chair clock eyeglasses fan flashlight"
    " guitar headphone jar kettle keyboard laptop piano racket shoe sofa suitcase teapot toaster"
    " train trophy tub wheelchair"
)


def volume(mesh: Mesh) -> float:
    """Signed volume by the divergence theorem: positive when faces look outwards."""
    a, b, c = (mesh.vertices[mesh.faces[:, k]] for k in range(3))
    return float(np.einsum("fk,fk->", a, np.cross(b, c)) / 6)


def open_edges(mesh: Mesh) -> int:
    """Directed edges without a twin in the other direction: 0 for a closed, oriented surface."""
    # Caps and pipes repeat no vertices, so that equal edges have equal vertex numbers.
    edges = np.concatenate([mesh.faces[:, [k, (k + 1) % 3]] for k in range(3)])
    forth = {tuple(edge) for edge in edges.tolist()}
    return sum((b, a) not in forth for a, b in forth)


def test_the_classes_are_the_papers():
    assert sorted(CLASS_NAMES) == PAPER.split()


@pytest.mark.parametrize("name", CLASS_NAMES)
def test_every_instance_is_a_sound_mesh(name):
    for seed in range(20):
        mesh = make_mesh(name, np.random.default_rng(seed))
        assert np.isfinite(mesh.vertices).all()
        assert mesh.faces.min() == 0
        assert mesh.faces.max() == len(mesh.vertices) - 1
        assert np.linalg.norm(mesh.vertices, axis=1).max() == pytest.approx(1)
        np.testing.assert_allclose(mesh.vertices.min(0), -mesh.vertices.max(0), atol=1e-12)
        assert mesh.tones.shape == (len(mesh.faces),)
        assert mesh.tones.min() > 0
        assert 100 < len(mesh.faces) < 2000


@pytest.mark.parametrize("name", CLASS_NAMES)
def test_seeds_decide_the_instance(name):
    first, again, other = (make_mesh(name, np.random.default_rng(seed)) for seed in (3, 3, 4))
    np.testing.assert_array_equal(first.vertices, again.vertices)
    np.testing.assert_array_equal(first.faces, again.faces)
    assert (
        first.vertices.shape != other.vertices.shape
        or np.abs(first.vertices - other.vertices).max() > 0.02
    )


SOLIDS = {
    "box": (box((1, 2, 3)), 6.0),
    "moved box": (moved(box((1, 2, 3)), (5, -2, 1)), 6.0),
    "scaled box": (scaled(box((1, 1, 1)), (1, 2, 3)), 6.0),
    "turned box": (turned(turned(box((1, 2, 3)), "x", 30), "z", -70), 6.0),
    "ball": (ball(1.0, detail=2), 4 / 3 * np.pi),
    "rod": (rod((1, 0, 0), (1, 3, 4), 0.5, sections=40), 1.25 * np.pi),
    "cone": (rod((0, 0, 0), (0, 0, 3), 1.0, end_radius=0.0, sections=60), np.pi),
    "lathe": (lathe([(1, 0), (1, 2)], sections=60), 2 * np.pi),
    "prism": (prism(np.array([(0, 0), (2, 0), (0, 2)]), 1, 4), 6.0),
    "loft": (loft(prism(rounded(1, 2, 0), 0, 1).vertices[:24].reshape(2, 12, 3)), 2.0),
    "pipe": (pipe([(0, 0, 0), (1, 0, 0), (2, 0, 0)], 0.5, sections=60), np.pi / 2),
    "ring": (ring(2.0, 0.5, sections=80, sides=60), np.pi**2),
    "joined": (joined([box((1, 1, 1)), moved(box((1, 1, 1)), (3, 0, 0))]), 2.0),
}


@pytest.mark.parametrize("solid", SOLIDS)
def test_solids_have_the_volume_of_their_formula(solid):
    mesh, expected = SOLIDS[solid]
    assert abs(volume(mesh)) == pytest.approx(expected, rel=0.06)


@pytest.mark.parametrize("solid", SOLIDS)
def test_solids_are_closed(solid):
    assert open_edges(SOLIDS[solid][0]) == 0


@settings(max_examples=30, deadline=None)
@given(axis=st.sampled_from("xyz"), degrees=st.floats(-360, 360))
def test_turning_keeps_distances_and_the_axis(axis, degrees):
    mesh = box((1, 2, 3), (0.5, -1, 2))
    result = turned(mesh, axis, degrees)
    kept = "xyz".index(axis)
    np.testing.assert_array_equal(result.vertices[:, kept], mesh.vertices[:, kept])
    np.testing.assert_allclose(
        np.linalg.norm(result.vertices, axis=1), np.linalg.norm(mesh.vertices, axis=1)
    )
    np.testing.assert_allclose(turned(result, axis, -degrees).vertices, mesh.vertices, atol=1e-9)


def test_normals_are_unit_and_zero_for_a_face_without_area():
    vertices = np.array([(0, 0, 0), (2, 0, 0), (0, 3, 0), (4, 0, 0.0)])
    mesh = Mesh(vertices, np.array([(0, 1, 2), (0, 1, 3)], np.int32), np.ones(2))
    np.testing.assert_array_equal(mesh.normals, [(0, 0, 1), (0, 0, 0)])
