"""How do a user's own images become a data set? `folder:PATH`, a folder or an archive."""

import hashlib
import os
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from tqdm import tqdm

from sparsity_jax.data.dataset import Dataset
from sparsity_jax.data.files.archives import File, list_folder, read_archive, read_folder
from sparsity_jax.data.files.cache import check_writable, read_cache, write_cache
from sparsity_jax.data.files.decode import decode_files, warn_of_skipped
from sparsity_jax.data.sources.folder_layout import EXPECTED, SPLITS, Place, class_names, place
from sparsity_jax.errors import UserError

MAX_TOTAL_BYTES = 16 * 2**30  # of pixels; the set is held in memory
_VERSION = "1"  # raise it when the same files would decode to other arrays
_ARCHIVE_SUFFIX = re.compile(r"\.(zip|tar|tgz|txz|tbz2?|tar\.(gz|xz|bz2))$", re.IGNORECASE)


class RandomAccessSource(NamedTuple):
    """A folder or archive, looked at but not read.

    Args:
        path: where it is.
        names: its files, sorted; None for an archive, which is read in one pass.
        total: bytes to read.
        fingerprint: changes when its contents do.
    """

    path: Path
    names: list[str] | None
    total: int
    fingerprint: str


def load(
    path: Path, *, cache_dir: Path, skip_unreadable: bool = False, progress: bool = True
) -> Dataset:
    """Load `train/<class>/*` and `test/<class>/*` (PNG, JPEG), decoding them once.

    The decoded set is cached under the path, size and modification time of the archive, or of all
    images of a folder. Classes and images are sorted by name, whatever order they are stored in.

    Args:
        path: a folder, or a .zip, .tar, .tar.gz, .tar.xz, .tar.bz2; an archive may wrap the two
            folders in one more.
        cache_dir: where decoded sets are kept.
        skip_unreadable: leave out images that cannot be decoded, and say in a warning how many;
            the cached set is then used with or without this option.
        progress: show a bar while decoding.

    Returns:
        The set, named after the path's stem; 1 channel if every image is gray, else 3.

    Raises:
        UserError: nothing there, a wrong layout, an unreadable image, images of several sizes, or
            a cache folder that cannot be written.
    """
    source = _maybe_checkpoint(path.expanduser())
    cache = _cache_path(source, cache_dir)
    if (dataset := read_cache(cache)) is not None:
        return dataset
    check_writable(cache_dir)
    dataset = _decode(source, skip_unreadable, progress)
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


def _maybe_checkpoint(path: Path) -> RandomAccessSource:
    if path.is_file():
        status = path.stat()
        return RandomAccessSource(
            path, None, status.st_size, f"{status.st_size} {status.st_mtime_ns}"
        )
    if not path.is_dir():
        raise UserError(f"folder:{path} does not exist; give a folder or an archive; {EXPECTED}")
    found = [(name, status) for name, status in list_folder(path, SPLITS) if place(name)]
    lines = [f"{name} {status.st_size} {status.st_mtime_ns}" for name, status in found]
    digest = hashlib.blake2b("\n".join(lines).encode("utf-8", "surrogateescape")).hexdigest()
    names = [name for name, _ in found]
    return RandomAccessSource(path, names, sum(status.st_size for _, status in found), digest)


def _decode(source: RandomAccessSource, skip_unreadable: bool, progress: bool) -> Dataset:
    """Read and decodes everything; a folder's layout is checked before the first image."""
    images: dict[Place, np.ndarray] = {}
    shown, total = str(source.path), 0
    if source.names is not None:
        class_names([_place(name) for name in source.names], shown)
    label = f"decoding {source.path.name} once"
    if progress and not sys.stderr.isatty():
        print(label, file=sys.stderr, flush=True)  # where tqdm stays silent
    bar = tqdm(
        desc=label,
        total=source.total,
        unit="B",
        unit_scale=True,
        disable=None if progress else True,
    )
    first: tuple[str, np.ndarray] | None = None
    skipped: list[str] | None = [] if skip_unreadable else None
    with bar:
        for file, pixels in decode_files(_files(source), skipped=skipped):
            first = first or (file.name, pixels)
            _check_same_size(first, (file.name, pixels))
            total += pixels.nbytes
            if total > MAX_TOTAL_BYTES:
                raise UserError(f"{shown} exceeds {MAX_TOTAL_BYTES >> 30} GiB when decoded")
            images[_place(file.name)] = pixels
            bar.update(file.done - bar.n)
    warn_of_skipped(skipped or [], shown)
    return _assemble(images, class_names(images, shown), stem(source.path))


def _files(source: RandomAccessSource) -> Iterator[File]:
    if source.names is None:
        return read_archive(source.path, lambda name: place(name) is not None)
    return read_folder(source.path, source.names)


def _assemble(images: dict[Place, np.ndarray], classes: tuple[str, ...], name: str) -> Dataset:
    """Stack the images in sorted order, giving each one's memory back as it is copied."""
    channels = max(pixels.shape[-1] for pixels in images.values())
    height, width, _ = next(iter(images.values())).shape
    arrays: dict[str, Any] = {}
    for split in SPLITS:
        places = sorted(each for each in images if each.split == split)
        stacked = np.empty((len(places), height, width, channels), np.uint8)
        for index, each in enumerate(places):
            stacked[index] = images.pop(each)  # a gray one fills all channels
        label_of = {name: label for label, name in enumerate(classes)}
        arrays[f"{split}_images"] = stacked
        arrays[f"{split}_labels"] = np.array([label_of[p.class_name] for p in places], np.int32)
    return Dataset(name=name, class_names=classes, **arrays)


def _place(name: str) -> Place:
    found = place(name)
    assert found is not None, name  # only wanted names are read
    return found


def _check_same_size(first: tuple[str, np.ndarray], other: tuple[str, np.ndarray]) -> None:
    (name, pixels), (other_name, other_pixels) = first, other
    if pixels.shape[:2] != other_pixels.shape[:2]:
        sizes = ["{1}x{0}".format(*each.shape) for each in (pixels, other_pixels)]
        raise UserError(
            f"images of mixed sizes: {name} is {sizes[0]} but {other_name} is {sizes[1]}; resize"
            " them to one size"
        )


def _cache_path(source: RandomAccessSource, cache_dir: Path) -> Path:
    where = hashlib.blake2b(os.fsencode(source.path.resolve()), digest_size=4).hexdigest()
    what = hashlib.blake2b(f"{_VERSION} {source.fingerprint}".encode(), digest_size=8).hexdigest()
    return cache_dir / f"{re.sub('[^A-Za-z0-9._-]', '_', stem(source.path))}-{where}-{what}.npz"


def _drop_older(cache: Path) -> None:
    """Remove caches of the same path whose contents have since changed."""
    same_path = cache.name.rsplit("-", 1)[0]
    for older in cache.parent.glob(f"{same_path}-*.npz"):
        if older != cache:
            older.unlink(missing_ok=True)
