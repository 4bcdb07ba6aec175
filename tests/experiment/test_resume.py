"""Which runs are finished, as the processes that share a grid see it."""

from pathlib import Path

import pytest

from sparsity_jax.config.base import default_config
from sparsity_jax.config.sweep import expand
from sparsity_jax.errors import UserError
from sparsity_jax.experiment.resume import finished, finished_elsewhere, unseal_damaged
from sparsity_jax.storage import completion as completion
from sparsity_jax.storage.results import RunResult
from sparsity_jax.training.run import settings_digest


@pytest.fixture
def runs():
    config = default_config()
    config.seeds = 2
    return expand(config)


def record(workdir: Path, run) -> Path:
    """Finish a run whose only file is `measure`."""
    folder = workdir / "runs" / run.name
    folder.mkdir(parents=True)
    (folder / "measure").write_text("sound")
    row = RunResult(run.name, "d", "BasicNet", "adam", "l2", 1e-3, 40)
    completion.write_run_record(folder, completion.RunRecord(row), of=settings_digest(run))
    return folder


def test_a_run_damaged_while_others_wait_for_it_ends_the_waiting(tmp_path, runs):
    assert finished_elsewhere(tmp_path, runs) == {}
    first = record(tmp_path, runs[0])
    assert list(finished_elsewhere(tmp_path, runs)) == [runs[0].name]
    (first / "measure").write_text("hurt")
    with pytest.raises(UserError, match=r"measure is missing or not what was written"):
        finished_elsewhere(tmp_path, runs)


def test_a_run_damaged_before_is_made_again_and_waited_for(tmp_path, runs, capsys):
    first, second = (record(tmp_path, run) for run in runs)
    (first / "measure").write_text("hurt")
    assert list(finished(tmp_path, runs)) == [runs[1].name]
    assert "made again" in capsys.readouterr().err
    unseal_damaged(tmp_path, runs)
    assert list(finished_elsewhere(tmp_path, runs)) == [runs[1].name]
    assert (second / completion.NAME).exists()
