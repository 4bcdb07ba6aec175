"""Number of processes: one per core where that pays, else one."""

from dataclasses import replace
from pathlib import Path

import pytest

from sparsity_jax.config.base import default_config
from sparsity_jax.config.sweep import expand
from sparsity_jax.distributed.shards import WHOLE, Shard
from sparsity_jax.experiment import process_count as counting
from sparsity_jax.experiment.process_count import process_count
from sparsity_jax.training import DeviceDataset
from sparsity_jax.training.run import Run, make_run


@pytest.fixture
def groups(toy) -> list[list[Run]]:
    config = default_config()
    config.seeds, config.width, config.pool_after = 5, "0.0625", (1, 3)
    data = toy(200, 40)
    device = DeviceDataset.of(data)
    return [[make_run(run, data, device, Path())] for run in expand(config)]


@pytest.fixture
def worth(monkeypatch) -> None:
    monkeypatch.setattr(counting, "LEAST_WORK", 0.0)
    monkeypatch.setattr(counting, "core_count", lambda: 4)


def test_one_per_core_and_never_more_than_groups(groups, worth):
    assert process_count(None, groups, split="members") == 4
    assert process_count(None, groups[:3], split="members") == 3
    assert process_count(None, groups[:1], split="members") == 1
    assert process_count(2, groups, split="members") == 2
    assert process_count(5, groups, split="members") == 5


def test_one_by_default_for_little_work_and_for_a_share(groups, worth, monkeypatch):
    assert process_count(None, groups, split="members", shard=Shard(0, 2)) == 1
    assert process_count(2, groups, split="members", shard=Shard(0, 2)) == 2
    monkeypatch.undo()
    assert process_count(None, groups, split="members", shard=WHOLE) == 1
    much = [[replace(run, steps=10**9) for run in group] for group in groups]
    monkeypatch.setattr(counting, "core_count", lambda: 4)
    assert process_count(None, much, split="members") == 4


def test_as_many_as_memory_holds_and_it_is_said(groups, worth, monkeypatch, capsys):
    monkeypatch.setattr(counting, "free_bytes", lambda: 2 * 2**30)
    assert process_count(None, groups, split="members") == 2
    assert capsys.readouterr().out == ""
    assert process_count(4, groups, split="members") == 2
    assert "in 2 processes, not 4: memory" in capsys.readouterr().out


def test_an_accelerator_is_not_shared(groups, worth, monkeypatch, capsys):
    monkeypatch.setattr(counting.jax, "default_backend", lambda: "gpu")
    assert process_count(None, groups, split="members") == 1
    assert capsys.readouterr().out == ""
    assert process_count(2, groups, split="members") == 1
    assert "in one process, not 2: it would share the GPU" in capsys.readouterr().out
