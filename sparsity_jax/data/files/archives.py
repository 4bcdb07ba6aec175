"""Files of a folder or archive, read one after another and never unpacked to disk."""

import bz2
import contextlib
import gzip
import logging
import lzma
import os
import stat
import tarfile
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, NamedTuple, cast

from sparsity_jax.errors import UserError

MAX_FILE_BYTES = 256 * 2**20  # no single image needs more: larger members are refused
_MAX_EXPANSION = 200  # an archive that grows by more is a decompression bomb, not images
_FREE_EXPANSION_BYTES = 2**30  # below this total any growth is harmless
_ZIP_MAGIC = (b"PK\x03\x04", b"PK\x05\x06")
_COMPRESSIONS = {b"\x1f\x8b": gzip.open, b"BZh": bz2.open, b"\xfd7zXZ\x00": lzma.open}
_log = logging.getLogger(__name__)


class File(NamedTuple):
    """One file found.

    Args:
        name: path inside the folder or archive, '/' between its parts.
        data: its bytes.
        done: bytes of the folder or archive that have been read so far, for a progress bar.
    """

    name: str
    data: bytes
    done: int


def read_archive(path: Path, wanted: Callable[[str], bool]) -> Iterator[File]:
    """Yield the wanted files of a zip or tar archive in the order they are stored.

    Nothing is written, so names that climb out of the archive do no harm. Links and devices are
    passed over. A cut-off or altered archive is an error, also where `tarfile` would end quietly.

    Args:
        path: a zip, or a tar that is plain or compressed by gzip, bzip2 or xz; told apart by
            contents, not by suffix.
        wanted: says by name which files to yield.

    Raises:
        UserError: not an archive, a damaged one, or one that expands beyond reason.
    """
    with _named(path), path.open("rb") as file:
        magic = file.read(8)
        file.seek(0)
        reader = _read_zip if magic.startswith(_ZIP_MAGIC) else _read_tar
        yield from reader(file, path.stat().st_size, magic, wanted)


def read_nested_tar(path: Path) -> Iterator[File]:
    """Yield the files of the tars inside an uncompressed tar, one after the other, unbuffered.

    Args:
        path: such as ImageNet's training archive, a tar of one tar per class.

    Returns:
        Files named '<inner archive>/<file>', where the inner archive has lost its '.tar'.

    Raises:
        UserError: a damaged archive, outside or inside.
    """
    with (
        _named(path),
        path.open("rb") as file,
        tarfile.open(fileobj=file, mode="r|", tarinfo=_StrictHeader) as outer,
    ):
        for archive in outer:
            stored = outer.extractfile(archive) if archive.isreg() else None
            if stored is None or not archive.name.endswith(".tar"):
                continue
            with tarfile.open(fileobj=stored, mode="r|", tarinfo=_StrictHeader) as inner:
                for member in inner:
                    _check_size(member.name, member.size)
                    content = inner.extractfile(member) if member.isreg() else None
                    if content is not None:
                        name = f"{archive.name.removesuffix('.tar')}/{member.name}"
                        yield File(name, content.read(), file.tell())


@contextlib.contextmanager
def _named(path: Path) -> Iterator[None]:
    """Turn whatever goes wrong with an archive into one line that names it."""
    try:
        yield
    except UserError as error:
        raise UserError(f"{path}: {error}") from error
    except Exception as error:  # archive modules raise a dozen types on damaged bytes
        reason = str(error).split("\n", 1)[0] or type(error).__name__
        raise UserError(
            f"{path} is damaged or not an archive ({reason}); expected a folder, .zip, .tar,"
            " .tar.gz, .tar.xz, .tar.bz2, or a table: .csv, .tsv, .parquet"
        ) from error


class Listing(NamedTuple):
    """Listing of what lies below a folder, sorted, with '/' between the parts of names.

    Args:
        files: names and states.
        folders: names, which end with '/'.
        broken: links that lead nowhere.
    """

    files: list[tuple[str, os.stat_result]]
    folders: list[str]
    broken: list[str]


