"""Which runs are finished, as the processes that share a grid see it."""

from pathlib import Path

import pytest

from sparsity_jax.errors import UserError
from sparsity_jax.jobs import settings_digest
from sparsity_jax.reuse import finished, finished_elsewhere, unseal_damaged
from sparsity_jax.settings import default_config, expand
from sparsity_jax.storage import seals
from sparsity_jax.storage.records import RunResult


@pytest.fixture
def runs():
    config = default_config()
    config.seeds = 2
    return expand(config)


def seal(workdir: Path, run) -> Path:
    """Finish a run whose only file is `measure`."""
    folder = workdir / "runs" / run.name
    folder.mkdir(parents=True)
    (folder / "measure").write_text("sound")
    row = RunResult(run.name, "d", "BasicNet", "adam", "l2", 1e-3, 40)
    seals.write_seal(folder, seals.Seal(row), of=settings_digest(run))
    return folder


def test_a_run_damaged_while_others_wait_for_it_ends_the_waiting(tmp_path, runs):
    assert finished_elsewhere(tmp_path, runs) == {}
    first = seal(tmp_path, runs[0])
    assert list(finished_elsewhere(tmp_path, runs)) == [runs[0].name]
    (first / "measure").write_text("hurt")
    with pytest.raises(UserError, match=r"measure is missing or not what was written"):
        finished_elsewhere(tmp_path, runs)


def test_a_run_damaged_before_is_made_again_and_waited_for(tmp_path, runs, capsys):
    first, second = (seal(tmp_path, run) for run in runs)
    (first / "measure").write_text("hurt")
    assert list(finished(tmp_path, runs)) == [runs[1].name]
    assert "made again" in capsys.readouterr().err
    unseal_damaged(tmp_path, runs)
    assert list(finished_elsewhere(tmp_path, runs)) == [runs[1].name]
    assert (second / seals.NAME).exists()
