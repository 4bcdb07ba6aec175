"""ImageNet's archives in the official layout: a tar of tars, a flat tar, and the kit's tables."""

import io
import sys
import tarfile

import numpy as np
import pytest
import scipy.io
import tensorflow_datasets as tfds
from PIL import Image
from tensorflow_datasets.core import shuffle

from sparsity_jax import data, report
from sparsity_jax.config.base import default_config
from sparsity_jax.data import __main__ as data_main
from sparsity_jax.data.sources import tfds_stream as records
from sparsity_jax.data.sources.builders.imagenet import resized
from sparsity_jax.data.sources.official import prepare
from sparsity_jax.errors import UserError
from sparsity_jax.experiment import run as experiment
from sparsity_jax.storage.results import read_results

RNG = np.random.default_rng(0)
CLASSES = {1: "n02119789", 2: "n01440764", 3: "n02100735"}  # numbered in another order than sorted
WORDS = {
    "n02119789": "kit fox, Vulpes macrotis",
    "n01440764": "tench, Tinca tinca",
    "n02100735": "English setter",
}


def image(width, height, mode="RGB", kind="JPEG"):
    """One colour, so that resizing and JPEG leave it as it is."""
    colour = tuple(RNG.integers(0, 256, 3).tolist())
    stream = io.BytesIO()
    Image.new("RGB", (width, height), colour).convert(mode).save(stream, kind)
    return stream.getvalue()


def tar(files, mode="w"):
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode=mode) as archive:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return stream.getvalue()


def kit(truth):
    names = ("ILSVRC2012_ID", "WNID", "words", "num_children")
    fields = [(name, object) for name in names]
    rows = [(float(number), name, WORDS[name], 0.0) for number, name in CLASSES.items()]
    rows.append((1001.0, "n00001740", "entity", 3.0))  # an inner node of the hierarchy
    stream = io.BytesIO()
    scipy.io.savemat(stream, {"synsets": np.array(rows, dtype=fields)})
    top = "ILSVRC2012_devkit_t12"
    return tar(
        {
            f"{top}/readme.txt": b"",
            f"{top}/data/meta.mat": stream.getvalue(),
            f"{top}/data/ILSVRC2012_validation_ground_truth.txt": truth,
        },
        "w:gz",
    )


@pytest.fixture
def pictures():
    """The oddities of the real set: gray, CMYK, a PNG called JPEG, tall and wide ones."""
    return {
        "n01440764": {"n01440764_1.JPEG": image(500, 375), "n01440764_2.JPEG": image(9, 300, "L")},
        "n02119789": {"n02119789_7.JPEG": image(30, 20, "CMYK")},
        "n02100735": {"n02100735_3.JPEG": image(40, 40, "RGB", "PNG")},
    }


@pytest.fixture
def validation():
    return {f"ILSVRC2012_val_{k:08}.JPEG": image(60, 50 + k) for k in (3, 1, 4, 2)}


def write(folder, pictures, validation, truth=b"2\n3\n1\n1\n"):
    folder.mkdir(parents=True, exist_ok=True)
    train = tar({f"{name}.tar": tar(files) for name, files in pictures.items()})
    (folder / "ILSVRC2012_img_train.tar").write_bytes(train)
    (folder / "ILSVRC2012_img_val.tar").write_bytes(tar(validation))
    (folder / "ILSVRC2012_devkit_t12.tar.gz").write_bytes(kit(truth))


def build(folder):
    return prepare("imagenet2012", data_dir=folder, allow_unverified=True, progress=False)


def first_colour(content):
    with Image.open(io.BytesIO(content)) as picture:
        return np.asarray(picture.convert("RGB"))[0, 0].astype(int)


def check(builder, split, expected):
    """Expected: (encoded original, class name) in the order of ids."""
    source = sorted(builder.as_data_source(split), key=lambda example: example["id"])
    names = builder.info.features["label"].names
    assert len(source) == len(expected)
    for example, (content, name) in zip(source, expected, strict=True):
        assert names[example["label"]] == WORDS[name].partition(",")[0]
        assert example["image"].shape == (256, 256, 3)
        assert np.abs(example["image"].astype(int) - first_colour(content)).max() <= 4


@pytest.mark.parametrize("spill", [False, True])
def test_archives_are_read_resized_and_labelled(tmp_path, pictures, validation, spill, monkeypatch):
    if spill:
        monkeypatch.setattr(shuffle, "MAX_MEM_BUFFER_SIZE", 100)  # as for splits beyond 1 GB
    write(tmp_path / "manual", pictures, validation)
    builder = build(tmp_path)
    assert builder.info.features["label"].names == ["tench", "English setter", "kit fox"]
    train = [(c, name) for name, files in pictures.items() for c in files.values()]
    check(builder, "train", train)
    classes = ["n01440764", "n02100735", "n02119789", "n02119789"]  # 2, 3, 1, 1
    test = [(content, classes[int(name[15:23]) - 1]) for name, content in validation.items()]
    check(builder, "test", test)
    assert "tensorflow" not in sys.modules
    check(tfds.builder_from_directory(builder.data_path), "train", train)


