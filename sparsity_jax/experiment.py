"""The story of one command, top to bottom: runs, data, training, measuring, pruning, report."""

from __future__ import annotations

import importlib.metadata
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax
from ml_collections import ConfigDict

from sparsity_jax import __version__, data, report
from sparsity_jax.data import Dataset
from sparsity_jax.fitting import Job, fit, make_job
from sparsity_jax.outcome import settle
from sparsity_jax.settings import Run, expand
from sparsity_jax.storage import workdir as workdirs
from sparsity_jax.storage.artifacts import ConfigRecord, write_config
from sparsity_jax.storage.records import RunResult, read_results, write_results
from sparsity_jax.training import Corpus

_PACKAGES = ("jax", "jaxlib", "flax", "optax", "orbax-checkpoint", "numpy")


def run(config: ConfigDict, workdir: Path, *, overwrite: bool = False, command: str = "") -> None:
    """Train, measure and prune every run of a config, and report.

    The same call again goes on where it stopped; once all is done it only prints the table.

    Args:
      config: as `settings.default_config` describes; checked here before anything is computed.
      workdir: where every result goes.
      overwrite: remove what the workdir holds, even of another config.
      command: the line a reader types to run this again.

    Raises:
      UserError: what is wrong with the config, the data or the workdir, in one line.
    """
    runs = expand(config)
    settled = config.to_dict()
    workdirs.check(workdir, settled, overwrite=overwrite)
    done = {} if overwrite else {row.run: row for row in read_results(workdir / "results.csv")}
    if all(run.name in done for run in runs) and (workdir / "report.html").exists():
        _say_where(workdir)
        return

    _remember_compilations(workdir)
    datasets = _load(runs, settled["data_dir"])
    jobs = _make_jobs(runs, datasets, workdir)

    if overwrite:
        workdirs.clear(workdir)
    _write_config(workdir, settled, runs, command)
    for place, job in enumerate(jobs, start=1):
        if job.run.name not in done:
            fitted = fit(job, place=f"{place}/{len(jobs)}")
            done[job.run.name] = settle(job, fitted)
            write_results(workdir / "results.csv", _in_order(runs, done))

    report.build(workdir)
    _say_where(workdir)


def _remember_compilations(workdir: Path) -> None:
    """Keep compiled programs beside the workdir, unless JAX was told where to keep them."""
    if jax.config.jax_compilation_cache_dir is None:
        folder = workdir.absolute().parent / ".compilations"
        jax.config.update("jax_compilation_cache_dir", str(folder))


def _in_order(runs: tuple[Run, ...], done: Mapping[str, RunResult]) -> list[RunResult]:
    return [done[run.name] for run in runs if run.name in done]


def _load(runs: tuple[Run, ...], data_dir: str | None) -> dict[tuple, Dataset]:
    """Every data set that the runs name, once."""
    return {
        key: data.load(
            key[0], data_dir=Path(data_dir) if data_dir else None, renderings=dict(key[1])
        )
        for key in dict.fromkeys((run.data, run.renderings) for run in runs)
    }


def _make_jobs(
    runs: tuple[Run, ...], datasets: Mapping[tuple, Dataset], workdir: Path
) -> list[Job]:
    corpora = {key: Corpus.of(dataset) for key, dataset in datasets.items()}
    keys = [(run.data, run.renderings) for run in runs]
    return [
        make_job(run, datasets[key], corpora[key], workdir)
        for run, key in zip(runs, keys, strict=True)
    ]


def _write_config(
    workdir: Path, config: Mapping[str, Any], runs: tuple[Run, ...], command: str
) -> None:
    record = ConfigRecord(
        config=config,
        runs=tuple(run.name for run in runs),
        versions={"sparsity_jax": __version__}
        | {name: importlib.metadata.version(name) for name in _PACKAGES},
        devices=tuple(device.device_kind for device in jax.devices()),
        commit=_commit(),
        command=command,
    )
    write_config(workdir / "config.json", record)


def _commit() -> str | None:
    """The commit of the code, if it runs from a checkout."""
    try:
        found = subprocess.run(
            ("git", "rev-parse", "HEAD"),
            cwd=Path(__file__).parent,
            capture_output=True,
            text=True,
            check=True,
        )
    except (OSError, subprocess.CalledProcessError):
        return None
    return found.stdout.strip()


def _say_where(workdir: Path) -> None:
    print(report.table(workdir))
    print(f"report: {workdir / 'report.html'}")
