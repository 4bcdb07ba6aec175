"""Official archives from the manual folder or from their site, with a proven checksum.

Not by pooch: it reads a file again for its checksum and says nothing off a terminal; the manual
folder and the messages, which are most of this file, would stay.
"""

import hashlib
import http.client
import logging
import secrets
import urllib.error
import urllib.request
from pathlib import Path
from typing import NamedTuple

from sparsity_jax.data.files.cache import check_writable
from sparsity_jax.data.progress import Bar
from sparsity_jax.errors import UserError

_CHUNK = 2**20
_LONG = 2**30  # bytes whose checksum takes seconds
_TIMEOUT = 30.0  # seconds without a byte before a download is given up
_log = logging.getLogger(__name__)


class Archive(NamedTuple):
    """A file that its authors publish.

    Args:
        file: its official name, looked for in the manual folder.
        url: where it is downloaded from, or the page that offers it when `download` is False.
        md5: checksum of the whole file as published, None if none is.
        download: whether it can be had without an account.
    """

    file: str
    url: str
    md5: str | None
    download: bool = True


def obtain(
    archive: Archive,
    *,
    manual_dir: Path,
    download_dir: Path,
    name: str = "NAME",
    allow_unverified: bool = False,
    progress: bool = True,
) -> Path:
    """Find or download an archive and prove its checksum.

    Args:
        archive: which one.
        manual_dir: where a user may have put it under its official name.
        download_dir: where downloads are kept, in the data folder; only whole, verified files get
            their name there.
        name: of the data set, for messages that say which command helps.
        allow_unverified: use a file of the manual folder whatever its checksum; for excerpts and
            repacked copies.
        progress: show a bar while downloading, and while the checksum of a big file is computed.

    Returns:
        Its path.

    Raises:
        UserError: not there and not to be had, or with another checksum.
    """
    manual = manual_dir / archive.file
    if manual.is_file():
        command = f"prepare {name} --manual_dir {manual_dir} --data_dir {download_dir.parent}"
        return _accept_manual(archive, manual, command, allow_unverified, progress)
    downloaded = download_dir / archive.file
    if downloaded.is_file():
        if _md5(downloaded, progress) == archive.md5:
            return downloaded
        _log.warning("%s is damaged; downloading it again", downloaded)
    if not archive.download:
        raise UserError(f"{archive.file} is needed: {_by_hand(archive, manual_dir)}")
    check_writable(download_dir)
    _download(archive, downloaded, manual_dir, progress)
    return downloaded


def _accept_manual(
    archive: Archive, path: Path, command: str, allow_unverified: bool, progress: bool
) -> Path:
    found = _md5(path, progress) if archive.md5 else None
    if found != archive.md5:
        if not allow_unverified:
            raise UserError(
                f"{path} has MD5 {found}, the official file {archive.md5}: get it again from"
                f" {archive.url}, or use it as it is with `python -m sparsity_jax.data {command}"
                " --allow_unverified`"
            )
        _log.warning("%s is used although its MD5 is %s, not %s", path, found, archive.md5)
    return path


def _download(archive: Archive, path: Path, manual_dir: Path, progress: bool) -> None:
    """Stream to a file of another name, which becomes `path` once the checksum is right."""
    part = path.with_name(f"{path.name}.{secrets.token_hex(4)}.part")
    try:
        found = _stream(archive.url, part, progress)
        if found != archive.md5:
            raise UserError(
                f"{archive.url} sent a file with MD5 {found}, not {archive.md5}: cut off or"
                f" altered; try again, or {_by_hand(archive, manual_dir)}"
            )
        part.replace(path)
    except (OSError, http.client.HTTPException, ValueError) as error:
        if isinstance(error, urllib.error.HTTPError):
            error.close()  # it holds the connection
        reason = str(getattr(error, "reason", None) or error).split("\n", 1)[0]
        raise UserError(
            f"cannot download {archive.file} ({reason}); {_by_hand(archive, manual_dir)}"
        ) from error
    finally:
        part.unlink(missing_ok=True)


def _stream(url: str, part: Path, progress: bool) -> str:
    """Copy a URL to a file and return the MD5 of what came."""
    digest = hashlib.md5(usedforsecurity=False)
    with urllib.request.urlopen(url, timeout=_TIMEOUT) as response, part.open("xb") as file:
        total = int(response.headers.get("Content-Length") or 0) or None
        with Bar(f"downloading {url}", total=total, unit="B", shown=progress) as bar:
            while chunk := response.read(_CHUNK):
                file.write(chunk)
                digest.update(chunk)
                bar.update(len(chunk))
    return digest.hexdigest()


def _md5(path: Path, progress: bool) -> str:
    digest = hashlib.md5(usedforsecurity=False)
    try:
        size = path.stat().st_size
        shown = progress and size >= _LONG
        with (
            path.open("rb") as file,
            Bar(f"checking {path.name}", total=size, unit="B", shown=shown) as bar,
        ):
            while chunk := file.read(_CHUNK):
                digest.update(chunk)
                bar.update(len(chunk))
        return digest.hexdigest()
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror or error}") from error


def _by_hand(archive: Archive, manual_dir: Path) -> str:
    return f"get {archive.file} from {archive.url} and put it in {manual_dir}"
