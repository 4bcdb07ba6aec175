"""Shares as processes of this machine, some at once.

Not by submitit: its local executor starts all jobs at once and does not retry one that crashes.
"""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from sparsity_jax.launch import child
from sparsity_jax.launch.retrying import STOPPED, Ended, finish

_CORES_PER_SHARE = 4
_MOMENT_SECONDS = 0.1
_ACCELERATORS = ("nvidia[0-9]*", "accel[0-9]*", "vfio/[0-9]*", "kfd")  # under /dev


@dataclass(frozen=True)
class Local:
    """Processes of this machine.

    Args:
        logs: the folder for their output.
        at_once: how many run at the same time.
    """

    logs: Path
    at_once: int

    def submit(self, command: Sequence[str], shares: int, retries: int) -> list[int]:
        """See `retrying.Backend`; shares that were stopped stay so.

        Example:
            >>> Local(Path("logs"), at_once=2).submit(["true"], shares=1, retries=0)
            share 0 of 1: started, output in logs/share-0-of-1.log
            share 0 of 1: finished
            [0]
        """
        return finish(_Processes(self, command, shares), shares, retries, final=STOPPED)


def usual_at_once() -> int:
    """One per four cores; one alone where an accelerator is, of which JAX takes all."""
    # JAX itself is not asked: it would keep the accelerator.
    on_cpu = os.environ.get("JAX_PLATFORMS") == "cpu"
    if not on_cpu and any(any(Path("/dev").glob(name)) for name in _ACCELERATORS):
        return 1
    return max(1, (os.cpu_count() or 1) // _CORES_PER_SHARE)


@dataclass
class _Processes:
    of: Local
    command: Sequence[str]
    shares: int
    running: dict[int, subprocess.Popen[bytes]] = field(default_factory=dict)

    @property
    def room(self) -> int:
        """See `retrying.Pool.room`."""
        return self.of.at_once

    def start(self, share: int) -> str:
        """See `retrying.Pool.start`."""
        line = child.share_command(self.command, share, self.shares)
        log = child.log_path(self.of.logs, share, self.shares)
        # Should this process be killed, its shares keep a checkpoint and end.
        self.running[share] = child.start(line, log, when_orphaned=signal.SIGTERM)
        return f"output in {log}"

    def poll(self) -> Ended | None:
        """See `retrying.Pool.poll`."""
        for share, process in self.running.items():
            code = process.poll()
            if code is not None:
                del self.running[share]
                log = child.log_path(self.of.logs, share, self.shares)
                return Ended(share, code, child.last_line(log))
        time.sleep(_MOMENT_SECONDS)
        return None

    def stop(self, signum: int) -> None:
        """See `retrying.Pool.stop`."""
        for process in self.running.values():
            process.send_signal(signum)
