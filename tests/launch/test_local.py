"""Shares as processes of this machine."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from sparsity_jax.launch import local
from sparsity_jax.launch.child import last_line
from sparsity_jax.launch.local import Local

LAUNCHER = """
import sys
from pathlib import Path
from sparsity_jax.distributed.preemption import Interrupted
from sparsity_jax.launch.local import Local

try:
    print(Local(Path("logs"), at_once=2).submit(sys.argv[1:], 3, 2))
except Interrupted as stopped:
    sys.exit(128 + stopped.signum)
"""


def until(true, seconds=30.0):
    """Wait for something that other processes do."""
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, "it never happened"
        time.sleep(0.02)


def launcher(work, *, seconds: float) -> subprocess.Popen:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    command = [sys.executable, "-c", LAUNCHER, *work.command(units=2, seconds=seconds)]
    return subprocess.Popen(command, cwd=work.folder, env=environment, stdout=subprocess.DEVNULL)


def test_crashed_shares_go_on_where_they_stopped(work):
    work.ends_early(1, 3)
    work.ends_early(2, -9, 1, 1)
    work.ends_early(3, 2)
    logs = work.folder / "logs"
    assert Local(logs, at_once=3).submit(work.command(), 4, 2) == [0, 0, 1, 2]
    assert work.starts() == {0: 1, 1: 2, 2: 3, 3: 1}
    assert last_line(logs / "share-0-of-4.log") == "all done"
    assert last_line(logs / "share-3-of-4.log") == "error: this start ends with 2"
    assert Local(logs, at_once=1).submit(work.command(), 4, 0) == [0, 0, 0, 0]
    work.assert_each_unit_was_done_once(shares=4, units=2)
    work.assert_no_two_at_once()


def test_no_more_run_at_once_than_asked(work):
    assert Local(work.folder, at_once=2).submit(work.command(units=1, seconds=0.2), 5, 0) == [0] * 5
    running, most = 0, 0
    for event, *_ in work.events():
        running += {"begin": 1, "end": -1}.get(event, 0)
        most = max(most, running)
    assert most == 2


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_is_handed_on_and_the_same_again_finishes(work, signum):
    process = launcher(work, seconds=0.5)
    until(lambda: len(work.events("begin")) >= 2)
    process.send_signal(signum)
    assert process.wait(30) == 128 + signum
    assert len(work.events("stopped")) == 2
    assert work.starts() == {0: 1, 1: 1}  # the third is not begun any more
    assert launcher(work, seconds=0.0).wait(30) == 0
    work.assert_each_unit_was_done_once(shares=3, units=2)
    work.assert_no_two_at_once()


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells children of their parent")
def test_shares_keep_a_checkpoint_and_end_when_the_launcher_is_killed(work):
    process = launcher(work, seconds=60.0)
    until(lambda: len(work.events("begin")) == 2)
    process.kill()
    process.wait(30)
    until(lambda: len(work.events("stopped")) == 2)


def test_a_command_that_cannot_start_is_a_crash_that_is_explained(work, capsys):
    log = work.folder / "logs"
    assert Local(log, at_once=1).submit(["/nowhere/python"], 1, 0) == [1]
    assert "No such file" in capsys.readouterr().out


def test_one_share_at_once_where_an_accelerator_is(monkeypatch):
    monkeypatch.setattr(os, "cpu_count", lambda: 16)
    monkeypatch.setenv("JAX_PLATFORMS", "cpu")
    assert local.usual_at_once() == 4
    monkeypatch.delenv("JAX_PLATFORMS")
    monkeypatch.setattr(Path, "glob", lambda self, name: iter(["it"] if "accel" in name else []))
    assert local.usual_at_once() == 1
    monkeypatch.setattr(Path, "glob", lambda self, name: iter([]))
    monkeypatch.setattr(os, "cpu_count", lambda: 2)
    assert local.usual_at_once() == 1
