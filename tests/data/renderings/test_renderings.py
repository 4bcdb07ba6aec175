"""The built-in data set: deterministic, balanced, alike on both backgrounds, kept on disk."""

import re
from dataclasses import replace

import numpy as np
import pytest

from sparsity_jax.data.contact_sheet import contact_sheet
from sparsity_jax.data.dataset import Dataset
from sparsity_jax.data.renderings import dataset as renderings
from sparsity_jax.data.renderings.camera import camera, sample_view
from sparsity_jax.data.renderings.clutter import DRAWS, clutter
from sparsity_jax.data.renderings.dataset import CLEAN_GRAY, Recipe, load, render
from sparsity_jax.data.renderings.meshes import CLASS_NAMES, make_mesh
from sparsity_jax.data.renderings.raycast import first_faces
from sparsity_jax.errors import UserError

RECIPE = Recipe(split="train", views=90, classes=3, size=16, background="clean", seed=5)
SMALL = {"classes": 3, "size": 8, "train_views": 9, "test_views": 6, "progress": False}


@pytest.mark.parametrize("background", renderings.BACKGROUNDS)
@pytest.mark.parametrize("split", ["train", "test"])
def test_view_i_does_not_depend_on_how_many_there_are(split, background):
    recipe = replace(RECIPE, split=split, background=background)
    images, labels = render(recipe)
    fewer, fewer_labels = render(replace(recipe, views=40))
    np.testing.assert_array_equal(images[:40], fewer)
    np.testing.assert_array_equal(labels[:40], fewer_labels)


def test_a_class_looks_the_same_however_many_classes_there_are():
    three, _ = render(RECIPE)
    four, labels = render(replace(RECIPE, classes=4, views=120))
    np.testing.assert_array_equal(four[labels == 2], three[2::3])


def test_seeds_and_splits_show_other_pictures():
    images = [
        render(recipe)[0]
        for recipe in (RECIPE, replace(RECIPE, seed=6), replace(RECIPE, split="test"))
    ]
    for first, second in ((0, 1), (0, 2), (1, 2)):
        same = (images[first] == images[second]).all(axis=(1, 2, 3))
        assert not same.any()


@pytest.mark.parametrize("background", renderings.BACKGROUNDS)
def test_it_trains_and_resumes_in_mid_epoch(background, trains_and_resumes):
    trains_and_resumes(load(**SMALL, background=background))


def test_train_and_test_show_different_instances(monkeypatch):
    made = []

    def record(name: str, rng: np.random.Generator) -> object:
        mesh = make_mesh(name, rng)
        made.append((name, mesh.vertices.tobytes()))
        return mesh

    monkeypatch.setattr(renderings, "make_mesh", record)
    for split in ("train", "test"):
        render(replace(RECIPE, split=split))
    train, test = 3 * 4, 3 * 15  # 30 views a class: ceil(30 / 8) and 30 / 2 instances
    assert len(made) == len(set(made)) == train + test


@pytest.mark.parametrize("size", [16, 33])
def test_the_backgrounds_differ_outside_the_object_only(size):
    recipe = replace(RECIPE, size=size, views=30)
    clean, _ = render(recipe)
    cluttered, _ = render(replace(recipe, background="cluttered"))
    inside, outside = _masks(recipe)
    assert inside.sum() > 400
    np.testing.assert_array_equal(clean[..., 0][inside], cluttered[..., 0][inside])
    assert (clean[..., 0][outside] == CLEAN_GRAY).all()
    assert (cluttered[..., 0][outside] != CLEAN_GRAY).mean() > 0.9


