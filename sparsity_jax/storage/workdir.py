"""Workdir: one experiment's folder, with its lock, its finished runs, and the views of them.

Several processes may share a workdir, each with a shard of its groups of runs. `Workdir` is the
experiment's folder as one of them sees it.
"""

from __future__ import annotations

import contextlib
import dataclasses
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol, TypeVar

from sparsity_jax.config.run_config import RunConfig
from sparsity_jax.distributed import processes
from sparsity_jax.distributed.shards import WHOLE, Shard
from sparsity_jax.errors import UserError, user_path
from sparsity_jax.storage import completion, folder, lock, run_cache
from sparsity_jax.storage.completion import RunRecord, settings_digest
from sparsity_jax.storage.config_record import made_with, write_record

POLL_SECONDS = 1.0  # between looks at what other processes have finished


@dataclasses.dataclass(frozen=True)
class Invocation:
    """Options of a command besides its config.

    Attributes:
      command: the line a reader types to run it again.
      overwrite: remove what the workdir holds, even of another config.
      shard: the part of the groups that this process trains.
      processes: how many train it at once on this machine; None: as many as are fast.
      helps: another process holds the workdir and says which runs this one trains.
    """

    command: str = ""
    overwrite: bool = False
    shard: Shard = WHOLE
    processes: int | None = 1
    helps: bool = False


class StoredRun(Protocol):
    """Properties of a run that a workdir needs."""

    @property
    def config(self) -> RunConfig:
        """Its settings."""
        ...

    @property
    def folder(self) -> Path:
        """Folder of its files."""
        ...

    @property
    def data_fingerprint(self) -> Sequence[str]:
        """Digests of what it is trained and tested on."""
        ...


R = TypeVar("R", bound=StoredRun)


