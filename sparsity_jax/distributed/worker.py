"""Worker: a process that carries out orders, for another process of this machine.

It reads orders from its standard input and answers with events, lines of JSON on its standard
output. When its input ends before it was told to end, whoever gave orders is dead: it keeps
checkpoints and ends.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import pickle
import queue
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from typing import IO, Any

from sparsity_jax.distributed import preemption
from sparsity_jax.errors import UserError

END = "end"
Order = tuple[str, ...] | int | str  # what to do; the signal to stop for; END
Tell = Callable[[str, Any], None]  # a kind of event and its content
Work = Callable[[Any, Iterator[tuple[str, ...]], Tell], None]


def serve(work: Work) -> int:
    """Carry out orders until told to end or to stop; returns the exit code of a command line.

    What `work` prints becomes events of the kind 'said'.

    Args:
      work: called with the first order, which says what the work is, an iterator of the orders
        that follow, and a function that tells an event.
    """
    events = os.dup(1)
    os.dup2(2, 1)  # what libraries print is not an event

    def tell(kind: str, content: Any) -> None:
        with contextlib.suppress(OSError):  # nobody listens: the orders have ended as well
            os.write(events, f"{json.dumps({kind: content})}\n".encode())

    said = _Said(tell)
    with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
        return _code(work, tell)


def _code(work: Work, tell: Tell) -> int:
    try:
        with preemption.raising():
            first = pickle.load(sys.stdin.buffer)
            work(first, _listen(sys.stdin.buffer), tell)
    except UserError as error:
        tell("said", f"error: {error}")
        return error.exit_code
    except OSError as error:  # the disk, not the code
        tell("said", f"error: {error.filename or 'a file'}: {error.strerror or error}")
        return UserError.exit_code
    except KeyboardInterrupt as error:
        return preemption.exit_code(error)
    return 0


def _listen(orders: IO[bytes]) -> Iterator[tuple[str, ...]]:
    """Begin to listen; returns what to do. The signal to stop for comes as if sent from outside."""
    todo: queue.SimpleQueue[tuple[str, ...] | None] = queue.SimpleQueue()

    def listen() -> None:
        while True:
            try:
                order: Order = pickle.load(orders)
            except (EOFError, OSError, pickle.UnpicklingError):
                order = signal.SIGTERM
            if isinstance(order, int):
                os.kill(os.getpid(), order)
                return
            todo.put(None if order == END else tuple(order))
            if order == END:
                return

    threading.Thread(target=listen, daemon=True).start()
    return iter(todo.get, None)


class _Said(io.TextIOBase):
    """Standard output whose lines are told."""

    def __init__(self, tell: Tell) -> None:
        self._tell, self._begun = tell, ""

    def write(self, text: str) -> int:
        """Tell the lines that this completes."""
        *lines, self._begun = (self._begun + text).split("\n")
        for line in lines:
            self._tell("said", line)
        return len(text)