def _masks(recipe: Recipe) -> tuple[np.ndarray, np.ndarray]:
    """Pixels all of whose rays hit the object, and those none of whose do, cast once more here."""
    inside, outside = (np.empty((recipe.views, recipe.size, recipe.size), bool) for _ in range(2))
    for i in range(recipe.views):
        label, number = i % recipe.classes, i // recipe.classes
        mesh = make_mesh(
            CLASS_NAMES[label], np.random.default_rng((recipe.seed, 0, 0, label, number // 8))
        )
        view = sample_view(np.random.default_rng((recipe.seed, 0, 1, label, number)))
        hits = first_faces(mesh, [camera(mesh.vertices, view)], 2 * recipe.size)[0] >= 0
        blocks = hits.reshape(recipe.size, 2, recipe.size, 2)
        inside[i], outside[i] = blocks.all(axis=(1, 3)), ~blocks.any(axis=(1, 3))
    return inside, outside


@pytest.mark.parametrize("label", range(len(CLASS_NAMES)), ids=CLASS_NAMES)
def test_every_class_is_visible_and_varies(label):
    recipe = Recipe(split="test", views=30 * 4, classes=30, size=16, background="clean", seed=0)
    images, labels = _rendered(recipe)
    mine = images[labels == label].astype(float)
    assert ((mine < 200).mean(axis=(1, 2, 3)) > 0.03).all()
    assert np.abs(mine[0] - mine[2]).mean() > 2  # other instance, other view


_KEPT: dict[Recipe, tuple[np.ndarray, np.ndarray]] = {}


def _rendered(recipe: Recipe) -> tuple[np.ndarray, np.ndarray]:
    """Rendered once for all tests that look at it."""
    if recipe not in _KEPT:
        _KEPT[recipe] = render(recipe)
    return _KEPT[recipe]


def test_both_intersectors_give_the_same_data_set():
    pytest.importorskip("embreex")
    recipe = Recipe(split="test", views=30 * 4, classes=30, size=16, background="clean", seed=0)
    images, _ = _rendered(recipe)
    portable, _ = render(recipe, intersector="portable")
    assert (np.abs(images.astype(int) - portable) > 2).mean() < 1e-3


def test_load_gives_balanced_gray_images():
    dataset = load(**SMALL, background="cluttered")
    assert (dataset.name, dataset.variant) == ("renderings", "bg=cluttered")
    assert dataset.class_names == CLASS_NAMES[:3]
    assert dataset.image_shape == (8, 8, 1)
    assert np.bincount(dataset.train_labels).tolist() == [3, 3, 3]
    assert np.bincount(dataset.test_labels).tolist() == [2, 2, 2]


def _same(first: Dataset, second: Dataset) -> bool:
    pairs = [
        (getattr(first, name), getattr(second, name))
        for name in ("train_images", "train_labels", "test_images", "test_labels")
    ]
    return (first.class_names, first.variant) == (second.class_names, second.variant) and all(
        np.array_equal(one, two) for one, two in pairs
    )


def _forbidden(*arguments: object, **named: object) -> None:
    raise AssertionError("rendered although it was cached")


def test_a_second_load_comes_from_the_cache_and_is_the_same(tmp_path, monkeypatch):
    fresh = load(**SMALL, cache_dir=tmp_path)
    assert _same(fresh, load(**SMALL))
    monkeypatch.setattr(renderings, "render", _forbidden)
    assert _same(fresh, load(**SMALL, cache_dir=tmp_path))


def test_swapped_caches_are_noticed(tmp_path, caplog):
    sets = [load(**SMALL, background=each, cache_dir=tmp_path) for each in renderings.BACKGROUNDS]
    clean, cluttered = sorted(tmp_path.iterdir())
    clean.rename(tmp_path / "kept")
    cluttered.rename(clean)
    (tmp_path / "kept").rename(cluttered)
    for background, fresh in zip(renderings.BACKGROUNDS, sets, strict=True):
        assert _same(fresh, load(**SMALL, background=background, cache_dir=tmp_path))
    assert [record.getMessage().count("it was written as") for record in caplog.records] == [1, 1]


@pytest.mark.parametrize(
    "change",
    [
        {"classes": 2},
        {"size": 9},
        {"background": "cluttered"},
        {"train_views": 10},
        {"test_views": 7},
        {"seed": 1},
    ],
    ids=str,
)
def test_every_parameter_has_a_cache_of_its_own(tmp_path, change):
    load(**SMALL, cache_dir=tmp_path)
    changed = load(**{**SMALL, **change}, cache_dir=tmp_path)
    assert len(list(tmp_path.iterdir())) == 2
    assert _same(changed, load(**{**SMALL, **change}))


def test_a_new_version_or_intersector_is_rendered_anew(tmp_path, monkeypatch):
    load(**SMALL, cache_dir=tmp_path)
    monkeypatch.setattr(renderings, "VERSION", renderings.VERSION + 1)
    load(**SMALL, cache_dir=tmp_path)
    monkeypatch.setattr(renderings, "intersector_name", lambda: "other")
    load(**SMALL, cache_dir=tmp_path)
    assert len(list(tmp_path.iterdir())) == 3


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"classes": 1}, "renderings.classes must be a whole number from 2 to 30, not 1"),
        ({"classes": 31}, "from 2 to 30"),
        ({"classes": True}, "from 2 to 30"),
        ({"size": 7}, "renderings.size must be a whole number from 8 to 256, not 7"),
        ({"size": 257}, "from 8 to 256"),
        ({"size": "32"}, "from 8 to 256"),
        ({"size": 16.0}, "from 8 to 256"),
        (
            {"background": "blue"},
            "renderings.background must be one of clean, cluttered, not 'blue'",
        ),
        ({"train_views": 2}, "train_views must be a whole number at least 3, one per class, not 2"),
        ({"test_views": 0}, "test_views must be a whole number at least 3, one per class, not 0"),
        ({"seed": -1}, "renderings.seed must be a whole number at least 0, not -1"),
    ],
    ids=str,
)
def test_bad_values_are_refused_in_one_line(tmp_path, change, said):
    with pytest.raises(UserError, match=re.escape(said)) as caught:
        load(**{**SMALL, **change}, cache_dir=tmp_path)
    assert "\n" not in str(caught.value)
    assert not list(tmp_path.iterdir())


