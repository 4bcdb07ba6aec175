"""Data sets by name: config.data turned into arrays, or into a stream of them."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sparsity_jax.data.dataset import Dataset
from sparsity_jax.data.stream import DEVICE_BYTES, Stream
from sparsity_jax.errors import UserError

OFFICIAL = ("cifar10", "cifar100", "tiny_imagenet", "objectnet3d")
SOURCES = (
    "renderings",
    *OFFICIAL,
    "objectnet3d:cluttered",
    "objectnet3d:procedural",
    "imagenet2012",
    "folder:PATH",
    "tfds:NAME[:CONFIG]",
)


def load(
    source: str,
    *,
    data_dir: Path | None = None,
    renderings: Mapping[str, Any] | None = None,
    manual_dir: Path | None = None,
    allow_unverified: bool = False,
    skip_unreadable: bool = False,
    resize: int = 0,
    test_fraction: float = 0.0,
    progress: bool = True,
) -> Dataset:
    """Load a data set that fits in memory, preparing and caching it on first use.

    Args:
        source: 'renderings'; 'cifar10', 'cifar100', 'tiny_imagenet'; 'objectnet3d', on a clean
            background, 'objectnet3d:cluttered' or 'objectnet3d:procedural'; 'folder:PATH' where
            PATH is a folder or an archive of images; 'tfds:NAME[:CONFIG]', a set prepared by TFDS.
        data_dir: where prepared sets are kept; by default `default_data_dir()`.
        renderings: keywords of `renderings.load`; other sources ignore it.
        manual_dir: where official archives may lie, by default `data_dir`/manual.
        allow_unverified: use an archive found there whatever its checksum.
        skip_unreadable: leave out images that cannot be decoded, and count them.
        resize: for folders: make every image so many pixels wide and high, if above 0.
        test_fraction: for folders without a test split: hold out so much of every class.
        progress: show a bar while preparing.

    Returns:
        uint8 images and labels of both splits.

    Raises:
        UserError: an unknown source, or one that cannot be prepared.

    Example:
        >>> load("renderings", renderings={"classes": 4}).classes  # doctest: +SKIP
        4
    """
    root = Path(data_dir).expanduser() if data_dir else default_data_dir()
    kind, _, rest = source.partition(":")
    if kind != "folder" and (resize or test_fraction):
        raise UserError(f"resize and test_fraction are valid for folder:PATH, not for {source}")
    if source == "renderings":
        from sparsity_jax.data.renderings import (
            dataset as built_in,  # trimesh takes a second to import
        )

        return built_in.load(**(renderings or {}), cache_dir=root / "renderings", progress=progress)
    if kind == "folder" and rest:
        from sparsity_jax.data.sources import image_folder as folder

        return folder.load(
            Path(rest),
            cache_dir=root / "folder",
            resize=resize,
            test_fraction=test_fraction,
            skip_unreadable=skip_unreadable,
            progress=progress,
        )
    if kind == "tfds" and rest:
        from sparsity_jax.data.sources import tfds_arrays as prepared

        return prepared.load_prepared(rest, data_dir=root, skip_unreadable=skip_unreadable)
    if kind in OFFICIAL or source == "imagenet2012":
        from sparsity_jax.data.sources import official

        return official.load_official(
            source,
            data_dir=root,
            manual_dir=manual_dir,
            allow_unverified=allow_unverified,
            skip_unreadable=skip_unreadable,
            progress=progress,
        )
    hint = f"; did you mean folder:{source}" if source and Path(source).exists() else ""
    raise UserError(f"unknown data set {source!r}; valid: {', '.join(SOURCES)}{hint}")


def open_source(
    source: str,
    *,
    data_dir: Path | None = None,
    renderings: Mapping[str, Any] | None = None,
    manual_dir: Path | None = None,
    allow_unverified: bool = False,
    skip_unreadable: bool = False,
    resize: int = 0,
    test_fraction: float = 0.0,
    device_bytes: int = DEVICE_BYTES,
    progress: bool = True,
) -> Dataset | Stream:
    """As `load`, for sets of any size: those too large for the device come as a stream.

    ImageNet always streams, any other set when its training pixels take more than `device_bytes`.
    Sets prepared by TFDS are then read from its files; others are held in this machine's memory.

    Args:
        source: as for `load`, and 'imagenet2012'.
        data_dir: as for `load`, like all others.
        renderings: keywords of `renderings.load`.
        manual_dir: where official archives may lie.
        allow_unverified: use an archive found there whatever its checksum.
        skip_unreadable: leave out unreadable images, and count them.
        resize: for folders: pixels along a side.
        test_fraction: for folders without a test split.
        device_bytes: of training pixels that may live on the device.
        progress: show bars.

    Example:
        >>> type(open_source("renderings", device_bytes=0)).__name__  # doctest: +SKIP
        'Stream'
    """
    root = Path(data_dir).expanduser() if data_dir else default_data_dir()
    options: dict[str, Any] = {
        "manual_dir": manual_dir,
        "allow_unverified": allow_unverified,
        "skip_unreadable": skip_unreadable,
    }
    kind, _, rest = source.partition(":")
    if (source == "imagenet2012" or (kind == "tfds" and rest)) and not (resize or test_fraction):
        from sparsity_jax.data.sources import official
        from sparsity_jax.data.sources import tfds_arrays as prepared
        from sparsity_jax.data.sources import tfds_stream as records

        where: dict[str, Any] = {"cache_dir": root / "arrays", "progress": progress}
        if source == "imagenet2012":
            folder = official.prepare(source, data_dir=root, progress=progress, **options).data_path
            return records.open_stream(Path(folder), name="ImageNet", **where)
        folder = prepared.find_prepared(rest, root)
        if prepared.decoded_bytes(folder) > device_bytes:
            if skip_unreadable:
                raise UserError(
                    f"{source} streams: unreadable images of it cannot be left out; prepare it"
                    " again without them"
                )
            name = rest.partition(":")[0]
            return records.open_stream(
                folder, name=prepared.PUBLISHED_NAMES.get(name, name), sort=True, **where
            )
    options |= {"resize": resize, "test_fraction": test_fraction, "progress": progress}
    dataset = load(source, data_dir=root, renderings=renderings, **options)
    return dataset if dataset.train_images.nbytes <= device_bytes else Stream.of(dataset)


def default_data_dir() -> Path:
    """The variable SPARSITY_JAX_DATA if set, else ~/.cache/sparsity_jax."""
    named = os.environ.get("SPARSITY_JAX_DATA")
    return Path(named).expanduser() if named else Path.home() / ".cache" / "sparsity_jax"
