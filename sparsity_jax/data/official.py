"""How do the paper's public data sets load? Download, prepare with TFDS, decode: each step once."""

import contextlib
import dataclasses
import io
import sys
from pathlib import Path

import tensorflow_datasets as tfds

from sparsity_jax.data.arrays import Dataset
from sparsity_jax.data.builders.archive_builder import ArchiveBuilder
from sparsity_jax.data.builders.cifar import Cifar10, Cifar100
from sparsity_jax.data.builders.objectnet3d import Objectnet3d
from sparsity_jax.data.builders.tiny_imagenet import TinyImagenet
from sparsity_jax.data.cache import check_writable, read_cache, write_cache
from sparsity_jax.data.prepared import PUBLISHED_NAMES, to_arrays
from sparsity_jax.errors import UserError

BUILDERS: dict[str, type[ArchiveBuilder]] = {
    "cifar10": Cifar10,
    "cifar100": Cifar100,
    "tiny_imagenet": TinyImagenet,
    "objectnet3d": Objectnet3d,
}


def load_official(
    spec: str,
    *,
    data_dir: Path,
    manual_dir: Path | None = None,
    allow_unverified: bool = False,
    progress: bool = True,
) -> Dataset:
    """Loads one of the paper's data sets, downloading and preparing it on first use.

    Args:
        spec: a key of `BUILDERS`; for ObjectNet3D also 'objectnet3d:cluttered'.
        data_dir: holds `downloads/`, the prepared set in `tfds/` and the decoded one in `arrays/`.
        manual_dir: where its archive may lie under its official name; by default
            `data_dir`/manual.
        allow_unverified: use that archive whatever its checksum.
        progress: show bars.

    Returns:
        The set under the name the paper uses, images in official order.

    Raises:
        UserError: the archive is not to be had, has another checksum or is damaged.
    """
    name, _, config = spec.partition(":")
    builder_class = BUILDERS[name]
    configs = [each.name for each in builder_class.BUILDER_CONFIGS]
    if config and config not in configs:
        valid = ", ".join(f"{name}:{each}" for each in configs) or name
        raise UserError(f"unknown data set {spec!r}; valid: {valid}")
    config = config or (configs[0] if configs else "")
    file_name = "-".join(part for part in (name, config, str(builder_class.VERSION)) if part)
    cache = data_dir / "arrays" / f"{file_name}.npz"
    if (dataset := read_cache(cache)) is not None:
        return dataset
    check_writable(data_dir / "tfds")
    tfds.display_progress_bar(progress and sys.stderr.isatty())
    builder = builder_class(
        config=config or None,
        data_dir=data_dir / "tfds",
        manual_dir=manual_dir or data_dir / "manual",
        allow_unverified=allow_unverified,
        progress=progress,
    )
    try:
        with contextlib.redirect_stdout(io.StringIO()):  # TFDS announces what it does in colour
            builder.download_and_prepare(download_dir=data_dir / "downloads")
    except OSError as error:
        raise UserError(f"cannot prepare {name} in {data_dir}: {error}") from error
    dataset = to_arrays(builder, name=PUBLISHED_NAMES[name])
    dataset = dataclasses.replace(dataset, variant=f"bg={config}" if config else "")
    write_cache(cache, dataset)
    return dataset
