"""One process at a time holds a workdir, and a dead one lets go."""

import contextlib
import os
import subprocess
import sys
import threading

import pytest

from sparsity_jax.distributed.shards import Shard
from sparsity_jax.errors import UserError
from sparsity_jax.storage import lock
from sparsity_jax.storage.lock import hold, is_held, refuse_if_held

HOLDER = """
import sys, time
from pathlib import Path
from sparsity_jax.storage.lock import hold
with hold(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(60)
"""


def test_a_second_holder_is_told_about_the_first_and_may_follow_it(tmp_path):
    with hold(tmp_path / "new"):
        assert is_held(tmp_path / "new")
        with pytest.raises(UserError, match=f"process {os.getpid()} on "), hold(tmp_path / "new"):
            pass
    refuse_if_held(tmp_path / "new")
    with hold(tmp_path / "new"):
        pass


def test_the_lock_of_a_killed_process_is_free(tmp_path):
    command = [sys.executable, "-c", HOLDER, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        with pytest.raises(UserError, match=f"process {process.pid} "):
            refuse_if_held(tmp_path)
        process.kill()
        process.wait()
    with hold(tmp_path):
        pass


@pytest.mark.parametrize("shard", [Shard(), Shard(1, 2)])
def test_a_lock_held_from_another_machine_is_waited_for(tmp_path, monkeypatch, capsys, shard):
    """Such as that of a dead node, which the server of a network file system gives back late."""
    with contextlib.ExitStack() as dead, monkeypatch.context() as patch:
        patch.setattr(lock.socket, "gethostname", lambda: "node3")
        dead.enter_context(hold(tmp_path, shard))
        patch.undo()
        refuse_if_held(tmp_path, shard)  # it is not refused early
        assert is_held(tmp_path, shard)
        patch.setattr(lock, "LEASE_SECONDS", 0.3)
        with pytest.raises(UserError, match="on node3 since"), hold(tmp_path, shard):
            pass
        assert "waiting up to 0 s in case it is gone" in capsys.readouterr().err
        patch.setattr(lock, "LEASE_SECONDS", 30.0)
        released = threading.Timer(0.5, dead.close)
        released.start()
        with hold(tmp_path, shard):
            released.join()
    assert capsys.readouterr().err.count("waiting") == 1


def test_a_workdir_that_was_moved_or_made_anew_is_no_longer_the_one_held(tmp_path):
    workdir = tmp_path / "run"
    with hold(workdir) as held:
        held.check_still_there()
        workdir.rename(tmp_path / "away")
        with pytest.raises(UserError, match="has vanished"):
            held.check_still_there()
        workdir.mkdir()
        (workdir / lock.NAME).touch()
        with pytest.raises(UserError, match="has vanished"):
            held.check_still_there()
        (tmp_path / "away").rename(tmp_path / "run2")
    with hold(tmp_path / "run2") as held:
        held.check_still_there()


def test_looking_leaves_nothing_behind(tmp_path):
    assert not is_held(tmp_path / "absent")
    assert list(tmp_path.iterdir()) == []


def test_shares_hold_a_workdir_together_and_each_alone(tmp_path, monkeypatch):
    monkeypatch.setattr(lock, "PATIENCE_SECONDS", 0.1)
    with hold(tmp_path, Shard(0, 3)), hold(tmp_path, Shard(2, 3)):
        with pytest.raises(UserError, match=r"share 2/3 of .* is in use by process"):
            refuse_if_held(tmp_path, Shard(2, 3))
        with pytest.raises(UserError, match="in use"), hold(tmp_path, Shard(2, 3)):
            pass
        with pytest.raises(UserError, match="in use"), hold(tmp_path):
            pass
        with pytest.raises(UserError, match=r"shared out 3 ways .* --share=I/3"):
            hold(tmp_path, Shard(1, 2)).__enter__()
    with hold(tmp_path), pytest.raises(UserError, match="in use"), hold(tmp_path, Shard(0, 3)):
        pass
    with hold(tmp_path, Shard(1, 2)):  # another number, now that nobody is there
        pass