def test_aspect_ratio_is_not_kept():
    halves = np.zeros((40, 100, 3), np.uint8)
    halves[:, 50:] = 255
    stream = io.BytesIO()
    Image.fromarray(halves).save(stream, "PNG")
    with Image.open(io.BytesIO(resized(stream.getvalue()))) as small:
        pixels = np.asarray(small)
    assert pixels.shape == (256, 256, 3)
    assert pixels[:, :120].max() < 10
    assert pixels[:, 136:].min() > 245


def test_it_is_prepared_by_command_but_not_held_in_memory(tmp_path, pictures, validation, capsys):
    write(tmp_path / "manual", pictures, validation)
    words = ["imagenet2012", "--data_dir", str(tmp_path)]
    assert data_main.main(["prepare", *words]) == 2
    assert "--allow_unverified" in capsys.readouterr().err
    assert data_main.main(["prepare", *words, "--allow_unverified"]) == 0
    assert str(tmp_path / "tfds" / "imagenet2012") in capsys.readouterr().out
    with pytest.raises(UserError, match="does not fit in memory"):
        data.load("imagenet2012", data_dir=tmp_path)


def test_it_streams_and_trains(tmp_path, pictures, validation, monkeypatch):
    monkeypatch.setattr(records, "default_workers", lambda: 0)  # threads start faster
    write(tmp_path / "manual", pictures, validation)
    build(tmp_path)
    stream = data.open_source("imagenet2012", data_dir=tmp_path, progress=False)
    assert isinstance(stream, data.Stream)
    assert (stream.train_size, stream.image_shape) == (4, (256, 256, 3))
    whole = data.load("tfds:imagenet2012", data_dir=tmp_path, progress=False)
    np.testing.assert_array_equal(stream.mean, whole.mean)
    np.testing.assert_array_equal(stream.std, whole.std)
    monkeypatch.setattr(records, "read", None)  # a second time the constants are not computed
    again = data.open_source("imagenet2012", data_dir=tmp_path, progress=False)
    np.testing.assert_array_equal(again.mean, whole.mean)
    monkeypatch.undo()
    monkeypatch.setattr(records, "default_workers", lambda: 0)

    config = default_config()
    config.data, config.data_dir = "imagenet2012", str(tmp_path)
    config.width = "0.02"
    config.batch_size = config.reference_batch = 2
    config.epochs, config.drops, config.evaluations = 2.0, (), 1
    config.latency_seconds = 0.0
    monkeypatch.setattr(report, "build", lambda workdir: None)  # has its own tests
    monkeypatch.setattr(report, "table", lambda workdir: "")
    experiment.run(config, tmp_path / "run")
    (row,) = read_results(tmp_path / "run" / "results.csv")
    assert (row.dataset, row.steps, row.status) == ("ImageNet", 4, "finished")
    assert row.test_error in (0, 25, 50, 75, 100)
    assert row.top5_error == 0  # of three classes


def refuse(folder, *words):
    with pytest.raises(UserError) as caught:
        build(folder)
    assert "\n" not in str(caught.value)
    for word in words:
        assert word in str(caught.value)
    assert not list((folder / "tfds" / "imagenet2012").glob("[0-9]*"))  # nothing taken for whole


def test_missing_archives_say_where_to_get_them(tmp_path, pictures, validation):
    write(tmp_path / "manual", pictures, validation)
    for name in ("ILSVRC2012_img_val.tar", "ILSVRC2012_devkit_t12.tar.gz"):
        (tmp_path / "manual" / name).unlink()
        refuse(tmp_path, name, "https://image-net.org", str(tmp_path / "manual"))


def test_unreadable_image_is_named(tmp_path, pictures, validation):
    pictures["n02119789"]["n02119789_7.JPEG"] = b"not a picture"
    write(tmp_path / "manual", pictures, validation)
    refuse(tmp_path, "n02119789/n02119789_7.JPEG", "of no known picture format")


def test_unreadable_images_are_skipped_and_counted_on_request(
    tmp_path, pictures, validation, caplog
):
    pictures["n02119789"]["n02119789_8.JPEG"] = b"not a picture"
    write(tmp_path / "manual", pictures, validation)
    refuse(tmp_path, "--skip_unreadable")
    words = ["imagenet2012", "--data_dir", str(tmp_path), "--allow_unverified"]
    assert data_main.main(["prepare", *words, "--skip_unreadable"]) == 0
    assert "1 unreadable image is left out: n02119789/n02119789_8.JPEG" in caplog.text
    assert build(tmp_path).info.splits["train"].num_examples == 4


def test_unknown_classes_are_named(tmp_path, pictures, validation):
    write(tmp_path / "manual", {**pictures, "n99999999": {"a.JPEG": image(9, 9)}}, validation)
    refuse(tmp_path, "n99999999/a.JPEG", "no known class")
    write(tmp_path / "manual", pictures, validation, truth=b"2\n3\n1\n")
    refuse(tmp_path, "ILSVRC2012_val_00000004.JPEG", "no known class")


def test_cut_off_archives_are_refused(tmp_path, pictures, validation):
    write(tmp_path / "manual", pictures, validation)
    path = tmp_path / "manual" / "ILSVRC2012_img_train.tar"
    whole = path.read_bytes().rstrip(b"\0")
    for share in (0.3, 0.6, 0.9):
        path.write_bytes(whole[: int(len(whole) * share)])
        refuse(tmp_path, "ILSVRC2012_img_train.tar")
