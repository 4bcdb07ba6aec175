"""`tfds:NAME[:CONFIG]`: sets that TFDS prepared elsewhere, found, decoded and sorted."""

from typing import ClassVar

import numpy as np
import pytest
import tensorflow_datasets as tfds
from PIL import Image

from sparsity_jax import data
from sparsity_jax.errors import UserError

RNG = np.random.default_rng(0)
IMAGES = RNG.integers(0, 256, (12, 6, 5, 1), dtype=np.uint8)


class Digits(tfds.core.GeneratorBasedBuilder, skip_registration=True):
    """Gray images with text ids, two configs: other splits, other sizes."""

    VERSION = tfds.core.Version("1.0.0")
    BUILDER_CONFIGS: ClassVar = [
        tfds.core.BuilderConfig(name=name)
        for name in ("plain", "validation", "only_train", "mixed", "colour", "unlabelled")
    ]

    def _info(self):
        kind = self.builder_config.name  # type: ignore[union-attr]
        channels = 3 if kind == "colour" else 1
        features = {
            "id": tfds.features.Text(),
            "image": tfds.features.Image(shape=(None, None, channels)),
            "label": tfds.features.ClassLabel(names=["zero", "one", "two"]),
        }
        if kind == "unlabelled":
            del features["label"]
        return tfds.core.DatasetInfo(builder=self, features=tfds.features.FeaturesDict(features))

    def _split_generators(self, dl_manager):
        kind = self.builder_config.name  # type: ignore[union-attr]
        splits = {"train": self._generate_examples(0, 8)}
        if kind != "only_train":
            splits["validation" if kind == "validation" else "test"] = self._generate_examples(
                8, 12
            )
        return splits

    def _generate_examples(self, start, end):
        kind = self.builder_config.name  # type: ignore[union-attr]
        for index in range(start, end):
            image = Image.fromarray(IMAGES[index, ..., 0])
            if kind == "mixed" and index == 5:
                image = image.resize((9, 9))
            if kind == "colour":
                image = image.convert("RGB") if index % 2 else image
            example = {"id": f"digit_{index:03}", "image": image, "label": index % 3}
            if kind == "unlabelled":
                del example["label"]
            yield index, example


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    root = tmp_path_factory.mktemp("prepared")
    for config in Digits.BUILDER_CONFIGS:
        builder = Digits(config=config.name, data_dir=root, file_format="array_record")
        builder.download_and_prepare()
    return root


def load(spec, root):
    return data.load(f"tfds:digits{spec}", data_dir=root, progress=False)


@pytest.mark.parametrize("config", ["plain", "validation"])
def test_images_come_sorted_by_id(root, config):
    dataset = load(f":{config}", root)
    assert dataset.name == "digits"
    assert dataset.class_names == ("zero", "one", "two")
    np.testing.assert_array_equal(dataset.train_images, IMAGES[:8])
    np.testing.assert_array_equal(dataset.test_images, IMAGES[8:])
    assert dataset.train_labels.tolist() == [index % 3 for index in range(8)]


def test_gray_among_colour_fills_all_channels(root):
    dataset = load(":colour", root)
    np.testing.assert_array_equal(dataset.train_images, IMAGES[:8].repeat(3, -1))


def test_second_load_reads_the_cache(root, monkeypatch):
    from sparsity_jax.data import prepared

    load(":plain", root)
    monkeypatch.setattr(prepared, "to_arrays", lambda *_, **__: pytest.fail("decoded again"))
    np.testing.assert_array_equal(load(":plain", root).train_images, IMAGES[:8])


def test_standard_folder_is_searched(root, tmp_path, monkeypatch):
    monkeypatch.setenv("TFDS_DATA_DIR", str(root))
    np.testing.assert_array_equal(load(":plain", tmp_path).train_images, IMAGES[:8])


@pytest.mark.parametrize(
    ("spec", "word"),
    [
        ("", "it has configs: colour, mixed"),
        (":nothing", "not prepared"),
        (":only_train", "no split validation; it has train"),
        (":mixed", "mixed sizes"),
        (":unlabelled", "no image classification set"),
        (":../..", "is no name"),
    ],
)
def test_unfit_sets_are_refused_in_one_line(root, spec, word):
    with pytest.raises(UserError, match=word) as caught:
        load(spec, root)
    assert "\n" not in str(caught.value)


def test_damaged_records_are_refused(root, tmp_path):
    builder = Digits(config="plain", data_dir=tmp_path, file_format="array_record")
    builder.download_and_prepare()
    (shard,) = builder.data_path.glob("*-train*")
    whole = shard.read_bytes()
    refused = 0
    used = np.flatnonzero(np.frombuffer(whole, np.uint8))  # most of the file is padding
    for at in used[:: len(used) // 12]:
        shard.write_bytes(whole[:at] + bytes([whole[at] ^ 0x55]) + whole[at + 1 :])
        try:
            dataset = load(":plain", tmp_path)
        except UserError:
            refused += 1
        else:
            np.testing.assert_array_equal(dataset.train_images, IMAGES[:8])
    assert refused
