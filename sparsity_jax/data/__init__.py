"""Which data set does a name stand for? `load` turns config.data into arrays."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sparsity_jax.data.arrays import Dataset
from sparsity_jax.errors import UserError

OFFICIAL = ("cifar10", "cifar100", "tiny_imagenet", "objectnet3d")
SOURCES = ("renderings", *OFFICIAL, "objectnet3d:cluttered", "folder:PATH", "tfds:NAME[:CONFIG]")


def load(
    source: str,
    *,
    data_dir: Path | None = None,
    renderings: Mapping[str, Any] | None = None,
    manual_dir: Path | None = None,
    allow_unverified: bool = False,
    progress: bool = True,
) -> Dataset:
    """Loads a data set that fits in memory, preparing and caching it on first use.

    Args:
        source: 'renderings'; 'cifar10', 'cifar100', 'tiny_imagenet'; 'objectnet3d', on a clean
            background, or 'objectnet3d:cluttered'; 'folder:PATH' where PATH is a folder or an
            archive of images; 'tfds:NAME[:CONFIG]', a set prepared by TFDS.
        data_dir: where prepared sets are kept; by default `default_data_dir()`.
        renderings: keywords of `renderings.load`; other sources ignore it.
        manual_dir: where official archives may lie, by default `data_dir`/manual.
        allow_unverified: use an archive found there whatever its checksum.
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
    if source == "renderings":
        from sparsity_jax.data import renderings as built_in  # trimesh takes a second to import

        return built_in.load(**(renderings or {}), cache_dir=root / "renderings", progress=progress)
    if kind == "folder" and rest:
        from sparsity_jax.data import folder

        return folder.load(Path(rest), cache_dir=root / "folder", progress=progress)
    if kind == "tfds" and rest:
        from sparsity_jax.data import prepared

        return prepared.load_prepared(rest, data_dir=root, progress=progress)
    if kind in OFFICIAL or source == "imagenet2012":
        from sparsity_jax.data import official

        return official.load_official(
            source,
            data_dir=root,
            manual_dir=manual_dir,
            allow_unverified=allow_unverified,
            progress=progress,
        )
    hint = f"; did you mean folder:{source}" if source and Path(source).exists() else ""
    raise UserError(f"unknown data set {source!r}; valid: {', '.join(SOURCES)}{hint}")


def default_data_dir() -> Path:
    """The variable SPARSITY_JAX_DATA if set, else ~/.cache/sparsity_jax."""
    named = os.environ.get("SPARSITY_JAX_DATA")
    return Path(named).expanduser() if named else Path.home() / ".cache" / "sparsity_jax"
