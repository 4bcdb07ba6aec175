"""Views and intersectors: frames, ranges, and two ways to the same picture."""

import importlib
import importlib.util

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sparsity_jax.data.renderings.camera import MOST_SHIFT, View, camera, frame, sample_view
from sparsity_jax.data.renderings.meshes import CLASS_NAMES, make_mesh
from sparsity_jax.data.renderings.meshes.mesh import Mesh
from sparsity_jax.data.renderings.meshes.shapes import ball, box
from sparsity_jax.data.renderings.rasterise import front_faces
from sparsity_jax.data.renderings.raycast import first_faces, intersector_name
from sparsity_jax.data.renderings.shading import averaged, face_grays

needs_embree = pytest.mark.skipif(
    importlib.util.find_spec("embreex") is None, reason="embreex has no wheel for this platform"
)
SEEDS = st.integers(0, 2**32)


@settings(max_examples=200, deadline=None)
@given(seed=SEEDS)
def test_views_stay_in_the_papers_ranges(seed):
    view = sample_view(np.random.default_rng(seed))
    assert -180 <= view.azimuth < 180
    assert -15 <= view.elevation < 45
    assert 0.8 < view.fill < 1


def test_views_cover_the_papers_ranges_evenly():
    rng = np.random.default_rng(0)
    angles = np.array(
        [(view.azimuth, view.elevation) for view in (sample_view(rng) for _ in range(4000))]
    )
    for column, low, high in ((0, -180, 180), (1, -15, 45)):
        counts, _ = np.histogram(angles[:, column], bins=8, range=(low, high))
        assert counts.sum() == 4000
        assert abs(counts - 500).max() < 110  # five standard deviations


@settings(max_examples=50, deadline=None)
@given(azimuth=st.floats(-180, 180), elevation=st.floats(-15, 45))
def test_frames_are_right_handed_and_level(azimuth, elevation):
    axes = frame(azimuth, elevation)
    np.testing.assert_allclose(axes @ axes.T, np.eye(3), atol=1e-12)
    assert np.linalg.det(axes) == pytest.approx(1)
    assert axes[0, 2] == 0  # the horizon stays level
    assert np.rad2deg(np.arcsin(axes[2, 2])) == pytest.approx(elevation)


@settings(max_examples=50, deadline=None)
@given(seed=SEEDS)
def test_the_whole_object_is_in_the_picture_and_fills_it(seed):
    rng = np.random.default_rng(seed)
    vertices, view = rng.normal(size=(20, 3)) * rng.uniform(0.1, 3, 3), sample_view(rng)
    seen = camera(vertices, view)
    places = (vertices @ seen.frame[:2].T - seen.centre) / seen.half
    assert np.abs(places).max() <= 1 + 1e-9
    assert np.ptp(places, axis=0).max() == pytest.approx(2 * view.fill)
    assert np.abs((places.max(0) + places.min(0)) / 2).max() <= MOST_SHIFT + 1e-9


@settings(max_examples=40, deadline=None)
@given(seed=SEEDS, size=st.integers(1, 12))
def test_the_rasteriser_agrees_with_testing_every_pixel_on_every_triangle(seed, size):
    rng = np.random.default_rng(seed)
    points = rng.uniform(-0.3, 1.3, (21, 3)) * size
    faces = np.concatenate([np.arange(21).reshape(7, 3), [(0, 4, 4)]])  # the last has no area
    expected = np.full((size, size), -1)
    for row in range(size):
        for column in range(size):
            best = -np.inf
            for number, face in enumerate(faces):
                a, b, c = points[face]
                system = np.array([b[:2] - a[:2], c[:2] - a[:2]]).T
                if abs(np.linalg.det(system)) < 1e-9:
                    continue
                u, v = np.linalg.solve(system, (column + 0.5, row + 0.5) - a[:2])
                nearness = a[2] + u * (b[2] - a[2]) + v * (c[2] - a[2])
                if u >= 0 and v >= 0 and u + v <= 1 and nearness > best:
                    best, expected[row, column] = nearness, number
    np.testing.assert_array_equal(front_faces(points, faces, size), expected)


