"""The story of one command, top to bottom: runs, data, training, measuring, pruning, report."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
from ml_collections import ConfigDict

from sparsity_jax import data, report
from sparsity_jax.config.run_config import RunConfig
from sparsity_jax.config.sweep import expand
from sparsity_jax.data import Dataset, Stream
from sparsity_jax.distributed import determinism
from sparsity_jax.distributed.processes import (
    SINGLE_PROCESS,
    ProcessInfo,
    StopSignal,
    forget_notices,
    stopping_together,
)
from sparsity_jax.distributed.shards import WHOLE, Shard
from sparsity_jax.experiment.measure import finalize_run, notes
from sparsity_jax.experiment.resume import (
    fetched,
    finished,
    finished_elsewhere,
    keep,
    unseal_damaged,
)
from sparsity_jax.storage import completion as completion
from sparsity_jax.storage import lock
from sparsity_jax.storage import workdir as workdirs
from sparsity_jax.storage.workdir import made_with
from sparsity_jax.training import DeviceDataset, StreamingDataset
from sparsity_jax.training.grouping import groups, memory_line
from sparsity_jax.training.population import MemberMapping, choose_mapping, split_batch
from sparsity_jax.training.run import Run, make_run, settings_digest
from sparsity_jax.training.trainer import TrainedRun, train_group

POLL_SECONDS = 1.0  # at what other processes have finished


def run(
    config: ConfigDict,
    workdir: Path,
    *,
    overwrite: bool = False,
    command: str = "",
    shard: Shard = WHOLE,
    host: ProcessInfo = SINGLE_PROCESS,
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
    follows = (
        shard == WHOLE and not host.is_primary
    )  # the batch is split, and another process writes
    workdirs.check(workdir, settled, overwrite=overwrite)
    if not follows:
        lock.refuse_if_held(workdir, shard)
    done = {} if overwrite else finished(workdir, runs)
    if len(done) == len(runs) and workdirs.is_whole(workdir, _in_order(runs, done)):
        _say_where(workdir, _in_order(runs, done))
        return

    _remember_compilations(workdir)
    jobs = _make_runs(runs, _load(runs, settled), workdir, shard)

    held = contextlib.nullcontext(lambda: None) if follows else lock.hold(workdir, shard)
    with held as check_still_there, stopping_together(host, workdir) as stop_signal:
        if host.is_primary:
            workdirs.clear(workdir) if overwrite else workdirs.reopen(workdir)
            unseal_damaged(workdir, runs)
            forget_notices(workdir)
            names = tuple(run.name for run in runs)
            workdirs.write_record(workdir, made_with(settled, names, command))
        host.wait("the workdir is ready")
        most = 1 if settled["split"] == "batch" else settled["members"]
        for group in shard.of(groups(jobs, most=most, shards=shard.count)):
            done |= _train(group, done, settled, stop_signal, check_still_there, runs, host)
            if not follows:
                _publish(workdir, runs, done, shard)
        done = _await_others(workdir, runs, done, shard, host, stop_signal)
        if host.is_primary:
            _report(workdir, runs, done, shard)
        check_still_there()  # only then is all well
        if len(done) == len(runs) and host.is_primary:
            _say_where(workdir, _in_order(runs, done))


def _train(
    group: Sequence[Run],
    done: Mapping[str, completion.RunRecord],
    config: Mapping[str, Any],
    stop_signal: StopSignal,
    check_still_there: Callable[[], None],
    runs: Sequence[RunConfig],
    host: ProcessInfo,
) -> dict[str, completion.RunRecord]:
    """The members of a group that were not finished, now finished."""
    follows = config["split"] == "batch" and not host.is_primary
    pending = [job for job in group if job.config.name not in done]
    found = fetched(pending, config, host)
    pending = [job for job in pending if job.config.name not in found]
    if not pending:
        return found
    if len(pending) > 1:
        print(memory_line(pending))
    fitted = train_group(
        pending,
        place=_place(pending, runs),
        mapping=_mapping(pending, config),
        host=host,
        stop_signal=stop_signal,
        checkpoint_seconds=config["checkpoint_seconds"],
    )
    for job, its in zip(pending, fitted, strict=True):
        if not follows:
            found[job.config.name] = _sealed(job, its, check_still_there)
            keep(job, config["store"])
    return found


def _mapping(group: Sequence[Run], config: Mapping[str, Any]) -> MemberMapping:
    if config["split"] == "batch":
        return split_batch(group[0].config.batch_size)
    return choose_mapping(
        len(group),
        kind=config["member_map"],
        device_map=config["device_map"],
        devices=jax.local_device_count(),
    )


def _publish(
    workdir: Path,
    runs: tuple[RunConfig, ...],
    done: Mapping[str, completion.RunRecord],
    shard: Shard,
) -> None:
    """Bring results.csv and history.jsonl up to date with what is finished."""
    with lock.publishing(workdir):
        if shard != WHOLE:
            done = finished(workdir, runs)
        completion.write_views(workdir, _in_order(runs, done))


def _await_others(
    workdir: Path,
    runs: tuple[RunConfig, ...],
    done: Mapping[str, completion.RunRecord],
    shard: Shard,
    host: ProcessInfo,
    stop_signal: StopSignal,
) -> Mapping[str, completion.RunRecord]:
    """All that is finished; processes that work together wait until that is everything."""
    if shard == WHOLE:
        return done
    done = {**done, **finished(workdir, runs, quietly=True)}
    while host.count > 1 and len(done) < len(runs):
        if (ended := stop_signal()) is not None:
            raise ended
        time.sleep(POLL_SECONDS)
        missing = tuple(run for run in runs if run.name not in done)
        done |= finished_elsewhere(workdir, missing)
    return done


def _report(
    workdir: Path,
    runs: tuple[RunConfig, ...],
    done: Mapping[str, completion.RunRecord],
    shard: Shard,
) -> None:
    if len(done) < len(runs):
        print(
            f"share {shard} is finished; {len(done)} of all {len(runs)} runs are. The share that "
            "ends last writes the report."
        )
        return
    in_order = _in_order(runs, done)
    with lock.publishing(workdir):
        if shard == WHOLE or not workdirs.is_whole(workdir, in_order):
            completion.write_views(workdir, in_order)
            workdirs.clear_parts(workdir)
            report.build(workdir)


def _place(group: Sequence[Run], runs: Sequence[RunConfig]) -> str:
    """Which runs of how many: '3/12', '3-6/12', or '3, 7/12'."""
    numbers = [runs.index(job.config) + 1 for job in group]
    row = numbers == list(range(numbers[0], numbers[-1] + 1))
    ends = f"{numbers[0]}-{numbers[-1]}" if row else ", ".join(map(str, numbers))
    return f"{ends if len(numbers) > 1 else numbers[0]}/{len(runs)}"


def _sealed(
    job: Run, fitted: TrainedRun, check_still_there: Callable[[], None]
) -> completion.RunRecord:
    """A trained run measured, pruned and declared finished."""
    completion.sweep(job.folder)
    record = completion.RunRecord(
        finalize_run(job, fitted), tuple(fitted.eval_log.lines()), notes(job, fitted)
    )
    check_still_there()  # what was written before is gone if the workdir was removed meanwhile
    completion.write_run_record(job.folder, record, of=settings_digest(job.config))
    return record


def _remember_compilations(workdir: Path) -> None:
    """Keep compiled programs beside the workdir, unless JAX was told where to keep them."""
    if jax.config.jax_compilation_cache_dir is None:
        folder = workdir.absolute().parent / ".compilations"
        jax.config.update("jax_compilation_cache_dir", str(folder))


def _in_order(
    runs: tuple[RunConfig, ...], done: Mapping[str, completion.RunRecord]
) -> list[completion.RunRecord]:
    return [done[run.name] for run in runs if run.name in done]


def _load(runs: tuple[RunConfig, ...], config: Mapping[str, Any]) -> dict[tuple, Dataset | Stream]:
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


def _make_runs(
    runs: tuple[RunConfig, ...],
    datasets: Mapping[tuple, Dataset | Stream],
    workdir: Path,
    shard: Shard,
) -> list[Run]:
    corpora = {
        key: StreamingDataset(each) if isinstance(each, Stream) else DeviceDataset.of(each)
        for key, each in datasets.items()
    }
    keys = [(run.data, run.renderings) for run in runs]
    return [
        make_run(run, datasets[key], corpora[key], workdir, shard)
        for run, key in zip(runs, keys, strict=True)
    ]


def _say_where(workdir: Path, finished: Sequence[completion.RunRecord]) -> None:
    print(report.table(workdir))
    for record in finished:
        for note in record.notes:
            print(f"note: {record.result.run} {note}")
    print(f"report: {workdir / 'report.html'}")
