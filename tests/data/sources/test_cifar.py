"""CIFAR archives in the official byte layout, prepared without TensorFlow and read back exactly."""

import io
import sys
import tarfile
from pathlib import Path

import numpy as np
import pytest
import tensorflow_datasets as tfds
from hypothesis import given
from hypothesis import strategies as st

from sparsity_jax import data
from sparsity_jax.data.sources.builders.cifar import Cifar10, Cifar100, read_records
from sparsity_jax.errors import UserError

RNG = np.random.default_rng(0)
CIFAR10_NAMES = ["airplane", "automobile", "bird", "cat", "deer"]
CIFAR10_NAMES += ["dog", "frog", "horse", "ship", "truck"]
CIFAR100_NAMES = [f"class_{number:02}" for number in range(100)]
PER_FILE = 4


def make(count, classes):
    return (
        RNG.integers(0, 256, (count, 32, 32, 3), dtype=np.uint8),
        RNG.integers(0, classes, count, dtype=np.int32),
    )


def to_records(images, labels, coarse=False):
    """The published layout, written byte by byte: labels, then all red, green and blue values."""
    content = bytearray()
    for image, label in zip(images, labels, strict=True):
        content += bytes([label // 5, label]) if coarse else bytes([label])
        for channel in range(3):
            for row in range(32):
                content += bytes(image[row, :, channel].tolist())
    return bytes(content)


def pack(path, files):
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w:gz") as archive:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))


def cifar10_files(train, test):
    top = "cifar-10-batches-bin"
    files = {f"{top}/test_batch.bin": to_records(*test), f"{top}/readme.html": b"<html>"}
    for number in (3, 1, 5, 2, 4):  # stored in another order than they count
        rows = slice((number - 1) * PER_FILE, number * PER_FILE)
        files[f"{top}/data_batch_{number}.bin"] = to_records(train[0][rows], train[1][rows])
    files[f"{top}/batches.meta.txt"] = ("\n".join(CIFAR10_NAMES) + "\n\n").encode()
    return files


def cifar100_files(train, test):
    top = "cifar-100-binary"
    return {
        f"{top}/train.bin": to_records(*train, coarse=True),
        f"{top}/test.bin": to_records(*test, coarse=True),
        f"{top}/fine_label_names.txt": ("\n".join(CIFAR100_NAMES) + "\n").encode(),
        f"{top}/coarse_label_names.txt": b"fish\nflowers\n",
    }


SETS = {
    "cifar10": ("CIFAR10", Cifar10, cifar10_files, CIFAR10_NAMES),
    "cifar100": ("CIFAR100", Cifar100, cifar100_files, CIFAR100_NAMES),
}


@pytest.mark.parametrize("source", SETS)
def test_archive_is_read_back_exactly(tmp_path, source):
    title, builder_class, make_files, names = SETS[source]
    train, test = make(5 * PER_FILE, len(names)), make(3, len(names))
    pack(tmp_path / "manual" / builder_class.ARCHIVE.file, make_files(train, test))
    dataset = data.load(source, data_dir=tmp_path, allow_unverified=True, progress=False)
    assert (dataset.name, dataset.class_names) == (title, tuple(names))
    np.testing.assert_array_equal(dataset.train_images, train[0])
    np.testing.assert_array_equal(dataset.train_labels, train[1])
    np.testing.assert_array_equal(dataset.test_images, test[0])
    np.testing.assert_array_equal(dataset.test_labels, test[1])
    assert "tensorflow" not in sys.modules

    (tmp_path / "manual" / builder_class.ARCHIVE.file).unlink()  # prepared: no longer needed
    again = data.load(source, data_dir=tmp_path, progress=False)
    np.testing.assert_array_equal(again.train_images, train[0])


@pytest.mark.parametrize("source", SETS)
def test_it_trains_and_resumes_in_mid_epoch(tmp_path, source, trains_and_resumes):
    _, builder_class, make_files, names = SETS[source]
    train, test = make(5 * PER_FILE, len(names)), make(3, len(names))
    pack(tmp_path / "manual" / builder_class.ARCHIVE.file, make_files(train, test))
    trains_and_resumes(data.load(source, data_dir=tmp_path, allow_unverified=True, progress=False))


def test_prepared_set_is_an_ordinary_tfds_set(tmp_path):
    train, test = make(5 * PER_FILE, 10), make(3, 10)
    pack(tmp_path / "manual" / Cifar10.ARCHIVE.file, cifar10_files(train, test))
    data.load("cifar10", data_dir=tmp_path, allow_unverified=True, progress=False)
    (folder,) = (tmp_path / "tfds" / "cifar10").glob("*.*.*")
    builder = tfds.builder_from_directory(folder)
    assert builder.info.splits["train"].num_examples == 5 * PER_FILE
    source = builder.as_data_source(split="train[:50%]")
    assert len(source) == 5 * PER_FILE // 2
    for example in source:
        np.testing.assert_array_equal(example["image"], train[0][example["id"]])
        assert example["label"] == train[1][example["id"]]
    same = data.load("tfds:cifar10", data_dir=tmp_path, progress=False)
    assert same.name == "CIFAR10"
    np.testing.assert_array_equal(same.train_images, train[0])


def damage_cut(files):
    name = "cifar-10-batches-bin/data_batch_4.bin"
    return {**files, name: files[name][:-1]}


def damage_label(files):
    name = "cifar-10-batches-bin/test_batch.bin"
    return {**files, name: b"\x0a" + files[name][1:]}


def damage_missing(files):
    return {k: v for k, v in files.items() if not k.endswith("data_batch_2.bin")}


@pytest.mark.parametrize(
    ("damage", "word"),
    [
        (damage_cut, "data_batch_4.bin has 12291 bytes"),
        (damage_label, "label 10"),
        (damage_missing, "lacks data_batch_2.bin"),
    ],
)
def test_damaged_contents_are_named_and_nothing_stays(tmp_path, damage, word):
    files = cifar10_files(make(5 * PER_FILE, 10), make(3, 10))
    archive = tmp_path / "manual" / Cifar10.ARCHIVE.file
    pack(archive, damage(files))
    for _ in range(2):  # the second try does not take the first one's leavings for whole
        with pytest.raises(UserError, match=word) as caught:
            data.load("cifar10", data_dir=tmp_path, allow_unverified=True, progress=False)
        assert "\n" not in str(caught.value)
    pack(archive, files)
    dataset = data.load("cifar10", data_dir=tmp_path, allow_unverified=True, progress=False)
    assert len(dataset.train_images) == 5 * PER_FILE


def test_full_disk_while_preparing_leaves_nothing_to_trust(tmp_path, monkeypatch):
    files = cifar10_files(make(5 * PER_FILE, 10), make(3, 10))
    pack(tmp_path / "manual" / Cifar10.ARCHIVE.file, files)
    examples = Cifar10.examples

    def fail_midway(self: Cifar10, path: Path, split: str):
        for index, example in enumerate(examples(self, path, split)):
            if split == "test" and index == 1:
                raise OSError(28, "No space left on device")
            yield example

    monkeypatch.setattr(Cifar10, "examples", fail_midway)
    with pytest.raises(UserError, match="No space left"):
        data.load("cifar10", data_dir=tmp_path, allow_unverified=True, progress=False)
    monkeypatch.undo()
    dataset = data.load("cifar10", data_dir=tmp_path, allow_unverified=True, progress=False)
    assert (len(dataset.train_images), len(dataset.test_images)) == (5 * PER_FILE, 3)


@given(content=st.binary(max_size=30), label_bytes=st.sampled_from([1, 2]), count=st.integers(0, 2))
def test_any_bytes_are_records_or_refused(content, label_bytes, count):
    whole = content.ljust(label_bytes + 3072, b"\1") * count
    images, labels = (
        read_records(whole, label_bytes=label_bytes, name="a.bin")
        if count
        else (np.empty(0), np.empty(0))
    )
    assert len(images) == len(labels) == count
    if content:
        with pytest.raises(UserError, match=r"a\.bin"):
            read_records(whole + content, label_bytes=label_bytes, name="a.bin")
