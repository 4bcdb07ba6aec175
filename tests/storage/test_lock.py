"""Does one process at a time hold a workdir, and do the dead let go?"""

import os
import subprocess
import sys

import pytest

from sparsity_jax.errors import UserError
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


def test_looking_leaves_nothing_behind(tmp_path):
    assert not is_held(tmp_path / "absent")
    assert list(tmp_path.iterdir()) == []
