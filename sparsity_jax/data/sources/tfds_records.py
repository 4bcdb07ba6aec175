"""Records of a prepared TFDS set by number: an image still encoded, a label and an id."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import tensorflow_datasets as tfds
from tensorflow_datasets.proto import tf_example_pb2

from sparsity_jax.errors import UserError

_PROTO: Any = tf_example_pb2  # its contents are made at run time


class Example(NamedTuple):
    """One labelled image as it is stored.

    Args:
        image: a PNG or JPEG file.
        label: its class.
        id: what names it in the set; its number where the set has no feature `id`.
    """

    image: bytes
    label: int
    id: int | str


class EncodedSplit:
    """The examples of one split of a prepared set by number, as bytes until they are asked for.

    The three features that count are taken from a record directly: TFDS' own reader turns all of
    them into NumPy arrays, which holds Python's lock four times as long and keeps the threads
    that decode waiting for each other.

    Args:
        builder: of a set prepared as `array_record`.
        split: 'train' or 'test'; 'validation' stands in for a test split that is missing.

    Raises:
        UserError: no such split, no images or labels, or another file format.
    """

    def __init__(self, builder: Any, split: str) -> None:
        self._image, self._label = _keys(builder)
        stored = builder.info.splits
        split = "validation" if split == "test" and "test" not in stored else split
        if split not in stored:
            raise UserError(f"{builder.name} has no split {split}; it has {', '.join(stored)}")
        raw = tfds.decode.DeserializeMethod.RAW_BYTES
        try:
            self._records = builder.as_data_source(split, deserialize_method=raw)
        except NotImplementedError:
            raise UserError(
                f"{builder.name} is not in array_record format; prepare it so"
            ) from None
        features = builder.info.features
        self.channels: int = features[self._image].shape[-1] or 3
        self.class_names: tuple[str, ...] = tuple(features[self._label].names)
        self.name: str = builder.name
        self._folder = builder.data_path

    def __len__(self) -> int:
        return len(self._records)

    def __getitem__(self, number: int) -> Example:
        try:
            return self._parse(number, self._records[number])
        except Exception as error:  # array_record has no types of its own for damaged files
            raise self._damaged(error) from error

    def several(self, numbers: Sequence[int]) -> list[Example]:
        """The examples of these numbers, read at once."""
        try:
            records = self._records.__getitems__(numbers)
            return [self._parse(*each) for each in zip(numbers, records, strict=True)]
        except Exception as error:
            raise self._damaged(error) from error

    def _parse(self, number: int, record: bytes) -> Example:
        features = _PROTO.Example.FromString(record).features.feature
        name: int | str = number
        if "id" in features:
            stored = features["id"]
            texts = stored.bytes_list.value
            name = texts[0].decode(errors="replace") if texts else stored.int64_list.value[0]
        return Example(
            image=features[self._image].bytes_list.value[0],
            label=features[self._label].int64_list.value[0],
            id=name,
        )

    def _damaged(self, error: Exception) -> UserError:
        reason = str(error).split("\n", 1)[0]
        return UserError(f"{self._folder} is damaged ({reason}); remove it and prepare it again")


def _keys(builder: Any) -> tuple[str, str]:
    """Names of the image and the label feature."""
    features = builder.info.features
    kinds = (tfds.features.Image, tfds.features.ClassLabel)
    found = [[key for key, each in features.items() if isinstance(each, kind)] for kind in kinds]
    if not all(found):
        raise UserError(
            f"{builder.name} is no image classification set; it has {', '.join(features)}"
        )
    image, label = builder.info.supervised_keys or (found[0][0], found[1][0])
    return (image, label) if image in found[0] and label in found[1] else (found[0][0], found[1][0])