class Workdir:
    """An experiment's folder, and which of its runs are finished.

    Making one looks and changes nothing; inside `held()` it may be written to. Every finished run
    is verified once, when its record is first seen.

    Args:
      path: the folder.
      config: resolved, as config.json keeps it.
      runs: all runs of the config, in its order.
      invocation: how the command was given.

    Raises:
      UserError: the folder holds another config's results, is in use, or cannot be written to.
    """

    def __init__(
        self,
        path: Path,
        config: Mapping[str, Any],
        runs: tuple[RunConfig, ...],
        invocation: Invocation,
    ) -> None:
        self.path, self.runs, self.shard = path, runs, invocation.shard
        self._config, self._invocation = config, invocation
        self._process = processes.this_process()
        # Processes that divide each batch train the same runs: the primary one writes.
        follows = self.shard == WHOLE and not self._process.is_primary
        self._follows = invocation.helps or follows
        self._held = lock.NOTHING
        self._found: dict[str, RunRecord] = {}
        folder.check(path, config, overwrite=invocation.overwrite)
        if not self._follows:
            lock.refuse_if_held(path, self.shard)
        if not (invocation.overwrite or invocation.helps):
            self._verify(_warn)

    @property
    def records(self) -> list[RunRecord]:
        """The records of the runs known to be finished, in the order of the config."""
        return [self._found[config.name] for config in self.runs if config.name in self._found]

    @property
    def all_finished(self) -> bool:
        """Whether every run of the config is known to be finished."""
        return len(self._found) == len(self.runs)

    @property
    def is_primary(self) -> bool:
        """Whether this process writes, and says, what is written and said once."""
        return self._process.is_primary

    def is_complete(self) -> bool:
        """Whether nothing is left to do; a view that must be made again is named on stderr."""
        return self.all_finished and folder.is_whole(self.path, self.records)

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        """Hold the workdir, or the shard of it, together with the processes that share it.

        Raises:
          UserError: another process holds it.
          Interrupted: another process of this start was stopped by a signal.
        """
        held = contextlib.nullcontext(lock.NOTHING) if self._follows else self._lock()
        with held as self._held, processes.stopping_together(self._process, self.path):
            if self._process.is_primary:
                self._prepare()
            self._process.wait("the workdir is ready")
            yield

    def pending(self, groups: Iterable[Sequence[R]]) -> Iterator[list[R]]:
        """Yield what is left to train of this shard's groups; bring the views up to date after.

        A finished run is left out, and so is one that the run cache has: it is copied from there.
        """
        for group in self.shard.of(groups):
            if unfinished := self.begin(group):
                yield unfinished
            if not self._follows:
                self.publish(look=self.shard != WHOLE)

    def begin(self, group: Sequence[R]) -> list[R]:
        """Return what is left to train of a group, its folders ready for that."""
        self._fetch(self.unfinished(group))
        unfinished = self.unfinished(group)
        for run in unfinished:
            completion.remove_leftovers(run.folder)
        return unfinished

    def unfinished(self, group: Sequence[R]) -> list[R]:
        """Return the runs of a group that are not known to be finished."""
        return [run for run in group if run.config.name not in self._found]

    def publish(self, *, look: bool) -> None:
        """Bring results.csv and history.jsonl up to date with what is finished.

        Args:
          look: for runs that other processes have finished.
        """
        with lock.publishing(self.path):
            if look:
                self._verify(_warn)
            completion.write_views(self.path, self.records)

    @property
    def held_files(self) -> tuple[int, ...]:
        """File descriptors of the lock: a child that inherits them holds the workdir as well."""
        return self._held.files

    def place(self, group: Sequence[StoredRun]) -> str:
        """Runs of a group among all: '3/12', '3-6/12', or '3, 7/12'."""
        numbers = [self.runs.index(run.config) + 1 for run in group]
        row = numbers == list(range(numbers[0], numbers[-1] + 1))
        ends = f"{numbers[0]}-{numbers[-1]}" if row else ", ".join(map(str, numbers))
        return f"{ends if len(numbers) > 1 else numbers[0]}/{len(self.runs)}"

    def complete(self, run: StoredRun, record: RunRecord) -> None:
        """Declare a run finished, after all its files were written.

        Raises:
          UserError: the workdir was moved or removed meanwhile, and with it earlier files.
        """
        self._held.check_still_there()
        of = settings_digest(run.config)
        completion.write_run_record(run.folder, record, of=of)
        self._found[run.config.name] = record
        if store := self._config["store"]:
            run_cache.keep(user_path(store), run.folder, key=_key(run), of=of)

    def finish(self, build_report: Callable[[Path], object]) -> None:
        """Wait for the processes of this start, and write the report once every run is finished.

        Raises:
          UserError: the workdir has vanished, or another process has failed.
          Interrupted: another process was stopped by a signal.
        """
        if self.shard != WHOLE:
            self._verify(_ignore)
        while self._process.count > 1 and self.shard != WHOLE and not self.all_finished:
            if (ended := processes.stop_elsewhere()) is not None:
                raise ended
            time.sleep(POLL_SECONDS)
            self._verify(_refuse)
        if self._process.is_primary:
            self._report(build_report)
        self._held.check_still_there()  # only then is all well

    def _report(self, build_report: Callable[[Path], object]) -> None:
        if not self.all_finished:
            print(
                f"share {self.shard} is finished; {len(self._found)} of all {len(self.runs)} runs "
                "are. The share that ends last writes the report."
            )
            return
        with lock.publishing(self.path):
            if self.shard == WHOLE or not folder.is_whole(self.path, self.records):
                completion.write_views(self.path, self.records)
                folder.clear_parts(self.path)
                build_report(self.path)

    def _prepare(self) -> None:
        """Take up the folder: a report of an earlier state must not stand beside newer results."""
        if self._invocation.overwrite:
            folder.clear(self.path)
        (self.path / "report.html").unlink(missing_ok=True)
        # Damaged runs are made again: nobody may wait for their records, nor believe them.
        self._remove_damaged_records()
        processes.forget_notices(self.path)
        names = tuple(config.name for config in self.runs)
        write_record(self.path, made_with(self._config, names, self._invocation.command))

    def _lock(self) -> contextlib.AbstractContextManager[lock.Held]:
        return lock.hold(self.path, self.shard)

    def _verify(self, damaged: Callable[[str], None]) -> None:
        """Look for records that were not known yet; `damaged` is told what is wrong with one."""
        for config in self.runs:
            if config.name not in self._found:
                record, problem = self._read(config)
                if record is not None:
                    self._found[config.name] = record
                elif problem:
                    damaged(problem)

    def _remove_damaged_records(self) -> None:
        for config in self.runs:
            if config.name not in self._found and self._read(config)[1]:
                (self._folder(config) / completion.NAME).unlink(missing_ok=True)

    def _read(self, config: RunConfig) -> tuple[RunRecord | None, str]:
        return completion.verify_run(self._folder(config), of=settings_digest(config))

    def _folder(self, config: RunConfig) -> Path:
        return self.path / "runs" / config.name

    def _fetch(self, runs: Sequence[StoredRun]) -> None:
        """Copy what the run cache has; of processes that divide each batch, the primary does."""
        store = self._config["store"]
        if not (store and runs):
            return
        for run in runs if not self._follows else ():
            of, config = settings_digest(run.config), run.config
            names = {"name": config.name, "variant": config.variant}
            if run_cache.fetch(user_path(store), run.folder, key=_key(run), of=of, **names):
                print(f"{config.name}: trained before, taken from {store}")
        if self.shard == WHOLE:
            self._process.wait("stored runs are fetched")
        self._verify(_warn)


def _key(run: StoredRun) -> str:
    return run_cache.key(dataclasses.asdict(run.config), run.data_fingerprint)


def _warn(problem: str) -> None:
    print(f"warning: {problem}; it is made again", file=sys.stderr)


def _ignore(_: str) -> None:
    """Whoever trains the run names what is wrong with it."""


def _refuse(problem: str) -> None:
    """End the waiting for a run that was whole, or missing, when all began."""
    raise UserError(f"{problem}; the same command makes it again")
