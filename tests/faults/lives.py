"""One life of the command, and what may befall it: how is it started, watched and ended?

Lives are forked after the imports and before JAX starts, which spares most of their time: whoever
starts them must not have used JAX. Their programs come from a compilation cache that they share.
"""

import contextlib
import functools
import os
import resource
import signal
import socket
import sys
import time
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Protocol

import jax
import tiny
from jax._src import compiler, distributed

from sparsity_jax import main, report
from sparsity_jax.distributed import processes

HEARTBEAT_SECONDS = 10  # instead of 30, after which a process notices that another has died
MEETING_SECONDS = 30  # instead of 300, after which it no longer waits for one that never came


class Child:
    """A forked process."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self._code: int | None = None

    def poll(self) -> int | None:
        """Its exit code, minus the signal that ended it; None while it lives."""
        if self._code is None:
            ended, status = os.waitpid(self.pid, os.WNOHANG)
            self._code = os.waitstatus_to_exitcode(status) if ended else None
        return self._code

    def kill(self) -> None:
        """SIGKILL, unless it has ended."""
        if self.poll() is None:
            os.kill(self.pid, signal.SIGKILL)

    def wait(self, seconds: float = 600.0) -> int | None:
        """Its exit code; None if it still lives after so many seconds."""
        deadline = time.monotonic() + seconds
        while self.poll() is None and time.monotonic() < deadline:
            time.sleep(0.02)
        return self.poll()


def start(
    workdir: Path,
    *flags: str,
    config: str = tiny.__file__,
    drawn: bool = False,
    checkpoint_seconds: float = 0.0,
    log: Path | None = None,
    prepare: Callable[[], object] = lambda: None,
) -> Child:
    """Begin a life of an experiment.

    Args:
      workdir: where its results go.
      flags: further ones of the command.
      config: which, as the flag has it; by default the tiny one.
      drawn: whether the report is drawn; otherwise it is an empty page.
      checkpoint_seconds: between checkpoints; by default they are saved at every look.
      log: what it says is appended there; by default to WORKDIR.log.
      prepare: called in the new process first.
    """
    arguments = [
        f"--config={config}", f"--workdir={workdir}",
        f"--config.checkpoint_seconds={checkpoint_seconds}", *flags,
    ]  # fmt: skip
    child = os.fork()
    if child == 0:
        with contextlib.suppress(BaseException):
            os._exit(_command(arguments, log or log_of(workdir), drawn=drawn, prepare=prepare))
        os._exit(99)
    return Child(child)


def start_together(
    workdir: Path, *flags: str, count: int, joined: bool = True, **rest: Any
) -> list[Child]:
    """Begin the lives of as many processes; one alone needs no coordinator.

    Args:
      workdir: where their results go.
      flags: of each.
      count: how many.
      joined: whether they work together, or are shares that do not know of each other.
      rest: as `start` takes it.
    """
    if count == 1:
        return [start(workdir, *flags, **rest)]
    if not joined:
        return [start(workdir, *flags, f"--share={i}/{count}", **rest) for i in range(count)]
    with socket.socket() as free:
        free.bind(("localhost", 0))
        at = f"--coordinator=localhost:{free.getsockname()[1]}"
    return [start(workdir, *flags, at, f"--process={i}/{count}", **rest) for i in range(count)]


def log_of(workdir: Path) -> Path:
    """Where all lives in a workdir say what they say."""
    return workdir.with_name(f"{workdir.name}.log")


def _command(
    arguments: Sequence[str], log: Path, *, drawn: bool, prepare: Callable[[], object]
) -> int:
    with log.open("ab", buffering=0) as said:
        os.dup2(said.fileno(), 1)
        os.dup2(said.fileno(), 2)
    sys.argv = ["main", *arguments]
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    processes.HEARTBEAT_SECONDS = HEARTBEAT_SECONDS
    jax.distributed.initialize = functools.partial(
        jax.distributed.initialize, initialization_timeout=MEETING_SECONDS
    )
    if not drawn:
        report.build = lambda workdir: (workdir / "report.html").write_text("")
    try:
        _let_every_process_remember()
        prepare()
        code = main.main()
        if jax.distributed.is_initialized():
            jax.distributed.shutdown()  # as at any exit but os._exit
        return code
    except BaseException:
        traceback.print_exc()
        return 98
    finally:
        sys.stdout.flush()


def _let_every_process_remember() -> None:
    """JAX writes compiled programs of process 0 only; others would compile anew in every life."""
    write = compiler._cache_write

    def as_the_first(*arguments: Any) -> None:
        state = distributed.global_state
        own, state.process_id = state.process_id, 0
        try:
            write(*arguments)
        finally:
            state.process_id = own

    compiler._cache_write = as_the_first


class Fate(Protocol):
    """When something happens to a life."""

    def due(self) -> bool:
        """Whether now is the instant."""
        ...


class AtTime:
    """Due after so many seconds."""

    def __init__(self, seconds: float) -> None:
        self._at = time.monotonic() + seconds

    def due(self) -> bool:
        """Whether they have passed."""
        return time.monotonic() >= self._at


class WhileSaving:
    """Due a moment after as many checkpoints have begun to be written."""

    def __init__(self, workdir: Path, *, saves: int, delay: float) -> None:
        self._workdir, self._left, self._delay = workdir, saves, delay
        self._seen = unfinished_saves(workdir)

    def due(self) -> bool:
        """Whether so many have appeared; waits for the delay."""
        there = unfinished_saves(self._workdir)
        self._left -= len(there - self._seen)
        self._seen |= there
        if self._left > 0:
            return False
        time.sleep(self._delay)
        return True


class WhileReporting:
    """Due a while after results.csv has all rows and as long as there is no report."""

    def __init__(self, workdir: Path, *, rows: int, delay: float) -> None:
        self._workdir, self._rows, self._delay = workdir, rows, delay
        self._since: float | None = None

    def due(self) -> bool:
        """Whether the report has been missing for so long."""
        if not is_reporting(self._workdir, self._rows):
            return False
        self._since = self._since or time.monotonic()
        return time.monotonic() - self._since >= self._delay


def is_reporting(workdir: Path, rows: int) -> bool:
    """Whether all runs are in results.csv and the report is not there yet."""
    with contextlib.suppress(FileNotFoundError):
        text = (workdir / "results.csv").read_text()
        return text.count("\n") == rows + 1 and not (workdir / "report.html").exists()
    return False


def unfinished_saves(workdir: Path) -> set[Path]:
    """Checkpoints that were begun and not committed."""
    return set(workdir.glob("runs/*/checkpoints/*tmp*"))
