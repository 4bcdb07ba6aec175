"""Orderly stop of a run that is asked to: after the compiled call, with a checkpoint committed.

SIGTERM (preemption, a scheduler's time limit) and SIGINT (Ctrl-C) raise `Interrupted` at once where
nothing would be lost, and are deferred where a state would be: the training loop defers them and
looks from time to time. A second SIGINT is never deferred: it ends the process at once, and the
next start goes on from the last committed checkpoint.
"""

from __future__ import annotations

import contextlib
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from types import FrameType

_SIGNALS = (signal.SIGTERM, signal.SIGINT)
_Handler = Callable[[int, FrameType | None], None]


class Interrupted(KeyboardInterrupt):
    """The process was asked to stop, by the signal `signum`."""

    def __init__(self, signum: int) -> None:
        super().__init__(signal.Signals(signum).name)
        self.signum = signum


def exit_code(error: KeyboardInterrupt) -> int:
    """Return the code a shell expects: 143 after SIGTERM, 130 after SIGINT.

    Example:
      >>> exit_code(Interrupted(signal.SIGTERM)), exit_code(KeyboardInterrupt())
      (143, 130)
    """
    return 128 + int(getattr(error, "signum", signal.SIGINT))


@contextlib.contextmanager
def raising() -> Iterator[None]:
    """Let either signal raise `Interrupted` while this lasts: for the whole of a command."""

    def stop(signum: int, _: FrameType | None) -> None:
        raise Interrupted(signum)

    with _handled(stop):
        yield


@contextlib.contextmanager
def deferring() -> Iterator[Callable[[], int | None]]:
    """Let either signal only be noted while this lasts.

    Yields:
      A function that tells which signal has come, or None. Its caller commits what it has and
      raises `Interrupted`.

    Example:
      >>> with deferring() as asked:
      ...     print(asked())
      None
    """
    noted: list[int] = []

    def note(signum: int, _: FrameType | None) -> None:
        noted.append(signum)
        # The default action needs no interpreter, so it also ends a compilation of minutes.
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        name = signal.Signals(signum).name
        print(f"\n{name}: keeping a checkpoint; Ctrl-C stops at once", file=sys.stderr, flush=True)

    with _handled(note):
        yield lambda: noted[0] if noted else None


@contextlib.contextmanager
def noting(before_kill: Callable[[], object] | None = None) -> Iterator[list[int]]:
    """Let either signal only be noted while a process waits for those that it started.

    They are asked to stop, or got the signal themselves, and keep their own checkpoints.

    Args:
      before_kill: where it is given, a second SIGINT calls it and ends this process at once.

    Yields:
      The signals that have come, a list that grows.

    Example:
      >>> with noting() as asked:
      ...     signal.raise_signal(signal.SIGTERM)
      ...     print(asked == [signal.SIGTERM])
      True
    """
    asked: list[int] = []

    def note(signum: int, _: FrameType | None) -> None:
        if before_kill and asked and signum == signal.SIGINT:
            before_kill()
            signal.signal(signum, signal.SIG_DFL)
            signal.raise_signal(signum)
        asked.append(signum)

    with _handled(note):
        yield asked


@contextlib.contextmanager
def _handled(handler: _Handler) -> Iterator[None]:
    if threading.current_thread() is not threading.main_thread():
        yield  # only the main thread may handle signals
        return
    before = {signum: signal.signal(signum, handler) for signum in _SIGNALS}
    try:
        yield
    finally:
        for signum, former in before.items():
            signal.signal(signum, signal.SIG_DFL if former is None else former)
