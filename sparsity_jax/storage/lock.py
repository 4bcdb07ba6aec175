"""Workdir lock: one process writes into a workdir at a time, or several that share it.

The processes that share a workdir count as one: each holds its shard's own lock, and all of them
together hold the workdir. A lock belongs to an open file, so the kernel gives it back when its
holder dies, however it dies. When a whole machine dies, the server of a network file system gives
its locks back only after a while, so a lock held from another machine is waited for. A process that
has others train for it lends them its lock, which is held until the last of them has ended; so a
lock whose owner on this machine is dead is waited for as well. What stands in the file: who, where,
since when, and the number of shards.

By hand, since filelock's kernel lock is exclusive only, and its shared ones are SQLite files or
heartbeats, which a stopped process loses.
"""

from __future__ import annotations

import contextlib
import functools
import json
import os
import socket
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, NamedTuple

from sparsity_jax.distributed.shards import WHOLE, Shard
from sparsity_jax.errors import UserError

try:
    import fcntl
except ImportError:  # not a POSIX system
    fcntl = None

NAME = ".lock"
PATIENCE_SECONDS = 5.0  # for the moment in which another shard looks whether it is the first
LEASE_SECONDS = 150.0  # NFSv4 gives back a dead machine's locks after 90 seconds, as usually set up


class Held(NamedTuple):
    """A lock that is held.

    Attributes:
      check_still_there: raises UserError once the workdir is no longer the one that is held: moved
        away or removed, and perhaps made anew by whoever wrote into it next.
      files: its file descriptors; a child process that inherits them holds it too.
    """

    check_still_there: Callable[[], None]
    files: tuple[int, ...] = ()


NOTHING = Held(lambda: None)


@contextlib.contextmanager
def hold(workdir: Path, shard: Shard = WHOLE) -> Iterator[Held]:
    """Hold the workdir, or a shard of it; it is made when missing.

    Where a process on another machine holds it, or helpers of one that died here, waits for a
    while: they may be about to end.

    Yields:
      The lock.

    Args:
      workdir: the folder.
      shard: which part; `WHOLE` for all of it.

    Raises:
      UserError: another process holds it, and which; or it is shared by another number.

    Example:
      >>> with hold(Path('runs/quickstart')) as held:  # doctest: +SKIP
      ...     held.check_still_there()
    """
    workdir.mkdir(parents=True, exist_ok=True)
    with contextlib.ExitStack() as opened:
        whole = opened.enter_context((workdir / NAME).open("a+"))
        files = [whole]
        if shard.count == 1:
            _take(whole, workdir)
        else:
            _join(whole, workdir, shard)
            files.append(opened.enter_context(_file(workdir, shard).open("a+")))
            _take(files[1], workdir, shard)
        # Closing a file gives its lock back; the file stays, or two could hold two.
        check = functools.partial(_check_still_there, whole, workdir)
        yield Held(check, tuple(file.fileno() for file in files))


@contextlib.contextmanager
def publishing(workdir: Path) -> Iterator[None]:
    """Hold what all shards write, such as results.csv; wait for the process that holds it."""
    with (workdir / f"{NAME}.views").open("a+") as file:
        _lock(file, "LOCK_EX")
        yield


def refuse_if_held(workdir: Path, shard: Shard = WHOLE) -> None:
    """Fail early where `hold` would fail later without waiting; changes nothing.

    Raises:
      UserError: another process here holds the workdir, or this shard, and which.
    """
    if is_held(workdir, shard) and not _owner_may_be_gone(workdir, shard):
        raise UserError(_in_use(workdir, shard))


def holder(workdir: Path, shard: Shard = WHOLE) -> str:
    """Name the process that holds the workdir or held it last: 'process 12 on HOST since ...'."""
    try:
        raw = json.loads(_file(workdir, shard).read_text())
        return f"process {raw['pid']} on {raw['host']} since {raw['since']}"
    except (OSError, ValueError, KeyError, TypeError):
        return "another process"