@needs_embree
def test_embree_and_the_rasteriser_draw_the_same_pictures():
    """At most 1 pixel in 1,000 shows another shade: edges that pass through a pixel's middle."""
    different, total = 0, 0
    for label, name in enumerate(CLASS_NAMES):
        rng = np.random.default_rng(label)
        mesh = make_mesh(name, rng)
        cameras = [camera(mesh.vertices, sample_view(rng)) for _ in range(4)]
        hits = [first_faces(mesh, cameras, 48, intersector=kind) for kind in ("embree", "portable")]
        for one, first, second in zip(cameras, *hits, strict=True):
            grays = face_grays(mesh, one.frame)
            different += (np.abs(grays[first] - grays[second]) > 2).sum()
            total += first.size
    assert different / total < 1e-3


@pytest.mark.parametrize("kind", [pytest.param("embree", marks=needs_embree), "portable"])
def test_a_ball_is_a_disc_of_its_area(kind):
    mesh = ball(0.7, (3, 2, 1), detail=3)
    view = View(azimuth=20, elevation=10, fill=0.8, shift=(1.0, -1.0))
    hits = first_faces(mesh, [camera(mesh.vertices, view)] * 2, 100, intersector=kind)
    assert hits.dtype == np.int32
    np.testing.assert_array_equal(hits[0], hits[1])
    assert (hits[0] >= 0).mean() == pytest.approx(np.pi * 0.4**2, rel=0.02)
    rows, columns = np.nonzero(hits[0] >= 0)
    assert rows.mean() > 52  # shifted to the right and down
    assert columns.mean() > 52


@pytest.mark.parametrize("kind", [pytest.param("embree", marks=needs_embree), "portable"])
def test_the_nearer_of_two_boxes_is_seen_and_up_is_up(kind):
    near, far = box((0.2, 1, 1), (2, 0, 0)), box((0.2, 2, 2), (-2, 0, 0))
    top = box((0.2, 0.2, 0.2), (0, 0, 2))
    vertices = np.concatenate([near.vertices, far.vertices, top.vertices])
    faces = np.concatenate([near.faces, far.faces + 8, top.faces + 16])
    mesh = Mesh(vertices, faces, np.ones(36))
    view = View(azimuth=0, elevation=0, fill=0.9, shift=(0, 0))
    owner = first_faces(mesh, [camera(vertices, view)], 40, intersector=kind)[0] // 12
    assert owner[28, 20] == 0  # seen from +x, the near one hides the far one
    assert owner[15, 20] == 1
    assert set(owner[:4].ravel()) == {-1, 2}
    assert -1 not in owner[28, 8:32]


def test_without_embree_the_portable_intersector_is_chosen(monkeypatch):
    real = importlib.import_module

    def refuse(name, *arguments):
        if name.startswith("embreex"):
            raise ImportError(name)
        return real(name, *arguments)

    monkeypatch.setattr(importlib, "import_module", refuse)
    intersector_name.cache_clear()
    try:
        assert intersector_name() == "portable"
    finally:
        intersector_name.cache_clear()


def test_shading_is_the_same_from_both_sides_and_brighter_face_on():
    mesh = box((1, 1, 1))
    back = Mesh(mesh.vertices, mesh.faces[:, ::-1], mesh.tones)
    axes = frame(30, 20)
    np.testing.assert_allclose(face_grays(mesh, axes), face_grays(back, axes))
    assert face_grays(mesh, axes)[-1] == 0
    front = np.argmax(mesh.normals @ axes[2])
    side = np.argmin(np.abs(mesh.normals @ axes[2]))
    assert face_grays(mesh, axes)[front] > face_grays(mesh, axes)[side] > 0


def test_averaging_takes_the_mean_of_each_block():
    picture = np.arange(32, dtype=np.float32).reshape(2, 4, 4)
    assert averaged(picture, 2)[1].tolist() == [[18.5, 20.5], [26.5, 28.5]]
