"""Which runs need no training: finished here before, or for another grid, in a store they share?"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from sparsity_jax.errors import UserError
from sparsity_jax.hosts import Host
from sparsity_jax.jobs import Job, settings_digest
from sparsity_jax.runs import Run
from sparsity_jax.storage import seals, store


def finished(
    workdir: Path, runs: tuple[Run, ...], *, quietly: bool = False
) -> dict[str, seals.Seal]:
    """The runs that are finished, with every file as it was written; names those that are not."""
    found = {}
    for run in runs:
        folder, of = workdir / "runs" / run.name, settings_digest(run)
        if not (quietly and seals.problem(folder, of=of)):
            found[run.name] = seals.read_seal(folder, of=of)
    return {name: seal for name, seal in found.items() if seal is not None}


def unseal_damaged(workdir: Path, runs: tuple[Run, ...]) -> None:
    """Take the seals off the runs that must be made again: their seals must not be waited for."""
    for run in runs:
        folder = workdir / "runs" / run.name
        if seals.problem(folder, of=settings_digest(run)):
            (folder / seals.NAME).unlink(missing_ok=True)


def finished_elsewhere(workdir: Path, runs: tuple[Run, ...]) -> dict[str, seals.Seal]:
    """The runs that other processes have finished by now, of those that they are to finish.

    Raises:
      UserError: one is damaged although it was whole, or missing, when all began: no process
        makes it again, and waiting for it would have no end.
    """
    found = finished(workdir, runs, quietly=True)
    for run in runs:
        folder = workdir / "runs" / run.name
        if run.name not in found and (wrong := seals.problem(folder, of=settings_digest(run))):
            raise UserError(f"{wrong}; the same command makes it again")
    return found


def fetched(jobs: Sequence[Job], config: Mapping[str, Any], host: Host) -> dict[str, seals.Seal]:
    """What the store has; where hosts split the batch, the one that leads fetches it for all."""
    if config["split"] == "members" or host.count == 1 or not config["store"]:
        return _stored(jobs, config["store"])
    found = _stored(jobs, config["store"]) if host.leads else {}
    host.wait("stored runs are fetched")
    if host.leads:
        return found
    return finished(jobs[0].workdir, tuple(job.run for job in jobs)) if jobs else {}


def keep(job: Job, folder: str | None) -> None:
    """Put a finished run into the store, if there is one."""
    if folder:
        of = settings_digest(job.run)
        store.keep(Path(folder), job.folder, key=_key(job), of=of)


def _stored(jobs: Sequence[Job], folder: str | None) -> dict[str, seals.Seal]:
    """The runs that another grid has trained, copied out of the store that they share."""
    found = {}
    for job in jobs if folder else ():
        of, name = settings_digest(job.run), job.run.name
        names = {"name": name, "variant": job.run.variant}
        if store.fetch(Path(folder or ""), job.folder, key=_key(job), of=of, **names):
            seal = seals.read_seal(job.folder, of=of)
            if seal is not None:
                print(f"{name}: trained before, taken from {folder}")
                found[name] = seal
    return found


def _key(job: Job) -> str:
    return store.key(dataclasses.asdict(job.run), job.data_digests)