def is_held(workdir: Path, shard: Shard = WHOLE) -> bool:
    """Whether a living process holds the workdir (or a part of it), or this shard of it."""
    try:
        with _file(workdir, shard).open() as file:
            _lock(file, "LOCK_EX", "LOCK_NB")
    except (FileNotFoundError, NotADirectoryError):
        return False
    except BlockingIOError:
        return True
    return False


def _file(workdir: Path, shard: Shard) -> Path:
    """The workdir's lock, or that of a shard."""
    own = "" if shard.count == 1 else f".{shard.index}-of-{shard.count}"
    return workdir / f"{NAME}{own}"


def _owner_may_be_gone(workdir: Path, shard: Shard) -> bool:
    """Whether the holder, or the last one, is on another machine, or has died on this one."""
    try:
        owner = json.loads(_file(workdir, shard).read_text())
        if owner["host"] != socket.gethostname():
            return True
        os.kill(int(owner["pid"]), 0)  # sends nothing
    except ProcessLookupError:
        return True
    except (OSError, ValueError, KeyError, TypeError):
        pass
    return False


def _check_still_there(held: IO[str], workdir: Path) -> None:
    with contextlib.suppress(FileNotFoundError, NotADirectoryError):
        if os.path.samestat((workdir / NAME).stat(), os.fstat(held.fileno())):
            return
    raise UserError(f"{workdir} has vanished during the run; nothing more is kept")


def _take(file: IO[str], workdir: Path, shard: Shard = WHOLE) -> None:
    """Get a lock for oneself and say whose it is."""
    _acquire(file, workdir, shard)
    _sign(file, shard)


def _join(file: IO[str], workdir: Path, shard: Shard) -> None:
    """Get the workdir's lock together with the other shards."""
    try:
        _lock(file, "LOCK_EX", "LOCK_NB")  # nobody is there: the first says how many shards
        _sign(file, shard)
    except BlockingIOError:
        pass
    deadline = time.monotonic() + PATIENCE_SECONDS
    while True:
        try:
            _lock(file, "LOCK_SH", "LOCK_NB")
            break
        except BlockingIOError:
            if time.monotonic() > deadline:
                raise UserError(_in_use(workdir, WHOLE)) from None
            time.sleep(0.05)
    there = _shares(workdir)
    if there != shard.count:
        raise UserError(
            f"{workdir} is shared out {there} ways by {holder(workdir)} and others; give "
            f"--share=I/{there}, or wait for them"
        )


def _sign(file: IO[str], shard: Shard) -> None:
    file.truncate(0)
    since = time.strftime("%Y-%m-%d %H:%M:%S")
    who = {"pid": os.getpid(), "host": socket.gethostname(), "since": since}
    file.write(json.dumps({**who, "shares": shard.count}))
    file.flush()


def _shares(workdir: Path) -> int:
    try:
        return int(json.loads((workdir / NAME).read_text())["shares"])
    except (OSError, ValueError, KeyError, TypeError):
        return 1


def _acquire(file: IO[str], workdir: Path, shard: Shard = WHOLE) -> None:
    deadline, said = time.monotonic() + LEASE_SECONDS, False
    while True:
        try:
            return _lock(file, "LOCK_EX", "LOCK_NB")
        except BlockingIOError:
            if time.monotonic() > deadline or not _owner_may_be_gone(workdir, shard):
                raise UserError(_in_use(workdir, shard)) from None
        if not said:
            said = True
            waits = f"waiting up to {LEASE_SECONDS:.0f} s in case it is gone"
            print(f"{workdir} is held by {holder(workdir, shard)}; {waits}", file=sys.stderr)
        time.sleep(0.2)


def _in_use(workdir: Path, shard: Shard) -> str:
    what = f"{workdir}" if shard.count == 1 else f"share {shard} of {workdir}"
    return (
        f"{what} is in use by {holder(workdir, shard)}; wait for it, stop it, or give another "
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
