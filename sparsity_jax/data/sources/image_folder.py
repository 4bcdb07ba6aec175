"""A user's own pictures as a data set: `folder:PATH`, a folder or an archive."""

import functools
import hashlib
import itertools
import logging
import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from sparsity_jax.data.dataset import Dataset
from sparsity_jax.data.files.archives import File, read_archive, read_folder
from sparsity_jax.data.files.as_seen import Seen, scaled_to_bytes, see
from sparsity_jax.data.files.cache import check_writable, read_cache, write_cache
from sparsity_jax.data.files.decode import WAY_OUT, in_threads
from sparsity_jax.data.progress import Bar
from sparsity_jax.data.sources import folder_layout, folder_remarks
from sparsity_jax.data.sources.folder_layout import SPLITS, Place
from sparsity_jax.data.sources.image_container import Container, Options, inspect
from sparsity_jax.data.sources.image_table import stored_files
from sparsity_jax.errors import UserError, user_path

MAX_TOTAL_BYTES = 16 * 2**30  # of pixels; the set is held in memory
_VERSION = "2"  # raise it when the same files would decode to other arrays
_ARCHIVE_SUFFIX = re.compile(
    r"\.(zip|tar|tgz|txz|tbz2?|tar\.(gz|xz|bz2)|csv|tsv|parquet)$", re.IGNORECASE
)
_log = logging.getLogger(__name__)


def load(
    path: Path,
    *,
    cache_dir: Path,
    resize: int = 0,
    test_fraction: float = 0.0,
    skip_unreadable: bool = False,
    progress: bool = True,
) -> Dataset:
    """Load `train/<class>/*` and `test/<class>/*`, or what tables tell, decoding the images once.

    All formats of `decode.formats()` are read. What is passed over is counted by kind in a
    warning. The decoded set is cached under the path, size and modification time of the archive,
    or of all images of a folder. Classes and images are sorted by name, whatever order they are
    stored in. 16-bit gray is scaled by the range of the training images.

    Args:
        path: a folder, or a .zip, .tar, .tar.gz, .tar.xz, .tar.bz2, see `folder_layout.arrange`;
            or a table, or a folder with tables, see `image_table`.
        cache_dir: where decoded sets are kept.
        resize: above 0: make every image so many pixels wide and high, antialiased.
        test_fraction: above 0: hold out so much of every class of a set without a test split.
        skip_unreadable: leave out images that cannot be decoded; the cached set is then used with
            or without this option.
        progress: show a bar while decoding.

    Returns:
        The set, named after the path's stem; 1 channel if every image is gray, else 3.

    Raises:
        UserError: nothing there, a wrong layout, an unreadable image, images of several sizes, or
            a cache folder that cannot be written.
    """
    if resize < 0 or not 0 <= test_fraction < 1:
        raise UserError(
            f"resize={resize} and test_fraction={test_fraction}: valid are 0 or a number of"
            " pixels, and 0 or a part below 1"
        )
    options = Options(resize, test_fraction, skip_unreadable, progress)
    container = inspect(user_path(path), options)
    cache = _cache_path(container, cache_dir, options)
    if (dataset := read_cache(cache)) is not None:
        return dataset
    check_writable(cache_dir)
    dataset = decode(container, options)
    write_cache(cache, dataset)
    _drop_older(cache)
    return dataset


def stem(path: Path) -> str:
    """The name of a set kept at `path`.

    Example:
        >>> stem(Path("data/cifar10_jpeg.tar.xz"))
        'cifar10_jpeg'
    """
    return _ARCHIVE_SUFFIX.sub("", path.resolve().name) or "folder"


def decode(container: Container, options: Options) -> Dataset:
    """Read and decode everything, and say what was passed over or changed.

    Raises:
        UserError: as `load`.
    """
    source, names = str(container.path), list[str]()
    pictures = _read(container, options, names)
    # An image that an archive names but did not give is a link, which its reader has told of.
    names = [name for name in names if name in pictures or folder_layout.kind_of(name)]
    layout = container.layout or folder_layout.arrange(names, source, options.test_fraction)
    unreadable = {n: e for n in layout.places if isinstance(e := pictures[n], ValueError)}
    if unreadable and not options.skip_unreadable:
        raise UserError(_cannot_be_read(unreadable))
    placed = {name: place for name, place in layout.places.items() if name not in unreadable}
    classes = folder_layout.class_names(placed.values(), source)
    if lost := {place.class_name for place in layout.places.values()} - set(classes):
        raise UserError(f"{source}: no image of {folder_layout.listed(lost)} can be read")
    seen = {name: e for name, e in pictures.items() if name in placed and isinstance(e, Seen)}
    _check_same_size(seen, options)
    folder_remarks.say_passed_over(source, layout.passed_over, list(unreadable))
    folder_remarks.say_changed(source, seen, options.resize)
    folder_remarks.say_shared(source, seen, placed)
    images = {placed[name]: each.pixels for name, each in seen.items()}
    del pictures, seen
    return _assemble(images, classes, stem(container.path), source)


