"""Which runs need no training: finished here before, or for another grid, in a store they share?"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from sparsity_jax.config.run_config import RunConfig
from sparsity_jax.distributed.processes import ProcessInfo
from sparsity_jax.errors import UserError
from sparsity_jax.storage import completion as completion
from sparsity_jax.storage import run_cache as store
from sparsity_jax.training.run import Run, settings_digest


def finished(
    workdir: Path, runs: tuple[RunConfig, ...], *, quietly: bool = False
) -> dict[str, completion.RunRecord]:
    """The runs that are finished, with every file as it was written; names those that are not."""
    found = {}
    for run in runs:
        folder, of = workdir / "runs" / run.name, settings_digest(run)
        if not (quietly and completion.problem(folder, of=of)):
            found[run.name] = completion.read_run_record(folder, of=of)
    return {name: record for name, record in found.items() if record is not None}


def unseal_damaged(workdir: Path, runs: tuple[RunConfig, ...]) -> None:
    """Take the seals off the runs that must be made again: their seals must not be waited for."""
    for run in runs:
        folder = workdir / "runs" / run.name
        if completion.problem(folder, of=settings_digest(run)):
            (folder / completion.NAME).unlink(missing_ok=True)


def finished_elsewhere(
    workdir: Path, runs: tuple[RunConfig, ...]
) -> dict[str, completion.RunRecord]:
    """The runs that other processes have finished by now, of those that they are to finish.

    Raises:
      UserError: one is damaged although it was whole, or missing, when all began: no process
        makes it again, and waiting for it would have no end.
    """
    found = finished(workdir, runs, quietly=True)
    for run in runs:
        folder = workdir / "runs" / run.name
        if run.name not in found and (wrong := completion.problem(folder, of=settings_digest(run))):
            raise UserError(f"{wrong}; the same command makes it again")
    return found


def fetched(
    jobs: Sequence[Run], config: Mapping[str, Any], host: ProcessInfo
) -> dict[str, completion.RunRecord]:
    """What the store has; where hosts split the batch, the one that leads fetches it for all."""
    if config["split"] == "members" or host.count == 1 or not config["store"]:
        return _stored(jobs, config["store"])
    found = _stored(jobs, config["store"]) if host.is_primary else {}
    host.wait("stored runs are fetched")
    if host.is_primary:
        return found
    return finished(jobs[0].workdir, tuple(job.config for job in jobs)) if jobs else {}


def keep(job: Run, folder: str | None) -> None:
    """Put a finished run into the store, if there is one."""
    if folder:
        of = settings_digest(job.config)
        store.keep(Path(folder), job.folder, key=_key(job), of=of)


def _stored(jobs: Sequence[Run], folder: str | None) -> dict[str, completion.RunRecord]:
    """The runs that another grid has trained, copied out of the store that they share."""
    found = {}
    for job in jobs if folder else ():
        of, name = settings_digest(job.config), job.config.name
        names = {"name": name, "variant": job.config.variant}
        if store.fetch(Path(folder or ""), job.folder, key=_key(job), of=of, **names):
            record = completion.read_run_record(job.folder, of=of)
            if record is not None:
                print(f"{name}: trained before, taken from {folder}")
                found[name] = record
    return found


def _key(job: Run) -> str:
    return store.key(dataclasses.asdict(job.config), job.data_digests)
