"""Processes that work together: who this one is, and how they stop together.

One process runs on every host; `jax.distributed` introduces them and ends all of them when one dies
(its heartbeats stop). They share one workdir, as on any cluster. A joined process is a shard of the
groups whose index and count come from `jax.distributed`. What a signal or an error does to one of
them the others learn from a notice in the workdir: a small file, seen at their next look.

JAX's own preemption sync point is not used: it wants every process to pass the same steps (shards
train different runs), knows SIGTERM only (not SIGINT, nor a failure), and its handler would replace
ours, which also stops a process that is not training.
"""

from __future__ import annotations

import contextlib
import contextvars
import importlib.util
import json
import os
import secrets
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

import jax
import numpy as np
from jax.experimental import multihost_utils

from sparsity_jax.distributed.preemption import Interrupted
from sparsity_jax.distributed.shards import Shard
from sparsity_jax.errors import UserError

HEARTBEAT_SECONDS = 30  # without a sign of life from one process, after which all others end


class ProcessInfo(NamedTuple):
    """One process of `count` that work together; `token` tells this start from earlier ones."""

    index: int = 0
    count: int = 1
    token: str = ""

    @property
    def is_primary(self) -> bool:
        """Whether it is the one that writes what is written once."""
        return self.index == 0

    def wait(self, what: str) -> None:
        """Wait until every process is here."""
        if self.count > 1:
            multihost_utils.sync_global_devices(what)


SINGLE_PROCESS = ProcessInfo()
_this_process = SINGLE_PROCESS  # set once, by `initialize`, as jax.distributed's own state is


def this_process() -> ProcessInfo:
    """This process, as `initialize` has joined it to others.

    Example:
      >>> this_process()
      ProcessInfo(index=0, count=1, token='')
    """
    return _this_process


def initialize(coordinator: str | None = None, process: Shard | None = None) -> Shard:
    """Meet the other processes, if there are any; call it before anything else of JAX.

    Args:
      coordinator: HOST:PORT of process 0, for those who start processes by hand.
      process: which process of how many this is; goes with `coordinator`.

    Returns:
      The shard that this process is; `WHOLE` unless both are given, or the environment is that of a
      job of several processes: a SLURM step of several tasks, a TPU slice, JAX_COORDINATOR_ADDRESS
      on Kubernetes.

    Raises:
      UserError: the processes could not meet.

    Example:
      >>> initialize()
      Shard(index=0, count=1)
    """
    global _this_process
    if (coordinator is None) != (process is None):
        raise UserError("--coordinator=HOST:PORT and --process=I/N go together; give both")
    if coordinator is not None or announced(os.environ):
        _meet(coordinator, process)
        if jax.process_count() > 1:
            _this_process = ProcessInfo(jax.process_index(), jax.process_count(), _token())
    return Shard(_this_process.index, _this_process.count)


def _meet(coordinator: str | None, process: Shard | None) -> None:
    jax.config.update("jax_enable_preemption_service", False)  # see above
    try:
        jax.distributed.initialize(
            coordinator,
            process.count if process else None,
            process.index if process else None,
            heartbeat_timeout_seconds=HEARTBEAT_SECONDS,
        )
    except (RuntimeError, ValueError, OSError) as error:
        first = next(iter(str(error).splitlines()), type(error).__name__)
        raise UserError(f"the processes could not meet: {first}") from None


def _token() -> str:
    """Eight random bytes that all processes of this start agree on, in hexadecimal."""
    drawn = np.frombuffer(secrets.token_bytes(8), np.uint8)
    agreed = np.asarray(multihost_utils.broadcast_one_to_all(drawn)).astype(np.uint8)
    return agreed.tobytes().hex()


