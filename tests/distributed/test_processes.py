"""Processes that share a grid: the results of one process, and one fate when something happens."""

import itertools
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import jax
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sparsity_jax.distributed.preemption import Interrupted
from sparsity_jax.distributed.processes import (
    SINGLE_PROCESS,
    ProcessInfo,
    announced,
    initialize,
    stop_elsewhere,
    stopping_together,
    this_process,
)
from sparsity_jax.distributed.shards import Shard, parse_shard
from sparsity_jax.errors import UserError

HERE = Path(__file__).parents[1] / "helpers"
FOUR = ("--config.seeds=2",)  # runs, of which two share a program
LONG = (*FOUR, "--config.epochs=200000", "--config.drops=()")
PATIENCE_SECONDS = 900.0  # on a machine that does much else beside


@pytest.fixture
def start() -> Iterator[Callable[..., list[subprocess.Popen]]]:
    """Starts processes, each with so many devices, that work together on the small grid."""
    started = []

    def several(workdir: str, count: int, *flags: str, devices: int = 1) -> list[subprocess.Popen]:
        line = [
            sys.executable, str(HERE / "one_of_many.py"), f"--config={HERE / 'small_grid.py'}:wide",
            f"--workdir={workdir}", f"--coordinator=localhost:{free_port()}", *flags,
        ]  # fmt: skip
        there = {
            "PYTHONPATH": str(HERE.parents[1]),
            "JAX_NUM_CPU_DEVICES": str(devices),
            "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",  # eleven processes compile alike
        }
        processes = []
        for index in range(count):
            with Path(f"{workdir}.{index}.log").open("w") as log:
                each = [*line, f"--process={index}/{count}"]
                process = subprocess.Popen(
                    each, stdout=log, stderr=log, env={**os.environ, **there}
                )
                processes.append(process)
                started.append(process)
        return processes

    yield several
    for process in started:
        process.kill()
        process.wait()


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("localhost", 0))
        return free.getsockname()[1]


def wait_for(condition, processes) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not condition():
        assert time.monotonic() < deadline
        assert all(process.poll() is None for process in processes), [
            log.read_text() for log in Path().glob("*.log")
        ]
        time.sleep(0.1)


def ended(processes: list[subprocess.Popen]) -> list[int]:
    return [process.wait(timeout=PATIENCE_SECONDS) for process in processes]


def both_train() -> bool:
    """Both processes have taken steps, as their logs say."""
    return all(", loss " in Path(f"together.{index}.log").read_text() for index in range(2))


def test_a_signal_to_one_stops_both_and_four_finish_as_one_would(main, rows, start):
    assert main("--workdir=alone", *FOUR, config=":wide") == 0
    two = start("together", 2, *LONG)
    wait_for(both_train, two)
    two[1].send_signal(signal.SIGTERM)
    assert ended(two) == [143, 143]
    kept = {path.parent.parent.name for path in Path().glob("together/runs/*/checkpoints/*")}
    assert kept == {folder.name for folder in Path("together/runs").iterdir()}
    assert len(kept) == 4  # two runs a process
    again = start("together", 2, *LONG)
    wait_for(both_train, again)
    assert all(" steps from " in Path(f"together.{i}.log").read_text() for i in range(2))
    again[0].kill()  # the one that leads: the other must not wait for it for ever
    assert ended(again)[1] not in (0, None)

    assert ended(start("four", 4, *FOUR)) == [0, 0, 0, 0]
    assert rows("four") == rows("alone")
    histories = [Path(w, "history.jsonl").read_bytes() for w in ("four", "alone")]
    assert histories[0] == histories[1]
    assert not list(Path("four").glob("history.*-of-*.jsonl"))
    for run in Path("alone/runs").iterdir():
        for name in ("measure.npz", "pruned/weights.npz"):
            assert (Path("four/runs") / run.name / name).read_bytes() == (run / name).read_bytes()


def test_two_hosts_that_split_the_batch_are_one_host_with_two_devices(main, rows, start):
    split = "--config.split=batch"
    assert ended(start("one", 1, split, devices=2)) == [0]
    two = start("two", 2, split, "--config.epochs=200000", "--config.drops=()")
    wait_for(lambda: ", loss " in Path("two.0.log").read_text(), two)
    two[1].send_signal(signal.SIGTERM)
    assert ended(two) == [143, 143]
    assert list(Path("two/runs").glob("*/checkpoints/*"))  # of the run they shared
    assert ended(start("two", 2, split, "--overwrite")) == [0, 0]
    assert rows("two") == rows("one")
    histories = [Path(w, "history.jsonl").read_bytes() for w in ("one", "two")]
    assert histories[0] == histories[1]


