"""A real SLURM takes the script, where one is installed; the long trial is a program."""

import sys
from pathlib import Path

import pytest

from sparsity_jax.launch.slurm import Resources, script

sys.path.insert(0, str(Path(__file__).parents[1] / "faults"))

import slurm_controller

lacking = slurm_controller.missing()
pytestmark = pytest.mark.skipif(
    bool(lacking), reason=f"{', '.join(lacking)} not installed (apt-get install slurm-wlm munge)"
)


def test_slurm_runs_one_task_per_share_and_tries_again_after_a_crash(work, tmp_path):
    work.ends_early(1, 3)
    ask = Resources("job", time="5:00", cpus=1)
    (tmp_path / "slurm").mkdir()
    with slurm_controller.cluster(tmp_path / "slurm") as slurm:
        job = slurm.submit(script(work.command(units=2), 2, 2, ask))
        tasks = slurm.finish(job, seconds=60)
    assert [(task["JobState"], task["ExitCode"]) for task in tasks] == [("COMPLETED", "0:0")] * 2
    assert work.starts() == {0: 1, 1: 2}
    work.assert_each_unit_was_done_once(shares=2, units=2)
