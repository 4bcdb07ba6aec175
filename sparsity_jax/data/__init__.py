"""Data sets by name: config.data turned into arrays, or into a stream of them."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sparsity_jax.data.dataset import Dataset
from sparsity_jax.data.stream import DEVICE_BYTES, Stream
from sparsity_jax.errors import UserError, user_path

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
    root = user_path(data_dir) if data_dir else default_data_dir()
    kind, _, rest = source.partition(":")
    if kind != "folder" and (resize or test_fraction):
        raise UserError(f"resize and test_fraction are valid for folder:PATH, not for {source}")
    common: dict[str, Any] = {"skip_unreadable": skip_unreadable, "progress": progress}
    official = {"manual_dir": manual_dir, "allow_unverified": allow_unverified, **common}
    folder = {"resize": resize, "test_fraction": test_fraction, **common}
    # Every kind of source has heavy imports of its own.
    if source == "renderings":
        from sparsity_jax.data.renderings import dataset as built_in

        return built_in.load(**(renderings or {}), cache_dir=root / "renderings", progress=progress)
    if kind == "folder" and rest:
        from sparsity_jax.data.sources import image_folder

        return image_folder.load(Path(rest), cache_dir=root / "folder", **folder)
    if kind == "tfds" and rest:
        from sparsity_jax.data.sources import tfds_arrays

        return tfds_arrays.load_prepared(rest, data_dir=root, **common)
    if kind in OFFICIAL or source == "imagenet2012":
        from sparsity_jax.data.sources.official import load_official

        return load_official(source, data_dir=root, **official)
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
    root = user_path(data_dir) if data_dir else default_data_dir()
    options: dict[str, Any] = {
        "manual_dir": manual_dir,
        "allow_unverified": allow_unverified,
        "skip_unreadable": skip_unreadable,
        "progress": progress,
    }
    kind, _, rest = source.partition(":")
    if not (resize or test_fraction):
        if source == "imagenet2012":
            return _open_imagenet(root, options)
        if kind == "tfds" and rest:
            found = _open_tfds(rest, root, device_bytes, options)
            if found is not None:
                return found
    options |= {"resize": resize, "test_fraction": test_fraction}
    dataset = load(source, data_dir=root, renderings=renderings, **options)
    return dataset if dataset.train_images.nbytes <= device_bytes else Stream.of(dataset)


def _open_imagenet(root: Path, options: Mapping[str, Any]) -> Stream:
    from sparsity_jax.data.sources.official import prepare
    from sparsity_jax.data.sources.tfds_stream import open_stream

    folder = Path(prepare("imagenet2012", data_dir=root, **options).data_path)
    return open_stream(
        folder, name="ImageNet", cache_dir=root / "arrays", progress=options["progress"]
    )


def _open_tfds(
    rest: str, root: Path, device_bytes: int, options: Mapping[str, Any]
) -> Stream | None:
    """A set prepared by TFDS as a stream of its files; None where it fits the device."""
    from sparsity_jax.data.sources.tfds_arrays import (
        PUBLISHED_NAMES,
        decoded_bytes,
        find_prepared,
    )

    folder = find_prepared(rest, root)
    if decoded_bytes(folder) <= device_bytes:
        return None
    if options["skip_unreadable"]:
        raise UserError(
            f"tfds:{rest} streams: unreadable images of it cannot be left out; prepare it"
            " again without them"
        )
    from sparsity_jax.data.sources.tfds_stream import open_stream

    name = rest.partition(":")[0]
    return open_stream(
        folder,
        name=PUBLISHED_NAMES.get(name, name),
        sort=True,
        cache_dir=root / "arrays",
        progress=options["progress"],
    )


def default_data_dir() -> Path:
    """The variable SPARSITY_JAX_DATA if set, else ~/.cache/sparsity_jax."""
    named = os.environ.get("SPARSITY_JAX_DATA")
    return user_path(named) if named else Path.home() / ".cache" / "sparsity_jax"
