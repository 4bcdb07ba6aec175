"""TinyImageNet's zip in the official layout: JPEG files, boxes, annotations, gray images."""

import io
import zipfile

import numpy as np
import pytest
from PIL import Image

from sparsity_jax import data
from sparsity_jax.data.sources.builders.tiny_imagenet import TinyImagenet
from sparsity_jax.data.sources.official import gray_files
from sparsity_jax.errors import UserError

RNG = np.random.default_rng(0)
CLASSES = ("n01443537", "n01629819", "n12267677")
TOP = "tiny-imagenet-200"


def jpeg(mode="RGB"):
    shape = (64, 64, 3) if mode == "RGB" else (64, 64)
    stream = io.BytesIO()
    Image.fromarray(RNG.integers(0, 256, shape, dtype=np.uint8)).save(stream, "JPEG")
    return stream.getvalue()


@pytest.fixture
def files():
    """As in the official zip: wnids.txt unsorted, val images of mixed classes, test unlabelled."""
    content = {
        f"{TOP}/wnids.txt": "\n".join(CLASSES[::-1]).encode() + b"\n",
        f"{TOP}/words.txt": b"n00001740\tentity\nn01629819\tEuropean fire salamander, Salamandra\n"
        b"n01443537\tgoldfish, Carassius auratus\n",
        f"{TOP}/test/images/test_0.JPEG": jpeg(),
    }
    for name in CLASSES:
        for index in range(2):
            content[f"{TOP}/train/{name}/images/{name}_{index}.JPEG"] = jpeg(
                "L" if index else "RGB"
            )
        content[f"{TOP}/train/{name}/{name}_boxes.txt"] = f"{name}_0.JPEG\t0\t10\t63\t58".encode()
    lines = []
    for index in range(4):
        content[f"{TOP}/val/images/val_{index}.JPEG"] = jpeg()
        lines.append(f"val_{index}.JPEG\t{CLASSES[-index % 3]}\t0\t32\t44\t62\n")
    content[f"{TOP}/val/val_annotations.txt"] = "".join(lines).encode()
    return content


def pack(path, files):
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w") as archive:
        archive.mkdir(f"{TOP}/val")
        for name, content in files.items():
            archive.writestr(name, content)


def load(tmp_path, files, **options):
    pack(tmp_path / "manual" / TinyImagenet.ARCHIVE.file, files)
    options = {"allow_unverified": True, "progress": False, **options}
    return data.load("tiny_imagenet", data_dir=tmp_path, **options)


def decoded(content):
    return np.asarray(Image.open(io.BytesIO(content)).convert("RGB"))


def test_archive_is_read_back_exactly(tmp_path, files):
    dataset = load(tmp_path, files)
    assert dataset.name == "TinyImageNet"
    assert dataset.class_names == ("goldfish", "European fire salamander", "n12267677")
    train = [content for name, content in files.items() if "/train/" in name and "JPEG" in name]
    np.testing.assert_array_equal(dataset.train_images, [decoded(each) for each in train])
    assert dataset.train_labels.tolist() == [0, 0, 1, 1, 2, 2]
    val = [files[f"{TOP}/val/images/val_{index}.JPEG"] for index in range(4)]
    np.testing.assert_array_equal(dataset.test_images, [decoded(each) for each in val])
    assert dataset.test_labels.tolist() == [0, 2, 1, 0]


def test_it_trains_and_resumes_in_mid_epoch(tmp_path, files, trains_and_resumes):
    trains_and_resumes(load(tmp_path, files))


@pytest.mark.parametrize(
    ("name", "content", "word"),
    [
        (f"{TOP}/val/val_annotations.txt", None, "lacks tiny-imagenet-200/val/val_annotations.txt"),
        (f"{TOP}/val/val_annotations.txt", b"val_0.JPEG\tn01443537\t0\t0\t1\t1\n", "val_1.JPEG"),
        (f"{TOP}/wnids.txt", b"n01443537\nn01629819\n", "n12267677_0.JPEG"),
        (f"{TOP}/train/n01443537/images/n01443537_0.JPEG", b"no JPEG", "train image 0"),
    ],
)
def test_damaged_contents_are_named(tmp_path, files, name, content, word):
    files[name] = content
    with pytest.raises(UserError, match=word) as caught:
        load(tmp_path, {name: content for name, content in files.items() if content is not None})
    assert "\n" not in str(caught.value)


def test_unreadable_images_are_skipped_and_counted_on_request(tmp_path, files, caplog):
    files[f"{TOP}/train/n01443537/images/n01443537_0.JPEG"] = b"no JPEG"
    files[f"{TOP}/val/images/val_2.JPEG"] = files[f"{TOP}/val/images/val_2.JPEG"][:200]
    with pytest.raises(UserError, match="--skip_unreadable"):
        load(tmp_path, files)
    dataset = load(tmp_path, files, skip_unreadable=True)
    assert "2 unreadable images are left out: train image 0, test image 2" in caplog.text
    assert dataset.train_labels.tolist() == [0, 1, 1, 2, 2]
    assert dataset.test_labels.tolist() == [0, 2, 0]
    last = files[f"{TOP}/val/images/val_3.JPEG"]
    np.testing.assert_array_equal(dataset.test_images[-1], decoded(last))


def test_files_stored_as_gray_are_counted(tmp_path, files):
    load(tmp_path, files)
    assert gray_files("tiny_imagenet", tmp_path) == (len(CLASSES), 0)
