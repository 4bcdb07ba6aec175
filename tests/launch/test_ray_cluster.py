"""Shares as tasks of Ray, whose workers and nodes are killed meanwhile."""

import fcntl
import importlib.util
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from sparsity_jax.errors import UserError
from sparsity_jax.launch import ray_cluster
from sparsity_jax.launch.ray_cluster import RayCluster, run_share

LAUNCHER = """
import sys
from pathlib import Path
from sparsity_jax.distributed.preemption import Interrupted
from sparsity_jax.launch.ray_cluster import RayCluster

try:
    print(RayCluster(Path("logs"), sys.argv[1]).submit(sys.argv[2:], 2, 2))
except Interrupted as stopped:
    sys.exit(128 + stopped.signum)
"""
# Ray leaves processes, sockets and files to the garbage collector.
THREAD = ThreadPoolExecutor(1)
pytestmark = pytest.mark.filterwarnings("ignore")
with_ray = pytest.mark.skipif(
    importlib.util.find_spec("ray") is None, reason="ray is not installed (the extra `ray`)"
)


def until(true, seconds=60.0):
    """Wait for something that other processes do."""
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, "it never happened"
        time.sleep(0.02)


def parent(process: str) -> int:
    return int(Path("/proc", process, "stat").read_text().rpartition(")")[2].split()[1])


@pytest.fixture(scope="module")
def cluster():
    """A head and a second node, with room for one share each."""
    from ray.cluster_utils import Cluster

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", os.pathsep.join(filter(None, [os.getcwd(), *sys.path])))
        head = {"num_cpus": 1, "include_dashboard": False}
        nodes = Cluster(initialize_head=True, head_node_args=head)
        nodes.add_node(num_cpus=1)
        yield nodes
        nodes.shutdown()


def submitted(cluster, work, command, shares, retries=2):
    """Submit from another thread; returns the future of its codes."""
    backend = RayCluster(work.folder / "logs", cluster.address)
    return THREAD.submit(backend.submit, command, shares, retries)


@with_ray
def test_an_address_where_no_ray_is_is_wrong_input():
    with socket.socket() as closed:  # bound, but nobody listens
        closed.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{closed.getsockname()[1]}"
        with pytest.raises(UserError, match=f"no Ray at --address={address}: .*refused"):
            RayCluster(Path("logs"), address).submit(["true"], 1, 0)


@with_ray
def test_a_share_whose_worker_is_killed_starts_again_when_it_has_gone(cluster, work):
    work.ends_early(1, 3, 143)
    codes = submitted(cluster, work, work.command(units=3, seconds=0.5), 2)
    until(lambda: codes.done() or work.events("begin"))
    _, share, _, process = work.events("begin")[0]
    os.kill(parent(process), signal.SIGKILL)
    assert codes.result(90) == [0, 0]
    work.assert_each_unit_was_done_once(shares=2, units=3)
    work.assert_no_two_at_once()
    assert work.starts()[int(share)] >= 2
    assert work.starts()[1] >= 3  # after the crash and the preemption too


@with_ray
def test_asked_to_stop_all_shares_keep_a_checkpoint(cluster, work):
    command = [sys.executable, "-c", LAUNCHER, cluster.address, *work.command(seconds=60.0)]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    process = subprocess.Popen(command, cwd=work.folder, env=environment)
    until(lambda: len(work.events("begin")) == 2)
    process.send_signal(signal.SIGTERM)
    assert process.wait(60) == 143
    assert len(work.events("stopped")) == 2


@with_ray
def test_a_node_is_killed_and_nothing_is_lost_or_run_twice(cluster, work):
    codes = submitted(cluster, work, work.command(units=3, seconds=1.0), 3)
    until(lambda: codes.done() or len(work.events("begin")) == 2)
    (second,) = cluster.worker_nodes
    cluster.remove_node(second, allow_graceful=False)
    assert codes.result(90) == [0, 0, 0]
    work.assert_each_unit_was_done_once(shares=3, units=3)
    work.assert_no_two_at_once()
    assert sorted(work.starts().values()) == [1, 1, 2]
    assert len(work.events("begin")) <= 3 * 3 + 1  # one unit was cut off


def test_a_share_still_held_by_a_dying_process_is_waited_for(work, monkeypatch):
    log = work.folder / "log"
    line = [*work.command(units=1), "--share=0/1"]
    with (work.folder / "lock-0").open("a") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        threading.Timer(0.5, fcntl.flock, (held, fcntl.LOCK_UN)).start()
        assert run_share(line, log, str(work.folder)) == (0, "all done")
    assert work.events("refused")
    work.assert_each_unit_was_done_once(shares=1, units=1)

    monkeypatch.setattr(ray_cluster, "_PATIENCE_SECONDS", 0.0)  # but not for ever
    with (work.folder / "lock-0").open("a") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        code, said = run_share(line, log, str(work.folder))
    assert (code, "is in use by" in said) == (2, True)
