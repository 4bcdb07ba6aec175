"""Prepared TFDS sets as arrays: found on disk, decoded once to a cache, sorted by id."""

import contextlib
import hashlib
import math
import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow_datasets as tfds

from sparsity_jax.data.dataset import Dataset, moments_of
from sparsity_jax.data.files.archives import File
from sparsity_jax.data.files.cache import (
    check_writable,
    explained,
    just_written,
    read_cache,
    without_pixels,
    write_parts,
)
from sparsity_jax.data.files.decode import decode_files, warn_of_skipped
from sparsity_jax.data.files.stored_array import PixelFile
from sparsity_jax.data.progress import Bar
from sparsity_jax.data.sources.tfds_records import EncodedSplit
from sparsity_jax.errors import UserError

PUBLISHED_NAMES = {
    "cifar10": "CIFAR10",
    "cifar100": "CIFAR100",
    "tiny_imagenet": "TinyImageNet",
    "objectnet3d": "ObjectNet3D-30",
}
_CHUNK = 1000  # examples read at a time


def load_prepared(
    spec: str, *, data_dir: Path, skip_unreadable: bool = False, progress: bool = True
) -> Dataset:
    """Load any image classification set that TFDS has prepared as `array_record`.

    Args:
        spec: 'NAME' or 'NAME:CONFIG', as TFDS names them.
        data_dir: searched first, then `data_dir`/tfds, TFDS_DATA_DIR and ~/tensorflow_datasets.
        skip_unreadable: leave out images that cannot be decoded, and say in a warning how many;
            the cached set is then used with or without this option.
        progress: show bars.

    Raises:
        UserError: not found, in another format, without images and labels, or of mixed sizes.
    """
    name = spec.partition(":")[0]
    folder = find_prepared(spec, data_dir)
    cache = data_dir / "arrays" / f"tfds-{name}-{fingerprint(folder)}.npz"
    if (dataset := read_cache(cache)) is not None:
        return dataset
    store_arrays(
        tfds.builder_from_directory(folder),
        cache,
        name=PUBLISHED_NAMES.get(name, name),
        skip_unreadable=skip_unreadable,
        progress=progress,
    )
    return just_written(cache)


def find_prepared(spec: str, data_dir: Path) -> Path:
    """The folder of a set 'NAME' or 'NAME:CONFIG' that TFDS has prepared, as `load_prepared`."""
    name, _, config = spec.partition(":")
    return _find(name, config, _roots(data_dir))


def prepared_folders(data_dir: Path) -> list[Path]:
    """Every set that TFDS has prepared in the folders that `load_prepared` searches."""
    found = (
        info.parent
        for root in _roots(data_dir)
        for depth in ("*/*", "*/*/*")
        for info in root.glob(f"{depth}/dataset_info.json")
    )
    return sorted(set(found))


def decoded_bytes(folder: Path) -> int:
    """Bytes of a prepared set's training pixels, from its description; 0 if it does not tell."""
    info: Any = tfds.builder_from_directory(folder).info
    shapes: list[Any] = [
        f.shape for f in info.features.values() if isinstance(f, tfds.features.Image)
    ]
    if not shapes or "train" not in info.splits:
        return 0
    return (
        math.prod(int(side or 0) for side in tuple(shapes[0])) * info.splits["train"].num_examples
    )


def store_arrays(
    builder: Any,
    cache: Path,
    *,
    name: str,
    variant: str = "",
    skip_unreadable: bool = False,
    progress: bool = True,
) -> None:
    """Decode the splits `train` and `test` (else `validation`) of a prepared builder to a cache.

    Images are sorted by their feature `id` when they have one. At no time are they in memory: they
    go to the disk as they are decoded.

    Args:
        builder: of a prepared set.
        cache: the file to write.
        name: what results.csv calls it.
        variant: what else tells it apart.
        skip_unreadable: leave out images that cannot be decoded, counted in a warning.
        progress: show bars.

    Raises:
        UserError: the set has no such splits, images or labels, an image that cannot be decoded,
            or does not fit together; or the disk is full.
    """
    skipped: list[str] | None = [] if skip_unreadable else None
    check_writable(cache.parent)
    with contextlib.ExitStack() as opened:
        arrays: dict[str, Any] = {}
        for split in ("train", "test"):
            encoded = EncodedSplit(builder, split)
            pixels = arrays[f"{split}_images"] = PixelFile(cache.parent)
            opened.callback(pixels.close)
            bar = Bar(f"decoding {name}, {split}", total=len(encoded), unit="image", shown=progress)
            with bar:
                arrays[f"{split}_labels"] = _decode(encoded, pixels, cache, split, skipped, bar)
            if not pixels.count:
                raise UserError(f"{builder.name} has no {split} image that can be read")
        warn_of_skipped(skipped or [], name)
        moments = moments_of(arrays["train_images"].histograms)
        write_parts(cache, _described(arrays, name, variant, encoded.class_names, moments), arrays)