def test_an_unwritable_cache_is_refused_before_rendering(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setattr(renderings, "render", _forbidden)
    with pytest.raises(UserError, match="cannot be written"):
        load(**SMALL, cache_dir=tmp_path / "file")


def test_clutter_is_sampled_from_one_picture_at_every_size():
    draws = np.random.default_rng(0).random((8, DRAWS))
    small, large = clutter(draws, 16), clutter(draws, 48)
    assert small.min() >= 0
    assert small.max() <= 255
    assert (np.abs(small - large[:, 1::3, 1::3]) > 0.1).mean() < 0.002
    assert (small.std(axis=(1, 2)) > 10).all()  # cluttered, each of them
    np.testing.assert_array_equal(clutter(draws[3:4], 16)[0], small[3])


@pytest.mark.parametrize("channels", [1, 3])
def test_contact_sheet_shows_the_images_of_every_class(channels):
    images = np.zeros((6, 4, 5, channels), np.uint8)
    images[:] = np.array([10, 20, 30, 40, 50, 60], np.uint8)[:, None, None, None]
    labels = np.array([0, 1, 0, 1, 0, 0], np.int32)
    sheet = contact_sheet(
        Dataset("dots", images, labels, images, labels, ("cat", "dog")), columns=3, cell=10
    )
    pixels = np.asarray(sheet)
    shown = [value for value in range(10, 61, 10) if (pixels == value).all(axis=2).sum() >= 8 * 10]
    assert shown == [10, 20, 30, 40, 50]  # three of class 0, both of class 1, enlarged twofold


def test_contact_sheet_of_a_class_without_images_has_an_empty_row():
    images, labels = np.full((2, 8, 8, 1), 77, np.uint8), np.zeros(2, np.int32)
    sheet = contact_sheet(
        Dataset("dots", images, labels, images, labels, ("cat", "dog")), columns=2, cell=8
    )
    assert (np.asarray(sheet)[:14] == 77).any()
    assert not (np.asarray(sheet)[14:] == 77).all(axis=2).sum() > 20


@pytest.mark.parametrize(("classes", "side"), [(200, 64), (2, 1500), (3, 1)])
def test_contact_sheets_stay_small_and_say_what_they_leave_out(classes, side):
    labels = np.arange(classes, dtype=np.int32)
    images = np.zeros((classes, side, side, 1), np.uint8)
    names = tuple(f"class {label} with a very long name of many words" for label in labels)
    sheet = contact_sheet(Dataset("s", images, labels, images[:1], labels[:1], names))
    assert max(sheet.size) <= 2000
    rows = np.asarray(sheet.convert("L")) == 0
    shown = int(np.diff(rows[:, -8].astype(int)).clip(0).sum())  # black pictures along a column
    assert shown == classes or (classes == 200 and 20 < shown < classes)