def _read(container: Container, options: Options, names: list[str]) -> dict[str, Seen | ValueError]:
    """Every image by name, in the order it is stored; `names` then are those of all files."""
    path, layout = container.path, container.layout
    bar = Bar(f"decoding {path.name} once", total=container.total, unit="B", shown=options.progress)
    pictures: dict[str, Seen | ValueError] = {}
    held, first = 0, ("", "")
    with bar:
        for file, picture in in_threads(
            _files(container, names), functools.partial(see, resize=options.resize)
        ):
            if isinstance(picture, Seen):
                held += picture.pixels.nbytes
                first = first if first[0] else (file.name, picture.size)
                if layout and not options.resize:  # else it may be none of the set
                    _compare_sizes(first, (file.name, picture.size))
            if held > MAX_TOTAL_BYTES:
                raise UserError(f"{path} exceeds {MAX_TOTAL_BYTES >> 30} GiB when decoded")
            pictures[file.name] = picture
            bar.update(file.done - bar.done)
    return pictures


def _files(container: Container, names: list[str]) -> Iterator[File]:
    if container.layout is not None:
        stored = container.table.stored if container.table else {}
        named = sorted(name for name in container.layout.places if name not in stored)
        return itertools.chain(
            stored_files(container.table) if container.table else (),
            read_folder(container.root, named),
        )

    def is_image(name: str) -> bool:
        names.append(name)
        return not folder_layout.kind_of(name)

    return read_archive(container.path, is_image)


def _assemble(
    images: dict[Place, np.ndarray], classes: tuple[str, ...], name: str, source: str
) -> Dataset:
    """Stacks the images in sorted order, giving each one's memory back as it is copied."""
    channels = max(pixels.shape[-1] for pixels in images.values())
    height, width, _ = next(iter(images.values())).shape
    low, high = _deep_range(images, source)
    label_of = {name: label for label, name in enumerate(classes)}
    arrays: dict[str, Any] = {}
    for split in SPLITS:
        places = sorted(each for each in images if each.split == split)
        stacked = np.empty((len(places), height, width, channels), np.uint8)
        for index, each in enumerate(places):
            pixels = images.pop(each)
            if pixels.dtype == np.uint16:
                pixels = scaled_to_bytes(pixels, low, high)
            stacked[index] = pixels  # a gray one fills all channels
        arrays[f"{split}_images"] = stacked
        arrays[f"{split}_labels"] = np.array([label_of[p.class_name] for p in places], np.int32)
    return Dataset(name=name, class_names=classes, **arrays)


def _deep_range(images: Mapping[Place, np.ndarray], source: str) -> tuple[int, int]:
    """The lowest and highest value of 16-bit training images, which all others must be then too."""
    deep = {place: pixels for place, pixels in images.items() if pixels.dtype == np.uint16}
    if not deep:
        return 0, 255
    if len(deep) < len(images):
        raise UserError(
            f"{source} holds {len(deep)} images of 16 bits beside others; save all in one depth"
        )
    train = [pixels for place, pixels in deep.items() if place.split == "train"]
    low, high = min(int(p.min()) for p in train), max(int(p.max()) for p in train)
    _log.warning("%s: 16-bit values from %d to %d became 0 to 255", source, low, high)
    return low, high


def _check_same_size(seen: Mapping[str, Seen], options: Options) -> None:
    sizes = [(name, each.size) for name, each in seen.items()]
    for each in sizes if not options.resize else ():
        _compare_sizes(sizes[0], each)


def _compare_sizes(first: tuple[str, str], other: tuple[str, str]) -> None:
    if first[1] != other[1]:
        raise UserError(
            f"images of mixed sizes: {first[0]} is {first[1]} but {other[0]} is {other[1]}; resize"
            " them to one size, or all of them here, to a square, with --config.resize=64 (or, to"
            " look at them, `python -m sparsity_jax.data show ... --resize=64`)"
        )


def _cannot_be_read(unreadable: Mapping[str, ValueError]) -> str:
    name, reason = next(iter(unreadable.items()))
    more = f", and {len(unreadable) - 1} more" if len(unreadable) > 1 else ""
    return f"image {name} cannot be read ({reason}){more}; {WAY_OUT}"


def _cache_path(container: Container, cache_dir: Path, options: Options) -> Path:
    where = hashlib.blake2b(os.fsencode(container.path.resolve()), digest_size=4).hexdigest()
    text = f"{_VERSION} {options.resize} {options.test_fraction} {container.fingerprint}"
    what = hashlib.blake2b(text.encode(), digest_size=8).hexdigest()
    name = re.sub("[^A-Za-z0-9._-]", "_", stem(container.path))
    return cache_dir / f"{name}-{where}-{what}.npz"


def _drop_older(cache: Path) -> None:
    """Removes caches of the same path whose contents have since changed."""
    same_path = cache.name.rsplit("-", 1)[0]
    for older in cache.parent.glob(f"{same_path}-*.npz"):
        if older != cache:
            older.unlink(missing_ok=True)
