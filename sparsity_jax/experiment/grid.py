"""Grid with workers: several processes of this machine, each on cores of its own.

This process holds the workdir, gives out one group of runs after the other, shows how far they are
and publishes what is finished. The workers hold its lock as well, so that nobody else can write as
long as one of them lives.
"""

from __future__ import annotations

import contextlib
import json
import selectors
import signal
import sys
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import IO, Any

import jax

from sparsity_jax.distributed.cores import keep_apart
from sparsity_jax.distributed.preemption import Interrupted, noting
from sparsity_jax.distributed.shards import Shard
from sparsity_jax.distributed.worker import END
from sparsity_jax.distributed.workers import UnfinishedError, Worker, meaning
from sparsity_jax.experiment.grid_progress import GridProgress
from sparsity_jax.experiment.worker import COMMAND, Assignment
from sparsity_jax.storage.workdir import Workdir
from sparsity_jax.training.progress import Status
from sparsity_jax.training.run import Run

_MOMENT_SECONDS = 0.2  # between looks whether a signal has come

_Heed = Callable[["Worker", str], None]


def train_with_workers(
    groups: Sequence[Sequence[Run]], config: Mapping[str, Any], workdir: Workdir, *, processes: int
) -> None:
    """Train groups of runs with that many processes; results are those of one.

    Args:
      groups: what is left to train.
      config: resolved.
      workdir: held by this process.
      processes: at least 1; each gets its part of the cores.

    Raises:
      Interrupted: by SIGINT or SIGTERM; every worker has kept a checkpoint and ended.
      UnfinishedError: a worker died; the runs of the others are finished.
    """
    grid = _Grid(groups, workdir, processes)
    with noting(before_kill=grid.kill) as asked:
        try:
            grid.start(dict(config))
            grid.train(asked)
        except BaseException:
            grid.stop(signal.SIGTERM)
            raise
        finally:
            grid.close()


class _Grid:
    """The groups, the workers, and what is shown of both."""

    def __init__(
        self,
        groups: Sequence[Sequence[Run]],
        workdir: Workdir,
        processes: int,
    ) -> None:
        self._workdir, self._waiting, self._processes = workdir, deque(groups), processes
        self._lost: list[str] = []
        self._codes: set[int] = set()
        self._groups: dict[Worker, Sequence[Run]] = {}  # what each trains now
        self._said: set[str] = set()
        self._stopping = False
        self._progress = GridProgress(
            {workdir.place(group): len(group) * group[0].steps for group in groups},
            processes=processes,
            runs=len(workdir.runs),
            finished=len(workdir.records),
        )
        self._selector = selectors.DefaultSelector()
        self._workers: list[Worker] = []

    def start(self, config: dict[str, Any]) -> None:
        """Start the workers, each a part of this process's shard by name."""
        of, count = self._workdir.shard, self._processes
        cache = jax.config.jax_compilation_cache_dir  # pyright: ignore[reportAttributeAccessIssue]
        for index in range(count):
            shard = Shard(of.index + of.count * index, of.count * count)
            assignment = Assignment(config, self._workdir.path, shard, cache)
            worker = Worker(COMMAND, assignment, self._workdir.held_files)
            self._workers.append(worker)
            for pipe, heed in ((worker.events, self._heed), (worker.text, self._relay)):
                self._selector.register(pipe, selectors.EVENT_READ, (worker, pipe, heed))
            self._next(worker)

    def train(self, asked: Sequence[int]) -> None:
        """Give out groups and listen until every worker has ended."""
        while running := [worker for worker in self._workers if not worker.ended]:
            if asked:
                self.stop(asked[0])
            ready = [key.data for key, _ in self._selector.select(_MOMENT_SECONDS)]
            self._progress.tick()
            for worker, pipe, heed in ready:
                self._read(worker, pipe, heed)
            for worker in running:  # not by the ends of its pipes, which its children may hold
                quiet = all(worker is not spoke for spoke, *_ in ready)
                if quiet and worker.process.poll() is not None:
                    self._end(worker)
        if asked:
            raise Interrupted(asked[0])
        left = [*self._lost, *(run.config.name for group in self._waiting for run in group)]
        if left:
            raise UnfinishedError(
                f"{len(left)} of {len(self._workdir.runs)} runs are not finished: "
                f"{', '.join(left)}; the same command goes on with them",
                self._codes,
            )

    def stop(self, signum: int) -> None:
        """Ask every worker to keep a checkpoint and to end; gives out nothing more."""
        if not self._stopping:
            self._stopping = True
            for worker in self._workers:
                worker.order(signum)

    def kill(self) -> None:
        """End every worker at once."""
        for worker in self._workers:
            worker.process.kill()

    def close(self) -> None:
        """Wait for the workers, and let go of them."""
        for worker in self._workers:
            worker.close()
        self._selector.close()
        with contextlib.suppress(OSError):
            self._progress.close()

    def _next(self, worker: Worker) -> None:
        """Give a worker the next group, or let it end."""
        if self._stopping:
            return
        if self._waiting:
            group = self._groups[worker] = self._waiting.popleft()
            worker.order(tuple(run.config.name for run in group))
        else:
            self._groups.pop(worker, None)
            worker.order(END)

    def _read(self, worker: Worker, pipe: IO[bytes], heed: _Heed) -> None:
        lines = worker.lines(pipe)
        if lines is None:
            self._selector.unregister(pipe)
        for line in lines or ():
            heed(worker, line)

    def _heed(self, worker: Worker, line: str) -> None:
        """Act on an event."""
        for kind, content in json.loads(line).items():
            if kind == "ready":
                worker.ready = True
                self._spread()
            elif kind == "at":
                self._progress.at(Status(*content))
            elif kind == "said":
                self._relay(worker, content)
            elif kind == "done":
                self._workdir.publish(look=True)
                self._progress.finished(self._workdir.place(self._groups[worker]), content)
                self._next(worker)

    def _relay(self, _: Worker, line: str) -> None:
        """Print what a worker says, but not what another has said before."""
        if line.strip() and line not in self._said:
            self._said.add(line)
            self._progress.say(line)

    def _end(self, worker: Worker) -> None:
        """Take note that a worker has ended, and of what it leaves unfinished."""
        worker.ended = True
        code = worker.process.returncode
        self._spread()
        if code == 0 or self._stopping:
            return
        self._codes.add(code)
        group = self._groups.pop(worker, ())
        names = [run.config.name for run in group]
        self._lost += names
        if names:
            self._progress.lost(self._workdir.place(group))
        who = f"the process of {', '.join(names)}" if names else "a process"
        self._progress.say(f"warning: {who} {meaning(code)}; the others go on", sys.stderr)

    def _spread(self) -> None:
        """Divide the cores among the workers that are left, once all of them have begun."""
        left = [worker for worker in self._workers if not worker.ended]
        if all(worker.ready for worker in left):
            keep_apart([worker.process.pid for worker in left])
