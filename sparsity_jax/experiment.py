"""The story of one command, top to bottom: runs, data, training, measuring, pruning, report."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
from ml_collections import ConfigDict

from sparsity_jax import data, determinism, report
from sparsity_jax.data import Dataset, Stream
from sparsity_jax.fitting import Fitted, fit
from sparsity_jax.hosts import ALONE, Elsewhere, Host, forget_notices, stopping_together
from sparsity_jax.jobs import Job, groups, make_job, memory_line, settings_digest
from sparsity_jax.outcome import notes, settle
from sparsity_jax.provenance import made_with
from sparsity_jax.reuse import fetched, finished, finished_elsewhere, keep, unseal_damaged
from sparsity_jax.runs import Run
from sparsity_jax.settings import expand
from sparsity_jax.shares import ALL, Share
from sparsity_jax.storage import lock, seals
from sparsity_jax.storage import workdir as workdirs
from sparsity_jax.training import Corpus, StreamedCorpus
from sparsity_jax.training.population import Layout, choose_layout, split_batch

SECONDS_BETWEEN_GLANCES = 1.0  # at what other processes have finished


def run(
    config: ConfigDict,
    workdir: Path,
    *,
    overwrite: bool = False,
    command: str = "",
    share: Share = ALL,
    host: Host = ALONE,
) -> None:
    """Train, measure and prune every run of a config, and report.

    The same call again goes on where it stopped; once all is done it only prints the table.

    Args:
      config: as `settings.default_config` describes; checked here before anything is computed.
      workdir: where every result goes.
      overwrite: remove what the workdir holds, even of another config.
      command: the line a reader types to run this again.
      share: train only this part of the grid; whoever finishes last writes the report.
      host: this process among those that work together; they divide the share.

    Raises:
      UserError: what is wrong with the config, the data or the workdir, in one line.
    """
    runs = expand(config)
    settled = config.to_dict()
    if settled["deterministic"]:
        determinism.check()
    follows = share == ALL and not host.leads  # the batch is split, and another process writes
    workdirs.check(workdir, settled, overwrite=overwrite)
    if not follows:
        lock.refuse_if_held(workdir, share)
    done = {} if overwrite else finished(workdir, runs)
    if len(done) == len(runs) and workdirs.is_whole(workdir, _in_order(runs, done)):
        _say_where(workdir, _in_order(runs, done))
        return

    _remember_compilations(workdir)
    jobs = _make_jobs(runs, _load(runs, settled), workdir, share)

    held = contextlib.nullcontext(lambda: None) if follows else lock.hold(workdir, share)
    with held as check_still_there, stopping_together(host, workdir) as elsewhere:
        if host.leads:
            workdirs.clear(workdir) if overwrite else workdirs.reopen(workdir)
            unseal_damaged(workdir, runs)
            forget_notices(workdir)
            names = tuple(run.name for run in runs)
            workdirs.write_record(workdir, made_with(settled, names, command))
        host.wait("the workdir is ready")
        most = 1 if settled["split"] == "batch" else settled["members"]
        for group in share.of(groups(jobs, most=most, shares=share.count)):
            done |= _train(group, done, settled, elsewhere, check_still_there, runs, host)
            if not follows:
                _publish(workdir, runs, done, share)
        done = _await_others(workdir, runs, done, share, host, elsewhere)
        if host.leads:
            _report(workdir, runs, done, share)
        check_still_there()  # only then is all well
        if len(done) == len(runs) and host.leads:
            _say_where(workdir, _in_order(runs, done))


def _train(
    group: Sequence[Job],
    done: Mapping[str, seals.Seal],
    config: Mapping[str, Any],
    elsewhere: Elsewhere,
    check_still_there: Callable[[], None],
    runs: Sequence[Run],
    host: Host,
) -> dict[str, seals.Seal]:
    """The members of a group that were not finished, now finished."""
    follows = config["split"] == "batch" and not host.leads
    pending = [job for job in group if job.run.name not in done]
    found = fetched(pending, config, host)
    pending = [job for job in pending if job.run.name not in found]
    if not pending:
        return found
    if len(pending) > 1:
        print(memory_line(pending))
    fitted = fit(
        pending,
        place=_place(pending, runs),
        layout=_layout(pending, config),
        host=host,
        elsewhere=elsewhere,
        checkpoint_seconds=config["checkpoint_seconds"],
    )
    for job, its in zip(pending, fitted, strict=True):
        if not follows:
            found[job.run.name] = _sealed(job, its, check_still_there)
            keep(job, config["store"])
    return found


def _layout(group: Sequence[Job], config: Mapping[str, Any]) -> Layout:
    if config["split"] == "batch":
        return split_batch(group[0].run.batch_size)
    return choose_layout(
        len(group),
        mapping=config["member_map"],
        device_map=config["device_map"],
        devices=jax.local_device_count(),
    )


def _publish(
    workdir: Path, runs: tuple[Run, ...], done: Mapping[str, seals.Seal], share: Share
) -> None:
    """Bring results.csv and history.jsonl up to date with what is finished."""
    with lock.publishing(workdir):
        if share != ALL:
            done = finished(workdir, runs)
        seals.write_views(workdir, _in_order(runs, done))


def _await_others(
    workdir: Path,
    runs: tuple[Run, ...],
    done: Mapping[str, seals.Seal],
    share: Share,
    host: Host,
    elsewhere: Elsewhere,
) -> Mapping[str, seals.Seal]:
    """All that is finished; processes that work together wait until that is everything."""
    if share == ALL:
        return done
    done = {**done, **finished(workdir, runs, quietly=True)}
    while host.count > 1 and len(done) < len(runs):
        if (ended := elsewhere()) is not None:
            raise ended
        time.sleep(SECONDS_BETWEEN_GLANCES)
        missing = tuple(run for run in runs if run.name not in done)
        done |= finished_elsewhere(workdir, missing)
    return done


def _report(
    workdir: Path, runs: tuple[Run, ...], done: Mapping[str, seals.Seal], share: Share
) -> None:
    if len(done) < len(runs):
        print(
            f"share {share} is finished; {len(done)} of all {len(runs)} runs are. The share that "
            "ends last writes the report."
        )
        return
    in_order = _in_order(runs, done)
    with lock.publishing(workdir):
        if share == ALL or not workdirs.is_whole(workdir, in_order):
            seals.write_views(workdir, in_order)
            workdirs.clear_parts(workdir)
            report.build(workdir)


def _place(group: Sequence[Job], runs: Sequence[Run]) -> str:
    """Which runs of how many: '3/12', '3-6/12', or '3, 7/12'."""
    numbers = [runs.index(job.run) + 1 for job in group]
    row = numbers == list(range(numbers[0], numbers[-1] + 1))
    ends = f"{numbers[0]}-{numbers[-1]}" if row else ", ".join(map(str, numbers))
    return f"{ends if len(numbers) > 1 else numbers[0]}/{len(runs)}"


def _sealed(job: Job, fitted: Fitted, check_still_there: Callable[[], None]) -> seals.Seal:
    """A trained run measured, pruned and declared finished."""
    seals.sweep(job.folder)
    seal = seals.Seal(settle(job, fitted), tuple(fitted.trace.lines()), notes(job, fitted))
    check_still_there()  # what was written before is gone if the workdir was removed meanwhile
    seals.write_seal(job.folder, seal, of=settings_digest(job.run))
    return seal


def _remember_compilations(workdir: Path) -> None:
    """Keep compiled programs beside the workdir, unless JAX was told where to keep them."""
    if jax.config.jax_compilation_cache_dir is None:
        folder = workdir.absolute().parent / ".compilations"
        jax.config.update("jax_compilation_cache_dir", str(folder))


def _in_order(runs: tuple[Run, ...], done: Mapping[str, seals.Seal]) -> list[seals.Seal]:
    return [done[run.name] for run in runs if run.name in done]


def _load(runs: tuple[Run, ...], config: Mapping[str, Any]) -> dict[tuple, Dataset | Stream]:
    """Every data set that the runs name, once."""
    folder = config["data_dir"]
    return {
        key: data.open_source(
            key[0],
            data_dir=Path(folder) if folder else None,
            renderings=dict(key[1]),
            device_bytes=config["device_bytes"],
        )
        for key in dict.fromkeys((run.data, run.renderings) for run in runs)
    }


def _make_jobs(
    runs: tuple[Run, ...],
    datasets: Mapping[tuple, Dataset | Stream],
    workdir: Path,
    share: Share,
) -> list[Job]:
    corpora = {
        key: StreamedCorpus(each) if isinstance(each, Stream) else Corpus.of(each)
        for key, each in datasets.items()
    }
    keys = [(run.data, run.renderings) for run in runs]
    return [
        make_job(run, datasets[key], corpora[key], workdir, share)
        for run, key in zip(runs, keys, strict=True)
    ]


def _say_where(workdir: Path, finished: Sequence[seals.Seal]) -> None:
    print(report.table(workdir))
    for seal in finished:
        for note in seal.notes:
            print(f"note: {seal.result.run} {note}")
    print(f"report: {workdir / 'report.html'}")
