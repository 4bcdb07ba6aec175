"""The sbatch script: what it asks for, and what it does, run by bash in place of SLURM."""

import os
import signal
import subprocess
import time
from pathlib import Path

import pytest

from sparsity_jax.launch.slurm import Resources, script

SHARE = 1


def options(text: str) -> dict[str, str]:
    lines = [line.removeprefix("#SBATCH --") for line in text.splitlines() if "#SBATCH" in line]
    return {name: value for name, _, value in (line.partition("=") for line in lines)}


def batch(work, *, retries: int = 2, seconds: float = 0.0) -> subprocess.Popen:
    """Run the script as SLURM runs task 1 of the array, with a scontrol that writes down."""
    path, tools = work.folder / "job.sh", work.folder / "bin"
    path.write_text(script(work.command(units=2, seconds=seconds), 3, retries, Resources("job")))
    tools.mkdir(exist_ok=True)
    (tools / "scontrol").write_text(f'#!/bin/sh\necho "$@" >> {work.folder}/scontrol\n')
    (tools / "scontrol").chmod(0o755)
    environment = {
        **os.environ,
        "PATH": f"{tools}{os.pathsep}{os.environ['PATH']}",
        "SLURM_ARRAY_TASK_ID": str(SHARE),
        "SLURM_ARRAY_JOB_ID": "70",
        "SLURM_JOB_ID": "72",
    }
    return subprocess.Popen(["bash", path], env=environment, stdout=subprocess.DEVNULL)


def begun(work) -> None:
    deadline = time.monotonic() + 30
    while not work.events("begin"):
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_the_script_asks_for_what_was_asked(tmp_path):
    ask = Resources("sweep", time="1:00:00", partition="gpu", gpus=1, cpus=8, mem="16G")
    text = script(["train", "--config.name=it's $HOME"], 12, 2, ask)
    assert options(text) == {
        "job-name": "sweep",
        "array": "0-11",
        "ntasks": "1",
        "time": "1:00:00",
        "partition": "gpu",
        "gpus": "1",
        "cpus-per-task": "8",
        "mem": "16G",
        "signal": "B:USR1@120",
        "open-mode": "append",
        "requeue": "",
    }
    assert not {"time", "gpus", "mem"} & set(options(script(["train"], 1, 0, Resources("job"))))
    for retries in (0, 3):
        Path(tmp_path, "job.sh").write_text(script(["a b", "$c'd"], 1, retries, ask))
        subprocess.run(["bash", "-n", tmp_path / "job.sh"], check=True)


@pytest.mark.parametrize(
    ("endings", "code", "starts"),
    [((), 0, 1), ((3, -9), 0, 3), ((3, 3, 3), 3, 3), ((2,), 2, 1), ((1, 143), 143, 2)],
)
def test_a_task_trains_its_share_and_tries_again_after_a_crash(work, endings, code, starts):
    work.ends_early(SHARE, *endings)
    assert batch(work).wait(30) == code
    assert work.starts() == {SHARE: starts}
    if code == 0:
        assert [line[1:3] for line in work.events("end")] == [["1", "0"], ["1", "1"]]
    assert not (work.folder / "scontrol").exists()


@pytest.mark.parametrize(
    ("signum", "queued"), [(signal.SIGUSR1, ["requeue 70_1"]), (signal.SIGTERM, [])]
)
def test_before_the_time_limit_the_share_stops_and_is_queued_again(work, signum, queued):
    process = batch(work, seconds=60.0)
    begun(work)
    process.send_signal(signum)
    assert process.wait(30) == 143
    assert len(work.events("stopped")) == 1
    assert work.starts() == {SHARE: 1}
    noted = work.folder / "scontrol"
    assert (noted.read_text().splitlines() if noted.exists() else []) == queued
    assert batch(work).wait(30) == 0  # the next start goes on
    assert len(work.events("end")) == 2
