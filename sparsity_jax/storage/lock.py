"""Is anybody else writing into this workdir? One process at a time, and the dead do not count.

The lock belongs to an open file, so the kernel gives it back when its holder dies, however it dies.
What stands in the file (who, where, since when) is only for the message.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from sparsity_jax.errors import UserError

try:
    import fcntl
except ImportError:  # not a POSIX system
    fcntl = None

NAME = ".lock"


@contextlib.contextmanager
def hold(workdir: Path) -> Iterator[None]:
    """Hold the workdir; it is made when missing.

    Raises:
      UserError: another process holds it, and which.

    Example:
      >>> with hold(Path('runs/quickstart')):
      ...     ...
    """
    workdir.mkdir(parents=True, exist_ok=True)
    with (workdir / NAME).open("a+") as file:
        _acquire(file, workdir)
        file.truncate(0)
        since = time.strftime("%Y-%m-%d %H:%M:%S")
        file.write(json.dumps({"pid": os.getpid(), "host": socket.gethostname(), "since": since}))
        file.flush()
        yield  # closing the file gives the lock back; the file stays, or two could hold two


def refuse_if_held(workdir: Path) -> None:
    """Fail early where `hold` would fail later; changes nothing.

    Raises:
      UserError: another process holds the workdir, and which.
    """
    with (
        contextlib.suppress(FileNotFoundError, NotADirectoryError),
        (workdir / NAME).open() as file,
    ):
        _acquire(file, workdir)


def holder(workdir: Path) -> str:
    """Who holds the workdir, or held it last: 'process 12 on HOST since 2026-01-31 12:00:00'."""
    try:
        raw = json.loads((workdir / NAME).read_text())
        return f"process {raw['pid']} on {raw['host']} since {raw['since']}"
    except (OSError, ValueError, KeyError, TypeError):
        return "another process"


def is_held(workdir: Path) -> bool:
    """Whether a living process holds the workdir."""
    try:
        refuse_if_held(workdir)
    except UserError:
        return True
    return False


def _acquire(file: IO[str], workdir: Path) -> None:
    if fcntl is None:
        return
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise UserError(
            f"{workdir} is in use by {holder(workdir)}; wait for it, stop it, or give another "
            "--workdir"
        ) from None
    except OSError:  # a network file system without locks: as before there were any
        return
