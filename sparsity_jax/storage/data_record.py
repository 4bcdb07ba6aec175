"""Data record: what a workdir's runs were trained on, as `data/NAME.json` and a picture beside."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path
from typing import Any

from sparsity_jax.errors import UserError
from sparsity_jax.storage.io import plain, read_object, write_atomically, write_json

FOLDER = "data"


@dataclasses.dataclass(frozen=True)
class DataRecord:
    """A data set in numbers.

    Attributes:
      name: what results.csv calls it.
      variant: what else tells it apart; '' if nothing.
      train: number of training images.
      test: number of test images.
      image_shape: (height, width, channels) as stored.
      class_names: a name for each label.

    Example:
      >>> DataRecord("dots", "bg=clean", 20, 10, (8, 8, 1), ("cat", "dog")).said
      'dots, bg=clean: 20 training and 10 test images, 8 × 8 gray, in 2 classes'
    """

    name: str
    variant: str
    train: int
    test: int
    image_shape: tuple[int, int, int]
    class_names: tuple[str, ...]

    @property
    def said(self) -> str:
        """The record as one line."""
        height, width, channels = self.image_shape
        title = ", ".join(filter(None, (self.name, self.variant)))
        colour = "gray" if channels == 1 else "RGB"
        return (
            f"{title}: {self.train:,} training and {self.test:,} test images, "
            f"{width} × {height} {colour}, in {len(self.class_names)} classes"
        )

    @property
    def file(self) -> str:
        """The record's file name in a workdir, without its suffix."""
        return re.sub("[^A-Za-z0-9._=-]+", "_", "-".join(filter(None, (self.name, self.variant))))


def write_data_record(workdir: Path, record: DataRecord, picture: bytes) -> None:
    """Write a record, and a PNG of some of the images.

    Raises:
      OSError: they cannot be written.
    """
    write_atomically(workdir / FOLDER / f"{record.file}.png", picture)
    write_json(workdir / FOLDER / f"{record.file}.json", plain(dataclasses.asdict(record)))


def read_data_record(path: Path) -> DataRecord:
    """Read `data/NAME.json`.

    Raises:
      UserError: it is damaged; names the file.
      OSError: it cannot be read.
    """
    raw: dict[str, Any] = read_object(path)
    try:
        height, width, channels = raw["image_shape"]
        return DataRecord(
            name=str(raw["name"]),
            variant=str(raw["variant"]),
            train=int(raw["train"]),
            test=int(raw["test"]),
            image_shape=(int(height), int(width), int(channels)),
            class_names=tuple(map(str, raw["class_names"])),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise UserError(f"{path} lacks or garbles {error}; delete it and run again") from None
