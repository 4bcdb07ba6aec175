"""Prepared TFDS sets as arrays: found on disk, decoded once, sorted by id."""

import hashlib
import math
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow_datasets as tfds

from sparsity_jax.data.dataset import Dataset
from sparsity_jax.data.files.archives import File
from sparsity_jax.data.files.cache import check_writable, read_cache, write_cache
from sparsity_jax.data.files.decode import decode_files, warn_of_skipped
from sparsity_jax.data.sources.tfds_records import EncodedSplit
from sparsity_jax.errors import UserError

PUBLISHED_NAMES = {
    "cifar10": "CIFAR10",
    "cifar100": "CIFAR100",
    "tiny_imagenet": "TinyImageNet",
    "objectnet3d": "ObjectNet3D-30",
}
_CHUNK = 1000  # examples read at a time


def load_prepared(spec: str, *, data_dir: Path, skip_unreadable: bool = False) -> Dataset:
    """Load any image classification set that TFDS has prepared as `array_record`.

    Args:
        spec: 'NAME' or 'NAME:CONFIG', as TFDS names them.
        data_dir: searched first, then `data_dir`/tfds, TFDS_DATA_DIR and ~/tensorflow_datasets.
        skip_unreadable: leave out images that cannot be decoded, and say in a warning how many;
            the cached set is then used with or without this option.

    Raises:
        UserError: not found, in another format, without images and labels, or of mixed sizes.
    """
    name = spec.partition(":")[0]
    folder = find_prepared(spec, data_dir)
    cache = data_dir / "arrays" / f"tfds-{name}-{fingerprint(folder)}.npz"
    if (dataset := read_cache(cache)) is not None:
        return dataset
    check_writable(cache.parent)
    dataset = to_arrays(
        tfds.builder_from_directory(folder),
        name=PUBLISHED_NAMES.get(name, name),
        skip_unreadable=skip_unreadable,
    )
    write_cache(cache, dataset)
    return dataset


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


def to_arrays(builder: Any, *, name: str, skip_unreadable: bool = False) -> Dataset:
    """Decode the splits `train` and `test` (else `validation`) of a prepared builder.

    Examples are sorted by their feature `id` when they have one.

    Args:
        builder: of a prepared set.
        name: what results.csv calls it.
        skip_unreadable: leave out images that cannot be decoded, counted in a warning.

    Raises:
        UserError: the set has no such splits, images or labels, an image that cannot be decoded,
            or does not fit together.
    """
    skipped: list[str] | None = [] if skip_unreadable else None
    splits = {split: EncodedSplit(builder, split) for split in ("train", "test")}
    arrays: dict[str, Any] = {}
    for split, encoded in splits.items():
        read = _read(encoded, split, builder.name, skipped)
        arrays[f"{split}_images"], arrays[f"{split}_labels"] = read
    warn_of_skipped(skipped or [], name)
    try:
        return Dataset(name=name, class_names=splits["train"].class_names, **arrays)
    except ValueError as error:
        raise UserError(f"{name} cannot be trained on: {error}") from error


def _read(
    encoded: EncodedSplit, split: str, name: str, skipped: list[str] | None
) -> tuple[np.ndarray, np.ndarray]:
    """Images and labels of one split; holds the images twice while it sorts them."""
    count = len(encoded)
    labels, ids = np.empty(count, np.int32), list[Any](range(count))

    def files() -> Iterator[File]:
        for start in range(0, count, _CHUNK):
            rows = range(start, min(start + _CHUNK, count))
            for row, example in zip(rows, encoded.several(rows), strict=True):
                labels[row], ids[row] = example.label, example.id
                yield File(f"{split} image {example.id}", example.image, row)

    images: np.ndarray | None = None
    kept = []
    for file, pixels in decode_files(files(), skipped=skipped):
        if images is None:
            images = np.empty((count, *pixels.shape[:2], encoded.channels), np.uint8)
        if pixels.shape[:2] != images.shape[1:3] or pixels.shape[-1] not in (1, encoded.channels):
            raise UserError(
                f"{name}: images of mixed sizes: {file.name} is {pixels.shape}, the first"
                f" {images.shape[1:]}; only sets of one size fit in memory as arrays"
            )
        images[file.done] = pixels  # `done` carries the row; a gray one fills all channels
        kept.append(file.done)
    if images is None:
        raise UserError(f"{name} has no {split} image that can be read")
    order = sorted(kept, key=ids.__getitem__)
    return images[order], labels[order]


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
