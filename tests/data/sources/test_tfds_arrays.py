"""`tfds:NAME[:CONFIG]`: sets that TFDS prepared elsewhere, found, decoded and sorted."""

import json
from typing import ClassVar

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import tensorflow_datasets as tfds
from PIL import Image

from sparsity_jax import data
from sparsity_jax.data.sources import tfds_stream as records
from sparsity_jax.data.sources.tfds_arrays import fingerprint
from sparsity_jax.errors import UserError
from sparsity_jax.models import Conv, Plan
from sparsity_jax.training import (
    DeviceDataset,
    Hparams,
    ProgramConfig,
    StreamingDataset,
    init_state,
    input_pipeline,
    train_steps,
)

RNG = np.random.default_rng(0)
BROKEN = (2, 9)  # of one set, one in each split
IMAGES = RNG.integers(0, 256, (12, 6, 5, 1), dtype=np.uint8)


class Digits(tfds.core.GeneratorBasedBuilder, skip_registration=True):
    """Gray images with text ids, two configs: other splits, other sizes."""

    VERSION = tfds.core.Version("1.0.0")
    BUILDER_CONFIGS: ClassVar = [
        tfds.core.BuilderConfig(name=name)
        for name in ("plain", "validation", "only_train", "mixed", "colour", "unlabelled", "broken")
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
            if kind == "broken" and index in BROKEN:
                example["image"] = b"no image"
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


def load(spec, root, **options):
    return data.load(f"tfds:digits{spec}", data_dir=root, progress=False, **options)


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
    from sparsity_jax.data.sources import tfds_arrays as prepared

    load(":plain", root)
    monkeypatch.setattr(prepared, "store_arrays", lambda *_, **__: pytest.fail("decoded again"))
    np.testing.assert_array_equal(load(":plain", root).train_images, IMAGES[:8])


def test_standard_folder_is_searched(root, tmp_path, monkeypatch):
    monkeypatch.setenv("TFDS_DATA_DIR", str(root))
    np.testing.assert_array_equal(load(":plain", tmp_path).train_images, IMAGES[:8])


@pytest.mark.parametrize(
    ("spec", "word"),
    [
        ("", "it has configs: broken, colour, mixed"),
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


def test_unreadable_images_are_skipped_and_counted_on_request(root, caplog):
    with pytest.raises(UserError, match=r"train image digit_002 .* --skip_unreadable"):
        load(":broken", root)
    dataset = load(":broken", root, skip_unreadable=True)
    assert "2 unreadable images are left out: train image digit_002, test image" in caplog.text
    kept = [index for index in range(12) if index not in BROKEN]
    np.testing.assert_array_equal(dataset.train_images, IMAGES[kept[:7]])
    np.testing.assert_array_equal(dataset.test_images, IMAGES[kept[7:]])
    assert [*dataset.train_labels, *dataset.test_labels] == [index % 3 for index in kept]
    np.testing.assert_array_equal(load(":broken", root).train_images, dataset.train_images)


def stream(config, root, **options):
    return data.open_source(
        f"tfds:digits:{config}", data_dir=root, device_bytes=-1, progress=False, **options
    )


def test_streams_hold_the_same_images_and_name_unreadable_ones(root, monkeypatch):
    monkeypatch.setattr(records, "default_workers", lambda: 0)  # threads start faster
    streamed, whole = stream("colour", root), load(":colour", root)
    assert streamed.class_names == whole.class_names
    number_of = {image.tobytes(): number for number, image in enumerate(whole.train_images)}
    order = [number_of[streamed.train[k][0].tobytes()] for k in range(8)]
    assert sorted(order) == list(range(8))
    for labels in (
        [streamed.train[k][1] for k in range(8)],
        [streamed.train.label(k) for k in range(8)],
    ):
        assert labels == whole.train_labels[order].tolist()
    with pytest.raises(UserError, match="train image digit_002 cannot be read"):
        stream("broken", root)
    with pytest.raises(UserError, match="cannot be left out; prepare it again"):
        stream("broken", root, skip_unreadable=True)


def test_constants_of_another_set_are_not_taken(root, monkeypatch):
    monkeypatch.setattr(records, "default_workers", lambda: 0)
    right = stream("plain", root)
    (kept,) = (root / "arrays").glob(f"digits-{fingerprint(root / 'digits/plain/1.0.0')}.moments*")
    assert json.loads(kept.read_text())[0] == kept.name
    kept.write_text(json.dumps(["digits-0123.moments.json", [0.0], [1.0]]))
    again = stream("plain", root)
    np.testing.assert_array_equal(again.mean, right.mean)
    np.testing.assert_array_equal(again.std, right.std)


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


def test_both_paths_train_to_the_same_bits(root, monkeypatch):
    monkeypatch.setattr(records, "default_workers", lambda: 0)
    monkeypatch.setattr(input_pipeline, "ORDER_LENGTH", 16)  # else a thousand epochs are ordered
    whole, streamed = load(":plain", root), stream("plain", root)
    for split in ("train", "test"):
        source = getattr(streamed, split)
        images, labels = zip(*(source[k] for k in range(len(source))), strict=True)
        np.testing.assert_array_equal(np.stack(images), getattr(whole, f"{split}_images"))
        np.testing.assert_array_equal(labels, getattr(whole, f"{split}_labels"))
    np.testing.assert_array_equal(streamed.mean, whole.mean)
    plan = Plan("tiny", (Conv(2, pool=True), Conv(2)), whole.image_shape, "global", (3,), 3)
    program = ProgramConfig(plan, "adam", "l2", "schedule", 2, (), flip=True)
    hparams = Hparams(*(jnp.float32(value) for value in (1e-3, 1e-3, 1, 1, 0)), jnp.uint32(5))
    stream_ = StreamingDataset(streamed)
    ends = [
        train_steps(program, hparams, corpus, init_state(program, hparams), until=6)
        for corpus in (DeviceDataset.of(whole), stream_)
    ]
    stream_.close()
    for one, other in zip(*map(jax.tree.leaves, ends), strict=True):
        np.testing.assert_array_equal(one, other)
