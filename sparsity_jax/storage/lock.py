"""Is anybody else writing into this workdir? One process at a time, and the dead do not count.

The processes that share a grid out among them count as one: each holds its share's own lock, and
all of them together hold the workdir. A lock belongs to an open file, so the kernel gives it back
when its holder dies, however it dies. What stands in the file (who, where, since when) is for the
message, but for the number of shares.
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
from sparsity_jax.shares import ALL, Share

try:
    import fcntl
except ImportError:  # not a POSIX system
    fcntl = None

NAME = ".lock"
PATIENCE_SECONDS = 5.0  # for the moment in which another share looks whether it is the first


@contextlib.contextmanager
def hold(workdir: Path, share: Share = ALL) -> Iterator[None]:
    """Hold the workdir, or a share of it; it is made when missing.

    Raises:
      UserError: another process holds it, and which; or it is shared out in another number.

    Example:
      >>> with hold(Path('runs/quickstart')):
      ...     ...
    """
    workdir.mkdir(parents=True, exist_ok=True)
    with contextlib.ExitStack() as opened:
        whole = opened.enter_context((workdir / NAME).open("a+"))
        if share.count == 1:
            _take(whole, workdir)
        else:
            _join(whole, workdir, share)
            _take(opened.enter_context(_own(workdir, share).open("a+")), workdir, share)
        yield  # closing a file gives its lock back; the file stays, or two could hold two


@contextlib.contextmanager
def publishing(workdir: Path) -> Iterator[None]:
    """Hold what all shares write, such as results.csv; waits for whoever holds it."""
    with (workdir / f"{NAME}.views").open("a+") as file:
        _lock(file, "LOCK_EX")
        yield


def refuse_if_held(workdir: Path, share: Share = ALL) -> None:
    """Fail early where `hold` would fail later; changes nothing.

    Raises:
      UserError: another process holds the workdir, or this share, and which.
    """
    with contextlib.suppress(FileNotFoundError, NotADirectoryError):
        if share.count == 1:
            with (workdir / NAME).open() as file:
                _acquire(file, workdir)
        else:
            with _own(workdir, share).open() as file:
                _acquire(file, workdir, share)


def holder(workdir: Path, share: Share = ALL) -> str:
    """Who holds the workdir, or held it last: 'process 12 on HOST since 2026-01-31 12:00:00'."""
    path = workdir / NAME if share.count == 1 else _own(workdir, share)
    try:
        raw = json.loads(path.read_text())
        return f"process {raw['pid']} on {raw['host']} since {raw['since']}"
    except (OSError, ValueError, KeyError, TypeError):
        return "another process"


def is_held(workdir: Path) -> bool:
    """Whether a living process holds the workdir, or a share of it."""
    try:
        refuse_if_held(workdir)
    except UserError:
        return True
    return False


def _own(workdir: Path, share: Share) -> Path:
    return workdir / f"{NAME}.{share.index}-of-{share.count}"


def _take(file: IO[str], workdir: Path, share: Share = ALL) -> None:
    """Get a lock for oneself and say whose it is."""
    _acquire(file, workdir, share)
    _sign(file, share)


def _join(file: IO[str], workdir: Path, share: Share) -> None:
    """Get the workdir's lock together with the other shares'."""
    try:
        _lock(file, "LOCK_EX", "LOCK_NB")  # nobody is there: the first says how many shares
        _sign(file, share)
    except BlockingIOError:
        pass
    deadline = time.monotonic() + PATIENCE_SECONDS
    while True:
        try:
            _lock(file, "LOCK_SH", "LOCK_NB")
            break
        except BlockingIOError:
            if time.monotonic() > deadline:
                raise UserError(_in_use(workdir, ALL)) from None
            time.sleep(0.05)
    there = _shares(workdir)
    if there != share.count:
        raise UserError(
            f"{workdir} is shared out {there} ways by {holder(workdir)} and others; give "
            f"--share=I/{there}, or wait for them"
        )


def _sign(file: IO[str], share: Share) -> None:
    file.truncate(0)
    since = time.strftime("%Y-%m-%d %H:%M:%S")
    who = {"pid": os.getpid(), "host": socket.gethostname(), "since": since}
    file.write(json.dumps({**who, "shares": share.count}))
    file.flush()


def _shares(workdir: Path) -> int:
    try:
        return int(json.loads((workdir / NAME).read_text())["shares"])
    except (OSError, ValueError, KeyError, TypeError):
        return 1


def _acquire(file: IO[str], workdir: Path, share: Share = ALL) -> None:
    try:
        _lock(file, "LOCK_EX", "LOCK_NB")
    except BlockingIOError:
        raise UserError(_in_use(workdir, share)) from None


def _in_use(workdir: Path, share: Share) -> str:
    what = f"{workdir}" if share.count == 1 else f"share {share} of {workdir}"
    return (
        f"{what} is in use by {holder(workdir, share)}; wait for it, stop it, or give another "
        "--workdir"
    )


def _lock(file: IO[str], *flags: str) -> None:
    """flock; a BlockingIOError is for the caller."""
    if fcntl is None:
        return
    operation = 0
    for flag in flags:
        operation |= getattr(fcntl, flag)
    try:
        fcntl.flock(file, operation)
    except BlockingIOError:
        raise
    except OSError:  # a network file system without locks: as before there were any
        return
