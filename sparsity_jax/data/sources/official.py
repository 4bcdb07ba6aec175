"""The paper's public data sets: downloaded, prepared with TFDS, decoded, each step once."""

import contextlib
import io
import sys
from itertools import repeat
from pathlib import Path

import tensorflow_datasets as tfds
from PIL import Image

from sparsity_jax.data.dataset import Dataset
from sparsity_jax.data.files.cache import check_writable, just_written, read_cache
from sparsity_jax.data.files.decode import GRAY_MODES
from sparsity_jax.data.progress import still
from sparsity_jax.data.sources.builders.archive_builder import ArchiveBuilder
from sparsity_jax.data.sources.builders.cifar import Cifar10, Cifar100
from sparsity_jax.data.sources.builders.imagenet import Imagenet2012
from sparsity_jax.data.sources.builders.objectnet3d import Objectnet3d
from sparsity_jax.data.sources.builders.spill import plain_spill_files
from sparsity_jax.data.sources.builders.tiny_imagenet import TinyImagenet
from sparsity_jax.data.sources.tfds_arrays import PUBLISHED_NAMES, store_arrays
from sparsity_jax.data.sources.tfds_records import EncodedSplit
from sparsity_jax.errors import UserError

BUILDERS: dict[str, type[ArchiveBuilder]] = {
    "cifar10": Cifar10,
    "cifar100": Cifar100,
    "tiny_imagenet": TinyImagenet,
    "objectnet3d": Objectnet3d,
    "imagenet2012": Imagenet2012,
}


def load_official(
    spec: str,
    *,
    data_dir: Path,
    manual_dir: Path | None = None,
    allow_unverified: bool = False,
    skip_unreadable: bool = False,
    progress: bool = True,
    pixels: bool = True,
) -> Dataset:
    """Load one of the paper's data sets, downloading and preparing it on first use.

    Args:
        spec: a key of `BUILDERS`; for ObjectNet3D also 'objectnet3d:cluttered'.
        data_dir: holds `downloads/`, the prepared set in `tfds/` and the decoded one in `arrays/`.
        manual_dir: where its archive may lie under its official name; by default
            `data_dir`/manual.
        allow_unverified: use that archive whatever its checksum.
        skip_unreadable: leave out images that cannot be decoded, counted in a warning.
        progress: show bars.
        pixels: False: only make sure that it is there; the images are `cache.without_pixels` then.

    Returns:
        The set under the name the paper uses, images in official order.

    Raises:
        UserError: the archive is not to be had, has another checksum or is damaged.
    """
    name, config = _split(spec)
    if name not in PUBLISHED_NAMES:
        raise UserError(f"{name} does not fit in memory: it streams, see `data.open_source`")
    version = str(BUILDERS[name].VERSION)
    cache = data_dir / "arrays" / f"{'-'.join(filter(None, (name, config, version)))}.npz"
    if (dataset := read_cache(cache, pixels=pixels)) is not None:
        return dataset
    builder = prepare(
        spec,
        data_dir=data_dir,
        manual_dir=manual_dir,
        allow_unverified=allow_unverified,
        skip_unreadable=skip_unreadable,
        progress=progress,
    )
    store_arrays(
        builder,
        cache,
        name=PUBLISHED_NAMES[name],
        variant=f"bg={config}" if config else "",
        skip_unreadable=skip_unreadable,
        progress=progress,
    )
    return just_written(cache, pixels=pixels)


def prepare(
    spec: str,
    *,
    data_dir: Path,
    manual_dir: Path | None = None,
    allow_unverified: bool = False,
    skip_unreadable: bool = False,
    progress: bool = True,
) -> ArchiveBuilder:
    """Prepare a set as `array_record` files in `data_dir`/tfds, unless that is done.

    Args and errors are those of `load_official`; sets too large for memory can be prepared too.
    """
    name, config = _split(spec)
    check_writable(data_dir / "tfds")
    tfds.display_progress_bar(progress and sys.stderr.isatty())
    builder = BUILDERS[name](
        config=config or None,
        data_dir=data_dir / "tfds",
        manual_dir=manual_dir or data_dir / "manual",
        allow_unverified=allow_unverified,
        skip_unreadable=skip_unreadable,
        progress=progress,
    )

    def doing() -> str:
        count = builder.images_read  # before the first, a download speaks for itself
        return f"preparing {name}, {count:,} images read" if count else ""

    quiet = contextlib.redirect_stdout(io.StringIO())  # TFDS announces what it does in colour
    try:
        with quiet, plain_spill_files(), still(doing, shown=progress and not sys.stderr.isatty()):
            builder.download_and_prepare(download_dir=data_dir / "downloads")
    except (OSError, RuntimeError) as error:  # array_record has no type of its own for a full disk
        reason = str(error).split("\n", 1)[0]
        raise UserError(f"cannot prepare {name} in {data_dir}: {reason}") from error
    return builder


def gray_files(name: str, data_dir: Path) -> tuple[int, int]:
    """Number of training and test images of a prepared set that are stored as gray.

    Args:
        name: a key of `BUILDERS` whose images are kept as they were published.
        data_dir: as for `load_official`.
    """
    builder = BUILDERS[name](data_dir=data_dir / "tfds")
    splits = (EncodedSplit(builder, split) for split in ("train", "test"))
    train, test = (sum(map(_is_gray, range(len(s)), repeat(s))) for s in splits)
    return train, test


def _is_gray(number: int, split: EncodedSplit) -> bool:
    with Image.open(io.BytesIO(split[number].image)) as image:
        return image.mode in GRAY_MODES


def _split(spec: str) -> tuple[str, str]:
    """'NAME:CONFIG' in two; the first config when it is left out, '' where a set has none."""
    name, _, config = spec.partition(":")
    configs = [each.name for each in BUILDERS[name].BUILDER_CONFIGS]
    if config and config not in configs:
        valid = ", ".join(f"{name}:{each}" for each in configs) or name
        raise UserError(f"unknown data set {spec!r}; valid: {valid}")
    return name, config or (configs[0] if configs else "")
