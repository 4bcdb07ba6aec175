"""Workers of this machine, as the process that gives them orders sees them."""

from __future__ import annotations

import contextlib
import os
import pickle
import signal
import subprocess
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import IO

import sparsity_jax
from sparsity_jax.errors import UserError


class UnfinishedError(UserError):
    """Work that is not finished because workers ended early.

    Args:
      message: what.
      codes: exit codes of those workers.
    """

    def __init__(self, message: str, codes: Collection[int]) -> None:
        super().__init__(message)
        self.exit_code = UserError.exit_code if UserError.exit_code in codes else 1


class Worker:
    """A process that carries out orders: see `distributed.worker.serve`.

    Args:
      command: what it runs.
      first: its first order.
      held: file descriptors that it inherits.

    Attributes:
      process: it.
      ready: whether it has begun.
      ended: whether somebody has seen that it has ended.
    """

    def __init__(self, command: Sequence[str], first: object, held: tuple[int, ...]) -> None:
        root = str(Path(sparsity_jax.__file__).parents[1])
        path = os.pathsep.join(filter(None, [root, os.environ.get("PYTHONPATH")]))
        self.process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": path},
            pass_fds=held,
            start_new_session=True,  # Ctrl-C reaches this process, which hands it on
        )
        self.ready = self.ended = False
        self._begun: dict[IO[bytes], bytes] = {}
        self.order(first)

    @property
    def events(self) -> IO[bytes]:
        """The pipe of its events."""
        assert self.process.stdout is not None
        return self.process.stdout

    @property
    def text(self) -> IO[bytes]:
        """The pipe of what libraries print in it."""
        assert self.process.stderr is not None
        return self.process.stderr

    def order(self, order: object) -> None:
        """Send an order; that a worker has died is noticed elsewhere."""
        assert self.process.stdin is not None
        with contextlib.suppress(OSError):
            pickle.dump(order, self.process.stdin)
            self.process.stdin.flush()

    def lines(self, pipe: IO[bytes]) -> list[str] | None:
        """Read the lines that have come; None at the end."""
        got = os.read(pipe.fileno(), 1 << 16)
        *lines, self._begun[pipe] = (self._begun.get(pipe, b"") + got).split(b"\n")
        return [line.decode(errors="replace") for line in lines] if got else None

    def close(self) -> None:
        """Close its pipes, upon which it stops, and wait until it has ended."""
        for pipe in (self.process.stdin, self.process.stdout, self.process.stderr):
            assert pipe is not None
            with contextlib.suppress(OSError):
                pipe.close()
        self.process.wait()


def meaning(code: int) -> str:
    """Say an exit code in words.

    Example:
      >>> meaning(-9), meaning(2)
      ('was killed by SIGKILL', 'ended with exit code 2')
    """
    if code < 0:
        with contextlib.suppress(ValueError):
            return f"was killed by {signal.Signals(-code).name}"
    return f"ended with exit code {code}"