def test_shares_started_one_after_the_other_end_as_the_whole(main, rows, capsys):
    grid = {"config": ":wide"}
    assert main("--workdir=whole", **grid) == 0
    assert main("--workdir=parts", "--share=1/2", **grid) == 0
    assert "share 1/2 is finished; 1 of all 2 runs are" in capsys.readouterr().out
    assert len(rows("parts")) == 1
    assert not Path("parts/report.html").exists()
    assert main("--workdir=parts", "--share=0/2", **grid) == 0
    assert "report: parts/report.html" in capsys.readouterr().out
    assert rows("parts") == rows("whole")
    histories = [Path(w, "history.jsonl").read_bytes() for w in ("parts", "whole")]
    assert histories[0] == histories[1]
    assert main("--workdir=parts", **grid) == 0  # finished: only the table
    assert main("--workdir=many", "--share=4/5", **grid) == 0  # more shares than runs
    assert "0 of all 2 runs" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (["--share=2/2"], "is not I/N"),
        (["--share=x"], "is not I/N"),
        (["--share=0/2", "--overwrite"], "give one of the two"),
        (["--share=0/2", "--process=0/2"], "do not know of each other"),
        (["--coordinator=localhost:1"], "go together"),
    ],
)
def test_wrong_shares_are_refused_in_one_line(main, capsys, flags, said):
    assert main(*flags) == 2
    assert said in capsys.readouterr().err
    assert not Path("runs").exists()


@given(count=st.integers(1, 9), size=st.integers(0, 30))
def test_shares_are_a_partition(count, size):
    shares = [Shard(index, count).of(range(size)) for index in range(count)]
    assert sorted(itertools.chain.from_iterable(shares)) == list(range(size))
    assert max(map(len, shares)) - min(map(len, shares)) <= 1
    assert all(parse_shard(str(Shard(index, count))) == (index, count) for index in range(count))


@given(st.text(max_size=8))
def test_any_text_is_a_share_or_refused(text):
    try:
        index, count = parse_shard(text)
    except UserError:
        return
    assert 0 <= index < count


def test_the_environment_tells_of_a_job_of_several_processes():
    step = {"SLURM_STEP_NODELIST": "n[1-2]", "SLURM_PROCID": "0"}
    assert announced({**step, "SLURM_NTASKS": "2"})
    assert announced({"JAX_COORDINATOR_ADDRESS": "leader:1234"})
    assert announced({"TPU_WORKER_HOSTNAMES": "t0,t1"})
    assert not announced({**step, "SLURM_NTASKS": "1"})  # as in a job array
    assert not announced({"SLURM_JOB_ID": "7", "SLURM_NTASKS": "8"})  # before srun
    assert not announced({"TPU_WORKER_HOSTNAMES": "localhost"})
    if not announced({}):
        assert initialize() == Shard()
        assert this_process() == SINGLE_PROCESS
    assert jax.process_count() == 1


def test_what_ends_one_process_is_told_to_the_others(tmp_path):
    first, second = ProcessInfo(0, 2, "ab"), ProcessInfo(1, 2, "ab")
    with stopping_together(first, tmp_path):
        assert stop_elsewhere() is None
        with pytest.raises(Interrupted), stopping_together(second, tmp_path):
            raise Interrupted(signal.SIGTERM)
        told = stop_elsewhere()
        assert isinstance(told, Interrupted)
        assert told.signum == signal.SIGTERM
    with stopping_together(ProcessInfo(0, 2, "cd"), tmp_path) as stop_signal:
        assert stop_signal() is None  # a notice of an earlier start
        with (
            pytest.raises(OSError, match="full"),
            stopping_together(ProcessInfo(1, 2, "cd"), tmp_path),
        ):
            raise OSError("full")
        assert "process 1 of 2 ended: OSError: full" in str(stop_signal())
    with stopping_together(SINGLE_PROCESS, tmp_path) as stop_signal:
        assert stop_signal() is None
    assert stop_elsewhere() is None


def test_a_process_that_is_lost_in_a_sum_over_all_ends_the_others_in_one_line(tmp_path):
    dispatching = "Error dispatching computation: "
    lost = jax.errors.JaxRuntimeError(f"INTERNAL: {dispatching}{dispatching}Gloo failed: reset\nat")
    with pytest.raises(UserError, match=r"^process 1 of 2 cannot go on \(Gloo failed: reset\); "):  # noqa: SIM117
        with stopping_together(ProcessInfo(1, 2, "ab"), tmp_path):
            raise lost
    with stopping_together(ProcessInfo(0, 2, "ab"), tmp_path) as stop_signal:
        assert "process 1 of 2" in str(stop_signal())
    with pytest.raises(jax.errors.JaxRuntimeError), stopping_together(SINGLE_PROCESS, tmp_path):
        raise lost