def list_folder(root: Path) -> Listing:
    """List all that lies below a folder.

    Linked folders are followed, each folder once, so that a loop of links ends. Hidden folders and
    `__MACOSX` are not entered.

    Raises:
        UserError: a folder that cannot be read.
    """
    listing, seen, waiting = Listing([], [], []), set(), [""]
    try:
        while waiting:
            folder = waiting.pop()
            identity = (root / folder).stat()
            if (identity.st_dev, identity.st_ino) in seen:
                continue
            seen.add((identity.st_dev, identity.st_ino))
            for entry in sorted(os.scandir(root / folder), key=lambda each: each.name):
                name = f"{folder}{entry.name}"
                if entry.is_dir():
                    listing.folders.append(f"{name}/")
                    if not entry.name.startswith(".") and entry.name != "__MACOSX":
                        waiting.append(f"{name}/")
                elif entry.is_file():
                    listing.files.append((name, entry.stat()))
                else:
                    listing.broken.append(name)
    except OSError as error:
        raise UserError(f"folder {root} cannot be read: {error}") from error
    listing.files.sort(key=lambda each: each[0])
    return listing._replace(folders=sorted(listing.folders), broken=sorted(listing.broken))


def read_folder(root: Path, names: list[str]) -> Iterator[File]:
    """Yield files of a folder.

    Raises:
        UserError: a file that cannot be read, or is larger than any image.
    """
    done = 0
    for name in names:
        try:
            with (root / name).open("rb") as file:
                data = file.read(MAX_FILE_BYTES + 1)
        except OSError as error:
            raise UserError(f"{root / name} cannot be read: {error.strerror or error}") from error
        _check_size(name, len(data))
        done += len(data)
        yield File(name, data, done)


def _read_zip(
    file: IO[bytes], size: int, magic: bytes, wanted: Callable[[str], bool]
) -> Iterator[File]:
    done, links = 0, []
    with zipfile.ZipFile(file) as archive:
        for member in archive.infolist():
            if member.is_dir() or not wanted(member.filename):
                continue
            if stat.S_ISLNK(member.external_attr >> 16):
                links.append(member.filename)
                continue
            _check_size(member.filename, member.file_size)
            done += member.compress_size
            yield File(member.filename, archive.read(member), min(done, size))
    _warn_of(links)


def _read_tar(
    file: IO[bytes], size: int, magic: bytes, wanted: Callable[[str], bool]
) -> Iterator[File]:
    opener = next((use for start, use in _COMPRESSIONS.items() if magic.startswith(start)), None)
    plain = cast(IO[bytes], opener(file)) if opener else file
    links = []
    with tarfile.open(fileobj=plain, mode="r|", tarinfo=_StrictHeader) as archive:
        for member in archive:
            _check_size(member.name, member.size)
            _check_expansion(archive.offset, size)
            if member.isdir() or not wanted(member.name):
                continue
            stored = archive.extractfile(member) if member.isreg() else None
            if stored is None:
                links.append(member.name)
                continue
            yield File(member.name, stored.read(), file.tell())
        total = archive.offset
    while rest := plain.read(2**20):  # to the end, where the compression keeps its checksum
        total += len(rest)
        _check_expansion(total, size)
        if rest.strip(b"\0"):
            raise ValueError("something follows the end of the archive")
    _warn_of(links)


class _StrictHeader(tarfile.TarInfo):
    """A header that must be whole: `tarfile` takes a damaged one for the end of the archive."""

    @classmethod
    def fromtarfile(cls, tarfile: tarfile.TarFile) -> "_StrictHeader":
        try:
            return super().fromtarfile(tarfile)  # type: ignore[return-value]
        except _EndOfArchive:
            raise
        except _HeaderError as error:
            raise ValueError(f"{error} at byte {tarfile.offset}") from error


# Which of its errors mean the end of the archive, tarfile tells only by this undocumented type.
_HeaderError = tarfile.HeaderError
_EndOfArchive: type[Exception] = vars(tarfile)["EOFHeaderError"]  # the type stubs lack it


def _check_size(name: str, size: int) -> None:
    if size > MAX_FILE_BYTES:
        raise UserError(f"{name} is larger than {MAX_FILE_BYTES // 2**20} MB: not an image set")


def _check_expansion(offset: int, size: int) -> None:
    if offset > max(_FREE_EXPANSION_BYTES, _MAX_EXPANSION * size):
        raise UserError(f"expands more than {_MAX_EXPANSION} times: refused as a bomb")


def _warn_of(links: list[str]) -> None:
    if links:
        _log.warning("%d links or devices are passed over, such as %s", len(links), links[0])
