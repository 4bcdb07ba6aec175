"""How does a prepared TFDS data set become arrays? Found on disk, decoded once, sorted by id."""

import hashlib
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow_datasets as tfds

from sparsity_jax.data.archives import File
from sparsity_jax.data.arrays import Dataset
from sparsity_jax.data.cache import check_writable, read_cache, write_cache
from sparsity_jax.data.decode import decode_files
from sparsity_jax.errors import UserError

PUBLISHED_NAMES = {
    "cifar10": "CIFAR10",
    "cifar100": "CIFAR100",
    "tiny_imagenet": "TinyImageNet",
    "objectnet3d": "ObjectNet3D-30",
}
_CHUNK = 1000  # examples read at a time


def load_prepared(spec: str, *, data_dir: Path, progress: bool = True) -> Dataset:
    """Loads any image classification set that TFDS has prepared as `array_record`.

    Args:
        spec: 'NAME' or 'NAME:CONFIG', as TFDS names them.
        data_dir: searched first, then `data_dir`/tfds, TFDS_DATA_DIR and ~/tensorflow_datasets.
        progress: show a bar while decoding.

    Raises:
        UserError: not found, in another format, without images and labels, or of mixed sizes.
    """
    name, _, config = spec.partition(":")
    folder = _find(name, config, _roots(data_dir))
    cache = data_dir / "arrays" / f"tfds-{name}-{_fingerprint(folder)}.npz"
    if (dataset := read_cache(cache)) is not None:
        return dataset
    check_writable(cache.parent)
    dataset = to_arrays(tfds.builder_from_directory(folder), name=PUBLISHED_NAMES.get(name, name))
    write_cache(cache, dataset)
    return dataset


def to_arrays(builder: Any, *, name: str) -> Dataset:
    """Decodes the splits `train` and `test` (else `validation`) of a prepared builder.

    Examples are sorted by their feature `id` when they have one.

    Raises:
        UserError: the set has no such splits, images or labels, or does not fit together.
    """
    image, label = _keys(builder, name)
    splits = {"train": "train", "test": "test" if "test" in builder.info.splits else "validation"}
    arrays: dict[str, Any] = {}
    for split, stored in splits.items():
        if stored not in builder.info.splits:
            raise UserError(
                f"{name} has no split {stored}; it has {', '.join(builder.info.splits)}"
            )
        arrays[f"{split}_images"], arrays[f"{split}_labels"] = _read(builder, stored, image, label)
    try:
        return Dataset(name=name, class_names=tuple(builder.info.features[label].names), **arrays)
    except ValueError as error:
        raise UserError(f"{name} cannot be trained on: {error}") from error


def _read(builder: Any, split: str, image: str, label: str) -> tuple[np.ndarray, np.ndarray]:
    """Images and labels of one split; holds the images twice while it sorts them."""
    try:
        source = builder.as_data_source(split, decoders={image: tfds.decode.SkipDecoding()})
    except NotImplementedError:
        raise UserError(f"{builder.name} is not in array_record format; prepare it so") from None
    count = len(source)
    labels, ids = np.empty(count, np.int32), list[Any](range(count))

    def files() -> Iterator[File]:
        for start in range(0, count, _CHUNK):
            rows = range(start, min(start + _CHUNK, count))
            for row, example in zip(rows, source.__getitems__(list(rows)), strict=True):
                labels[row], ids[row] = example[label], example.get("id", row)
                yield File(f"{split} image {ids[row]}", example[image], row)

    try:
        images = _stack(files(), count, builder.info.features[image].shape[-1] or 3, builder.name)
    except UserError:
        raise
    except Exception as error:  # array_record has no types of its own for damaged files
        reason = str(error).split("\n", 1)[0]
        raise UserError(
            f"{builder.data_path} is damaged ({reason}); remove it and prepare it again"
        ) from error
    order = sorted(range(count), key=ids.__getitem__)
    return images[order], labels[order]


def _stack(files: Iterator[File], count: int, channels: int, name: str) -> np.ndarray:
    """Decodes to uint8 (count, H, W, channels); a gray image among colour fills all channels."""
    images: np.ndarray | None = None
    for file, pixels in decode_files(files):
        if images is None:
            images = np.empty((count, *pixels.shape[:2], channels), np.uint8)
        if pixels.shape[:2] != images.shape[1:3] or pixels.shape[-1] not in (1, channels):
            raise UserError(
                f"{name}: images of mixed sizes: {file.name} is {pixels.shape}, the first"
                f" {images.shape[1:]}; only sets of one size fit in memory as arrays"
            )
        images[file.done] = pixels  # `done` carries the row
    if images is None:
        raise UserError(f"{name} has a split without examples")
    return images


def _keys(builder: Any, name: str) -> tuple[str, str]:
    """Names of the image and the label feature."""
    features = builder.info.features
    kinds = (tfds.features.Image, tfds.features.ClassLabel)
    found = [[key for key, each in features.items() if isinstance(each, kind)] for kind in kinds]
    if not all(found):
        raise UserError(f"{name} is no image classification set; it has {', '.join(features)}")
    image, label = builder.info.supervised_keys or (found[0][0], found[1][0])
    return (image, label) if image in found[0] and label in found[1] else (found[0][0], found[1][0])


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


def _fingerprint(folder: Path) -> str:
    """Changes when the set is prepared again."""
    digest = hashlib.blake2b(os.fsencode(folder.resolve()), digest_size=8)
    for path in sorted(folder.iterdir()):
        status = path.stat()
        digest.update(f" {path.name} {status.st_size} {status.st_mtime_ns}".encode())
    return digest.hexdigest()
