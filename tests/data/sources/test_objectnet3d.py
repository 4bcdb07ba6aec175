"""ObjectNet3D from its zip of CAD models: the same views on clean and cluttered backgrounds."""

import io
import zipfile

import numpy as np
import pytest
from PIL import Image

from sparsity_jax import data
from sparsity_jax.data.renderings.meshes import CLASS_NAMES, make_mesh
from sparsity_jax.data.sources.builders import objectnet3d
from sparsity_jax.errors import UserError

ROOT = "ObjectNet3D/CAD/off"


def off(name, seed):
    mesh = make_mesh(name, np.random.default_rng(seed))
    lines = [f"OFF{len(mesh.vertices)} {len(mesh.faces)} 0"]
    lines += ["{:.9f} {:.9f} {:.9f}".format(*vertex) for vertex in mesh.vertices]
    lines += ["3 {} {} {}".format(*face) for face in mesh.faces]
    return "\n".join(lines).encode()


@pytest.fixture(scope="module")
def models():
    files = {f"{ROOT}/{name}/{k:02}.off": off(name, k) for name in CLASS_NAMES for k in (1, 2)}
    files[f"{ROOT}/ashtray/01.off"] = off("jar", 0)  # one of the 70 other classes
    files["ObjectNet3D/CAD/mat/chair.mat"] = b"MATLAB"
    return files


def pack(folder, files):
    folder.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(folder / "ObjectNet3D_cads.zip", "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)


@pytest.fixture(autouse=True)
def few_views(monkeypatch):
    monkeypatch.setattr(objectnet3d, "VIEWS_PER_CLASS", {"train": 2, "test": 1})


def load(source, folder):
    return data.load(source, data_dir=folder, progress=False)


@pytest.fixture(scope="module")
def folder(tmp_path_factory, models):
    folder = tmp_path_factory.mktemp("objectnet3d")
    pack(folder / "manual", models)
    return folder


def test_clean_and_cluttered_show_the_same_views(folder):
    clean, cluttered = load("objectnet3d", folder), load("objectnet3d:procedural", folder)
    assert clean.name == cluttered.name == "ObjectNet3D-30"
    assert (clean.variant, cluttered.variant) == ("bg=clean", "bg=procedural")
    assert clean.class_names == tuple(sorted(CLASS_NAMES))
    assert clean.image_shape == (64, 64, 1)
    assert np.bincount(clean.train_labels).tolist() == [2] * 30
    assert np.bincount(clean.test_labels).tolist() == [1] * 30
    np.testing.assert_array_equal(clean.train_labels, cluttered.train_labels)
    same = clean.train_images == cluttered.train_images
    behind = clean.train_images == 245
    assert 0.05 < same.mean() < 0.9
    assert same[~behind].mean() > 0.7  # all but the mixed pixels along edges
    assert same[behind].mean() < 0.1
    assert (behind.mean((1, 2, 3)) > 0.1).all()  # objects stand free
    assert (behind.mean((1, 2, 3)) < 0.995).all()  # and are there
    views = clean.train_images.reshape(30, 2, -1)[np.argsort(clean.train_labels[::2])]
    assert (views[:, 0] != views[:, 1]).any(-1).all()


@pytest.mark.parametrize("source", ["objectnet3d", "objectnet3d:procedural"])
def test_it_trains_and_resumes_in_mid_epoch(folder, source, trains_and_resumes):
    trains_and_resumes(load(source, folder))


def test_without_paintings_cluttered_is_refused(folder):
    with pytest.raises(UserError, match=r"no paintings in .*objectnet3d:procedural"):
        load("objectnet3d:cluttered", folder)


def test_paintings_stand_behind_when_given(folder, tmp_path, models):
    pack(tmp_path / "manual", models)
    cubism = tmp_path / "manual" / "PeopleArt" / "JPEGImages" / "Cubism"
    cubism.mkdir(parents=True)
    Image.new("RGB", (300, 150), (10, 10, 10)).save(cubism / "picasso.jpg")
    dataset = load("objectnet3d:cluttered", tmp_path)
    clean = load("objectnet3d", folder)
    assert np.abs(dataset.train_images[clean.train_images == 245].astype(int) - 10).max() <= 1


def test_models_are_not_shared_by_the_splits():
    for count in (2, 5, 8, 23):
        names = [f"{k:02}.off" for k in range(count)]
        train, test = (dict(objectnet3d._share(names, split)) for split in ("train", "test"))
        assert sorted([*train, *test]) == names
        assert sum(train.values()) == 2
        assert sum(test.values()) == 1
    assert objectnet3d._share(["01.off"], "train") == [("01.off", 2)]
    assert objectnet3d._share(["01.off"], "test") == [("01.off", 1)]


def refuse(folder, *words):
    with pytest.raises(UserError) as caught:
        load("objectnet3d", folder)
    assert "\n" not in str(caught.value)
    for word in words:
        assert word in str(caught.value)


def test_missing_archive_says_where_to_get_it(tmp_path):
    refuse(tmp_path, "ObjectNet3D_cads.zip", "https://", str(tmp_path / "manual"))


def test_missing_class(tmp_path, models):
    pack(tmp_path / "manual", {k: v for k, v in models.items() if "/teapot/" not in k})
    refuse(tmp_path, "CAD/off/teapot/")


def test_broken_model_is_named(tmp_path, models):
    name = f"{ROOT}/bed/01.off"
    pack(tmp_path / "manual", {**models, name: models[name][:500]})
    refuse(tmp_path, "bed/01.off", "cut off")


def test_broken_painting_is_named(tmp_path, models):
    pack(tmp_path / "manual", models)
    cubism = tmp_path / "manual" / "PeopleArt" / "JPEGImages" / "Cubism"
    cubism.mkdir(parents=True)
    stream = io.BytesIO()
    Image.new("L", (90, 90)).save(stream, "JPEG")
    (cubism / "cut.jpg").write_bytes(stream.getvalue()[:200])
    with pytest.raises(UserError, match=r"cut\.jpg"):
        load("objectnet3d:cluttered", tmp_path)


@pytest.mark.parametrize("source", ["objectnet3d:foggy", "cifar10:small"])
def test_unknown_variants(tmp_path, source):
    with pytest.raises(UserError, match=r"unknown data set .*valid: (objectnet3d:clean|cifar10)"):
        load(source, tmp_path)