def _described(
    arrays: Mapping[str, Any],
    name: str,
    variant: str,
    class_names: tuple[str, ...],
    moments: tuple[np.ndarray, np.ndarray],
) -> Dataset:
    """The set with shapes in place of pixels, checked as any other."""
    shapes = {
        key: without_pixels(array.shape) if key.endswith("images") else array
        for key, array in arrays.items()
    }
    try:
        return Dataset(
            name=name, variant=variant, class_names=class_names, moments=moments, **shapes
        )
    except ValueError as error:
        raise UserError(f"{name} cannot be trained on: {error}") from error


def _decode(
    encoded: EncodedSplit,
    pixels: PixelFile,
    cache: Path,
    split: str,
    skipped: list[str] | None,
    bar: Bar,
) -> np.ndarray:
    """Decode one split in the order of the ids; returns the labels."""
    kept: list[int] = []
    order = _order(encoded)

    def files() -> Iterator[File]:
        for start in range(0, len(order), _CHUNK):
            for example in encoded.several(order[start : start + _CHUNK]):
                yield File(f"{split} image {example.id}", example.image, example.label)

    for file, image in decode_files(files(), skipped=skipped):
        first = pixels.image_shape or (*image.shape[:2], encoded.channels)
        if image.shape[:2] != first[:2] or image.shape[-1] not in (1, encoded.channels):
            raise UserError(
                f"{encoded.name}: images of mixed sizes: {file.name} is {image.shape}, the first"
                f" {first}; only sets of one size fit in memory as arrays"
            )
        with explained(cache, 2 * len(order) * image.size):
            pixels.add(np.broadcast_to(image, first))  # a gray one fills all channels
        kept.append(file.done)  # `done` carries the label
        bar.update(1)
    with explained(cache, math.prod(pixels.shape)):
        pixels.flush()
    return np.array(kept, np.int32)


def _order(encoded: EncodedSplit) -> list[int]:
    """Numbers in the files of all examples, sorted by their ids."""
    ids: list[Any] = []
    for start in range(0, len(encoded), _CHUNK):
        rows = range(start, min(start + _CHUNK, len(encoded)))
        ids += [example.id for example in encoded.several(rows)]
    return sorted(range(len(ids)), key=ids.__getitem__)


def _roots(data_dir: Path) -> list[Path]:
    standard = Path(os.environ.get("TFDS_DATA_DIR") or "~/tensorflow_datasets").expanduser()
    return [data_dir, data_dir / "tfds", standard]


def _find(name: str, config: str, roots: list[Path]) -> Path:
    """The newest version of a prepared set in the first root that has it."""
    if not re.fullmatch(r"\w+", name) or not re.fullmatch(r"[\w.+-]*", config):
        raise UserError(f"tfds:{name}:{config} is no name; valid: tfds:NAME or tfds:NAME:CONFIG")
    for root in roots:
        versions = [
            folder
            for folder in (root / name / config).glob("*")
            if re.fullmatch(r"\d+\.\d+\.\d+", folder.name)
            and (folder / "dataset_info.json").is_file()
        ]
        if versions:
            return max(versions, key=lambda folder: [int(part) for part in folder.name.split(".")])
    shown = ", ".join(str(root) for root in roots)
    configs = {each.parts[-3] for root in roots for each in root.glob(f"{name}/*/*/features.json")}
    hint = f"; it has configs: {', '.join(sorted(configs))}" if configs and not config else ""
    raise UserError(f"tfds:{name} is not prepared in any of {shown}{hint}")


def fingerprint(folder: Path) -> str:
    """Changes when the set in a folder is prepared again."""
    digest = hashlib.blake2b(os.fsencode(folder.resolve()), digest_size=8)
    for path in sorted(folder.iterdir()):
        status = path.stat()
        digest.update(f" {path.name} {status.st_size} {status.st_mtime_ns}".encode())
    return digest.hexdigest()
