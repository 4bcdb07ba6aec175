"""Cores: all are given out, and evenly."""

import os
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sparsity_jax.distributed import cores
from sparsity_jax.distributed.cores import core_count, divide, keep_apart


@given(st.integers(1, 40), st.integers(1, 60))
def test_every_part_gets_a_core_and_every_core_a_part(count, parts):
    given_out = divide(range(count), parts)
    sizes = [len(part) for part in given_out]
    assert len(given_out) == parts
    assert max(sizes) - min(sizes) <= 1
    assert {core for part in given_out for core in part} == set(range(count))
    assert sum(sizes) == max(count, parts)


@pytest.mark.parametrize(("text", "most"), [("150000 100000", 1), ("max 100000", 99), ("", 99)])
def test_a_containers_share_of_time_counts(tmp_path, monkeypatch, text, most):
    (tmp_path / "cpu.max").write_text(text)
    monkeypatch.setattr(cores, "_QUOTA", tmp_path / "cpu.max")
    monkeypatch.setattr(cores, "_own_cores", lambda: list(range(99)))
    assert core_count() == most


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="no affinity on this system")
def test_processes_are_kept_apart_and_one_alone_gets_all():
    line = [sys.executable, "-c", "input()"]
    with subprocess.Popen(line, stdin=-1) as first, subprocess.Popen(line, stdin=-1) as second:
        keep_apart([first.pid, second.pid])
        own = [os.sched_getaffinity(each.pid) for each in (first, second)]
        if len(os.sched_getaffinity(0)) == core_count() > 1:
            assert own[0].isdisjoint(own[1])
            assert own[0] | own[1] == os.sched_getaffinity(0)
        keep_apart([second.pid])
        assert os.sched_getaffinity(second.pid) == os.sched_getaffinity(0)
        first.communicate(b"\n")
        second.communicate(b"\n")
