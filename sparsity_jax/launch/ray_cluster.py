"""Shares as tasks of a Ray cluster, moved elsewhere when their node is lost.

Ray is optional and imported only here, when it is asked for. The workdir must be at the same path
on every node, and so must the caller's working directory and this Python.
"""

from __future__ import annotations

import importlib
import os
import signal
import socket
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sparsity_jax.errors import UserError
from sparsity_jax.launch import child
from sparsity_jax.launch.retrying import WRONG_INPUT, Ended, finish

_MOMENT_SECONDS = 0.5
_LOOK_SECONDS = 0.2
_IN_USE = "is in use by"  # a process of the same share, on a node believed lost, is still ending
_PATIENCE_SECONDS = 600.0  # for the lock of a node that is gone, on a network file system
_SECONDS_TO_STOP = 120.0
_CONNECT_SECONDS = 15.0
LOST = 128 + signal.SIGKILL  # the code of a share whose nodes were lost too often


@dataclass(frozen=True)
class RayCluster:
    """Tasks of Ray, one per share, each in a worker process of its own.

    Args:
        logs: the folder for their output.
        address: of a cluster; by default RAY_ADDRESS, or a new Ray on this machine.
        cpus: that Ray sets aside for a share.
        gpus: that Ray sets aside for a share; it sees no others.
    """

    logs: Path
    address: str | None = None
    cpus: float = 1
    gpus: float = 0

    def submit(self, command: Sequence[str], shares: int, retries: int) -> list[int]:
        """See `retrying.Backend`; shares that were stopped run again: their node was preempted.

        Raises:
            UserError: Ray is not installed, or the cluster cannot be reached.
        """
        ray = _import_ray()
        ours = not ray.is_initialized()
        if ours:
            _connect(ray, self.address)
        try:
            tasks = _Tasks(ray, self, command, shares, retries)
            return finish(tasks, shares, retries, final=(LOST,))
        finally:
            if ours:
                ray.shutdown()


def run_share(line: Sequence[str], log: Path, folder: str) -> tuple[int, str]:
    """Run one share's command to its end; the body of a task.

    Args:
        line: the command.
        log: where its output goes.
        folder: the working directory.

    Returns:
        Its exit code, and the last line of its output.
    """
    until = time.monotonic() + _PATIENCE_SECONDS
    while True:
        # Killed at once when this worker dies, or the lost task's next try would find it at work.
        process = child.start(line, log, when_orphaned=signal.SIGKILL, folder=folder)
        try:
            code = _code(process)
        except KeyboardInterrupt:  # the task was cancelled
            return _stopped(process), "cancelled"
        said = child.last_line(log)
        if code != WRONG_INPUT or _IN_USE not in said or time.monotonic() > until:
            return code, said
        time.sleep(1.0)


def _code(process: subprocess.Popen[bytes]) -> int:
    """Wait for the end of a process; a cancelled task learns of it only between two looks."""
    while (code := process.poll()) is None:
        time.sleep(_LOOK_SECONDS)
    return code


def _stopped(process: subprocess.Popen[bytes]) -> int:
    process.terminate()
    try:
        return process.wait(_SECONDS_TO_STOP)
    except subprocess.TimeoutExpired:
        process.kill()
        return process.wait()


@dataclass
class _Tasks:
    ray: Any
    of: RayCluster
    command: Sequence[str]
    shares: int
    retries: int
    running: dict[Any, int] = field(default_factory=dict)

    @property
    def room(self) -> int:
        """See `retrying.Pool.room`."""
        return self.shares  # Ray queues those for which there is no room

    def start(self, share: int) -> str:
        """See `retrying.Pool.start`."""
        task = self.ray.remote(
            num_cpus=self.of.cpus,
            num_gpus=self.of.gpus,
            max_calls=1,  # a fresh process, so that the accelerator is given back
            max_retries=self.retries,  # after a worker or its node is lost
        )(run_share)
        line = child.share_command(self.command, share, self.shares)
        log = child.log_path(self.of.logs.absolute(), share, self.shares)
        name = f"share-{share}-of-{self.shares}"
        self.running[task.options(name=name).remote(line, log, os.getcwd())] = share
        return f"output in {log}"

    def poll(self) -> Ended | None:
        """See `retrying.Pool.poll`."""
        ready, _ = self.ray.wait(list(self.running), num_returns=1, timeout=_MOMENT_SECONDS)
        if not ready:
            return None
        share = self.running.pop(ready[0])
        try:
            return Ended(share, *self.ray.get(ready[0]))
        except self.ray.exceptions.TaskCancelledError:
            return Ended(share, 128 + signal.SIGTERM, "cancelled")
        except self.ray.exceptions.RayError as error:
            cause = getattr(error, "cause", None) or error
            first = next((each.strip() for each in str(cause).splitlines() if each.strip()), "")
            return Ended(share, LOST, f"{type(cause).__name__}: {first}")

    def stop(self, signum: int) -> None:
        """See `retrying.Pool.stop`."""
        del signum  # Ray knows only one way to ask; the share then gets SIGTERM
        for reference in self.running:
            self.ray.cancel(reference)


def _import_ray() -> Any:
    try:
        return importlib.import_module("ray")
    except ImportError:
        raise UserError("ray is not installed; pip install 'sparsity_jax[ray]'") from None


def _connect(ray: Any, address: str | None) -> None:
    host, colon, port = (address or "").rpartition(":")
    try:
        if colon and port.isdigit() and "/" not in host:  # or Ray would try for many minutes
            socket.create_connection((host, int(port)), _CONNECT_SECONDS).close()
        ray.init(address=address, log_to_driver=False, include_dashboard=False)
    except (OSError, ValueError, RuntimeError) as error:
        first = next(iter(str(error).splitlines()), type(error).__name__)
        raise UserError(f"no Ray at --address={address}: {first}") from None
