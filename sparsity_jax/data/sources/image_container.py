"""A folder, archive or table of pictures, looked at before it is read."""

import hashlib
import os
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from sparsity_jax.data.files.archives import list_folder
from sparsity_jax.data.sources import folder_layout
from sparsity_jax.data.sources.folder_layout import EXPECTED, Layout
from sparsity_jax.data.sources.image_table import Table, read_tables, tables_of
from sparsity_jax.errors import UserError


class Options(NamedTuple):
    """Options of reading pictures.

    Args:
        resize: above 0: make each so many pixels wide and high.
        test_fraction: above 0: hold out so much of every class of a set without a test split.
        skip_unreadable: leave out images that cannot be decoded.
        progress: show a bar.
    """

    resize: int = 0
    test_fraction: float = 0.0
    skip_unreadable: bool = False
    progress: bool = True


class Container(NamedTuple):
    """A folder or archive, looked at but not read.

    Args:
        path: where it is.
        layout: of a folder; None for an archive, whose names are known when it has been read.
        total: bytes to read.
        fingerprint: changes when its contents do.
        table: the rows that tell the images; None where their folders do.
    """

    path: Path
    layout: Layout | None
    total: int
    fingerprint: str
    table: Table | None = None

    @property
    def root(self) -> Path:
        """The folder that names start from."""
        return self.path.parent if self.path.is_file() else self.path


def inspect(path: Path, options: Options) -> Container:
    """Look at a folder or archive without reading its images.

    Raises:
        UserError: nothing there, or a folder of another layout.
    """
    if tables := tables_of(path):
        return _inspect_tables(path, tables, options)
    if path.is_file():
        status = path.stat()
        return Container(path, None, status.st_size, f"{status.st_size} {status.st_mtime_ns}")
    if not path.is_dir():
        raise UserError(f"folder:{path} does not exist; give a folder or an archive; {EXPECTED}")
    listing = list_folder(path)
    names = [*(name for name, _ in listing.files), *listing.folders]
    layout = folder_layout.arrange(names, str(path), options.test_fraction)
    if listing.broken:
        layout.passed_over["linked to nothing"] += len(listing.broken)
    found = [(name, status) for name, status in listing.files if name in layout.places]
    return Container(path, layout, sum(status.st_size for _, status in found), _states(found))


def _inspect_tables(path: Path, tables: Sequence[Path], options: Options) -> Container:
    root = path.parent if path.is_file() else path
    table = read_tables(tables, root, options.test_fraction)
    named = [name for name in table.layout.places if name not in table.stored]
    found = [(name, (root / name).stat()) for name in sorted(named)]
    total = sum(status.st_size for _, status in found) + sum(map(len, table.stored.values()))
    states = _states([*found, *((str(file), file.stat()) for file in tables)])
    return Container(path, table.layout, total, states, table)


def _states(files: Sequence[tuple[str, os.stat_result]]) -> str:
    """Digest of names, sizes and times of change."""
    lines = [f"{name} {status.st_size} {status.st_mtime_ns}" for name, status in files]
    return hashlib.blake2b("\n".join(lines).encode("utf-8", "surrogateescape")).hexdigest()