def announced(environment: Mapping[str, str]) -> bool:
    """Whether an environment is that of a job of several processes, as JAX would find them.

    Example:
      >>> announced({"SLURM_STEP_NODELIST": "n[1-2]", "SLURM_NTASKS": "2", "SLURM_PROCID": "0"})
      True
    """
    if environment.get("JAX_COORDINATOR_ADDRESS"):
        return True
    if environment.get("SLURM_STEP_NODELIST") and "SLURM_PROCID" in environment:
        return int(environment.get("SLURM_NTASKS", "1")) > 1
    if "TPU_WORKER_HOSTNAMES" in environment:
        return "," in environment["TPU_WORKER_HOSTNAMES"]
    on_tpu_vm = any(Path(path).exists() for path in ("/dev/accel0", "/dev/vfio/0"))
    return on_tpu_vm and importlib.util.find_spec("libtpu") is not None


StopSignal = Callable[[], BaseException | None]
_stop_elsewhere: contextvars.ContextVar[StopSignal] = contextvars.ContextVar("stop_elsewhere")


def stop_elsewhere() -> BaseException | None:
    """Return what has ended another process of this start, as the exception to raise here, or None.

    Its caller keeps what it has before it raises. Outside of `stopping_together`: None.
    """
    signal = _stop_elsewhere.get(None)
    return None if signal is None else signal()


@contextlib.contextmanager
def stopping_together(process: ProcessInfo, workdir: Path) -> Iterator[StopSignal]:
    """Tell the others what ends one process; while this lasts, `stop_elsewhere` hears of them.

    Args:
      process: this one.
      workdir: where the notices lie.

    Yields:
      What `stop_elsewhere` calls.

    Example:
      >>> with stopping_together(SINGLE_PROCESS, Path()) as signal:
      ...     print(signal(), stop_elsewhere())
      None None
    """
    notice = workdir / f".stop-{process.token}"

    def signal() -> BaseException | None:
        return _read(notice) if process.count > 1 else None

    token = _stop_elsewhere.set(signal)
    try:
        with _explained(process):
            yield signal
    except BaseException as error:
        if process.count > 1 and workdir.is_dir():
            _write(notice, process, error)
        raise
    finally:
        _stop_elsewhere.reset(token)


@contextlib.contextmanager
def _explained(process: ProcessInfo) -> Iterator[None]:
    """Say in one line what JAX raises when a process is lost in the middle of a sum over all."""
    try:
        yield
    except jax.errors.JaxRuntimeError as error:
        if process.count == 1:
            raise
        said = str(error).rpartition("Error dispatching computation: ")[2].splitlines()[0]
        raise UserError(
            f"process {process.index} of {process.count} cannot go on ({said[:200]}); if another "
            "process has died, its output tells why; the same command goes on from the last "
            "checkpoint"
        ) from error


def sync_stop(own: BaseException | None) -> BaseException | None:
    """Agree on what any process stops for; all call it at the same step, and stop there together.

    Args:
      own: what this process would stop for, or None.
    """
    code = 0 if own is None else int(getattr(own, "signum", -1))
    codes = [int(c) for c in np.ravel(multihost_utils.process_allgather(np.int32(code)))]
    if own is not None or not any(codes):
        return own
    found = next(c for c in codes if c)
    return Interrupted(found) if found > 0 else UserError("another process has failed")


def forget_notices(workdir: Path) -> None:
    """Remove the notices of earlier starts."""
    for notice in workdir.glob(".stop-*"):
        notice.unlink(missing_ok=True)


def _write(notice: Path, process: ProcessInfo, error: BaseException) -> None:
    """Tell why this process ends, unless another has told before."""
    signum = getattr(error, "signum", None)
    said = f"process {process.index} of {process.count} ended: {type(error).__name__}: {error}"
    with contextlib.suppress(OSError), notice.open("x") as file:
        file.write(json.dumps({"signal": signum, "said": said}))


def _read(notice: Path) -> BaseException | None:
    try:
        content = json.loads(notice.read_text())
    except (OSError, ValueError):  # not there, or being written
        return None
    signum = content["signal"]
    return UserError(content["said"]) if signum is None else Interrupted(signum)
