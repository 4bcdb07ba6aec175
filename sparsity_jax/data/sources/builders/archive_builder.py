"""Base of the builders: a TFDS builder of labelled images kept in one official archive.

TFDS' own builders need TensorFlow to prepare; these need only Pillow. They write `array_record`
files, which TFDS and Grain read anywhere through `as_data_source`.
"""

import abc
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import tensorflow_datasets as tfds
from PIL import Image

from sparsity_jax.data.files.downloads import Archive, obtain

Example = tuple[Image.Image | bytes, int]  # an image, or its PNG or JPEG file, and its label


class ArchiveBuilder(tfds.core.GeneratorBasedBuilder, skip_registration=True):
    """Prepares `train` and `test` from one archive.

    A subclass names the archive and its classes, and yields the images of a split in their official
    order. TFDS stores them shuffled; the feature `id`, counted from 0, keeps that order.

    Args:
        manual_dir: where the archive may lie; by default where TFDS' own settings say.
        allow_unverified: use an archive of the manual folder whatever its checksum.
        skip_unreadable: leave out images that cannot be decoded, where the builder decodes them.
        progress: show a bar while downloading.
        **settings: as for any TFDS builder, such as `data_dir`.

    Attributes:
        images_read: how many were read so far, while it prepares.
    """

    VERSION = tfds.core.Version("1.0.0")
    MANUAL_DOWNLOAD_INSTRUCTIONS = "Put the official archive here if it cannot be downloaded."
    ARCHIVE: ClassVar[Archive]
    IMAGE_SHAPE: ClassVar[tuple[int, int, int]]

    def __init__(
        self,
        *,
        manual_dir: Path | None = None,
        allow_unverified: bool = False,
        skip_unreadable: bool = False,
        progress: bool = True,
        **settings: Any,
    ) -> None:
        self._manual_dir = manual_dir
        self._allow_unverified = allow_unverified
        self._skip_unreadable = skip_unreadable
        self._progress = progress
        self.images_read = 0
        super().__init__(**{"file_format": "array_record", **settings})

    @abc.abstractmethod
    def class_names(self, path: Path) -> tuple[str, ...]:
        """Names of the labels 0, 1, ... as the archive at `path` has them."""

    @abc.abstractmethod
    def examples(self, path: Path, split: str) -> Iterator[Example]:
        """Images and labels of 'train' or 'test' in official order."""

    def _info(self) -> tfds.core.DatasetInfo:
        self._label_feature = tfds.features.ClassLabel()  # named once the archive is there
        features = {
            "id": np.int64,
            "image": tfds.features.Image(shape=self.IMAGE_SHAPE),
            "label": self._label_feature,
        }
        return _OwnInfo(
            builder=self,
            description=(self.__doc__ or "").split("\n", 1)[0],
            homepage=self.ARCHIVE.url,
            features=tfds.features.FeaturesDict(features),
            supervised_keys=("image", "label"),
        )

    def obtain(self, archive: Archive, dl_manager: tfds.download.DownloadManager) -> Path:
        """Path of an archive, once it is there and its checksum is proven."""
        manual_dir = self._manual_dir
        if manual_dir is None:
            try:
                manual_dir = Path(dl_manager.manual_dir)
            except AssertionError:  # how TFDS says that there is none, or nothing in it
                manual_dir = Path(dl_manager.download_dir) / "manual"
        return obtain(
            archive,
            manual_dir=manual_dir,
            download_dir=Path(dl_manager.download_dir),
            name=self.name,
            allow_unverified=self._allow_unverified,
            progress=self._progress,
        )

    def _split_generators(self, dl_manager: tfds.download.DownloadManager) -> dict[str, Any]:
        path = self.obtain(self.ARCHIVE, dl_manager)
        self._label_feature.names = list(self.class_names(path))
        return {split: self._generate_examples(path, split) for split in ("train", "test")}

    def _generate_examples(self, path: Path, split: str) -> Iterator[tuple[int, dict[str, Any]]]:
        for index, (image, label) in enumerate(self.examples(path, split)):
            yield index, {"id": index, "image": image, "label": label}
            self.images_read += 1


class _OwnInfo(tfds.core.DatasetInfo):
    """Description of a set that TFDS does not publish."""

    def initialize_from_bucket(self) -> None:
        """Look for no description on TFDS' servers: each look leaves an empty folder in /tmp."""
