"""ImageNet from the official archives of 2012, each image resized to 256 x 256 once.

The aspect ratio is not kept, as the paper says (section 5); the validation set is the test set.
The archives hold a few oddities: CMYK and gray JPEGs, and a PNG with the suffix .JPEG.
"""

import io
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

import numpy as np
import scipy.io
import tensorflow_datasets as tfds
from PIL import Image

from sparsity_jax.data.files.archives import File, read_archive, read_nested_tar
from sparsity_jax.data.files.decode import decode, warn_of_skipped
from sparsity_jax.data.files.downloads import Archive
from sparsity_jax.data.sources.builders.archive_builder import ArchiveBuilder, Example
from sparsity_jax.data.sources.builders.synsets import class_words
from sparsity_jax.errors import UserError

SIDE, QUALITY = 256, 95
_MAX_PIXELS = 80_000_000  # the largest image of the set has 61 million
_CHUNK = 64
_PAGE = "https://image-net.org/download-images"
_TRAIN = Archive("ILSVRC2012_img_train.tar", _PAGE, "1d675b47d978889d74fa0da5fadfb00e", False)
_TEST = Archive("ILSVRC2012_img_val.tar", _PAGE, "29b22e2961454d5413ddabcf34fc5622", False)
_KIT = Archive("ILSVRC2012_devkit_t12.tar.gz", _PAGE, "fa75699e90414af021442c21a62c3abf", False)


class Imagenet2012(ArchiveBuilder):
    """ImageNet (ILSVRC 2012): 1.33 million colour images in 1000 classes, resized to 256 x 256."""

    ARCHIVE = _TRAIN
    IMAGE_SHAPE = (SIDE, SIDE, 3)

    def class_names(self, path: Path) -> tuple[str, ...]:
        """Words, such as tench, in the order of their WordNet identifiers."""
        synsets = _synsets(path.with_name(_KIT.file)).values()
        return class_words(_identifiers(path), {each.identifier: each.words for each in synsets})

    def examples(self, path: Path, split: str) -> Iterator[Example]:
        """See `ArchiveBuilder.examples`."""
        label_of = {name: label for label, name in enumerate(_identifiers(path))}
        if split == "train":
            files, class_of = read_nested_tar(path), _folder
        else:
            path = path.with_name(_TEST.file)
            files, class_of = read_archive(path, _is_image), _truth(path.with_name(_KIT.file))
        skipped: list[str] | None = [] if self._skip_unreadable else None
        for file, image in _in_threads(files, skipped):
            name = class_of(file.name)
            if name not in label_of:
                raise UserError(f"{path}: image {file.name} has no known class")
            yield image, label_of[name]
        warn_of_skipped(skipped or [], str(path))

    def _split_generators(self, dl_manager: tfds.download.DownloadManager) -> dict[str, Any]:
        for archive in (_KIT, _TEST):
            self.obtain(archive, dl_manager)
        return super()._split_generators(dl_manager)


def resized(data: bytes) -> bytes:
    """An image of any size and mode as a JPEG file of 256 x 256 RGB pixels.

    Raises:
        ValueError: it cannot be decoded.
    """
    pixels = decode(data, max_pixels=_MAX_PIXELS)
    rgb = np.broadcast_to(pixels, (*pixels.shape[:2], 3))
    small = Image.fromarray(np.ascontiguousarray(rgb)).resize(
        (SIDE, SIDE), Image.Resampling.BILINEAR
    )
    stream = io.BytesIO()
    small.save(stream, "JPEG", quality=QUALITY)
    return stream.getvalue()


def _in_threads(files: Iterator[File], skipped: list[str] | None) -> Iterator[tuple[File, bytes]]:
    """Each file with its resized image; unreadable ones are an error, or are added to `skipped`."""
    with ThreadPoolExecutor() as pool:
        while chunk := list(islice(files, _CHUNK)):
            for file, image in zip(chunk, pool.map(_resized_or_error, chunk), strict=True):
                if isinstance(image, bytes):
                    yield file, image
                elif skipped is None:
                    raise UserError(
                        f"image {file.name} cannot be read: {image}; leave out such images with"
                        " `python -m sparsity_jax.data prepare imagenet2012 --skip_unreadable`"
                    )
                else:
                    skipped.append(file.name)


def _resized_or_error(file: File) -> bytes | ValueError:
    try:
        return resized(file.data)
    except ValueError as error:
        return error


class Synset(NamedTuple):
    """A class: its WordNet identifier, such as n01440764, and its words, such as 'tench, ...'."""

    identifier: str
    words: str


def _identifiers(path: Path) -> list[str]:
    """Sorted: the order of the labels."""
    return sorted(each.identifier for each in _synsets(path.with_name(_KIT.file)).values())


def _synsets(kit: Path) -> dict[int, Synset]:
    """The leaf classes by their number, from 1."""
    content = _member(kit, "data/meta.mat")
    try:
        table = scipy.io.loadmat(io.BytesIO(content), squeeze_me=True)["synsets"]
        return {
            int(row["ILSVRC2012_ID"]): Synset(str(row["WNID"]), str(row["words"]))
            for row in np.atleast_1d(table)
            if int(row["num_children"]) == 0
        }
    except Exception as error:  # scipy raises a dozen types on damaged bytes
        raise UserError(f"{kit}: data/meta.mat cannot be read ({error})") from error


def _truth(kit: Path) -> Callable[[str], str | None]:
    """From a validation file's name to its class: line k belongs to ILSVRC2012_val_<k>.JPEG."""
    synsets = _synsets(kit)
    lines = _member(kit, "data/ILSVRC2012_validation_ground_truth.txt").split()
    found = [synsets.get(int(line)) if line.isdigit() else None for line in lines]
    classes = [each.identifier if each else None for each in found]

    def class_of(name: str) -> str | None:
        digits = PurePosixPath(name).stem.rpartition("_")[2]
        number = int(digits) if digits.isdecimal() else 0
        return classes[number - 1] if 1 <= number <= len(classes) else None

    return class_of


def _member(path: Path, ending: str) -> bytes:
    for file in read_archive(path, lambda name: name.endswith(ending)):
        return file.data
    raise UserError(f"{path} lacks {ending}: not the official archive")


def _folder(name: str) -> str | None:
    return PurePosixPath(name).parts[0]


def _is_image(name: str) -> bool:
    return name.endswith(".JPEG")
