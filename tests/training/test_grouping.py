"""Runs of one config train together: results as alone, also after an interruption."""

import dataclasses
import os
import shutil
import subprocess
import sys
from pathlib import Path

import jax
import numpy as np
import pytest

from sparsity_jax.config.base import default_config
from sparsity_jax.config.sweep import expand
from sparsity_jax.data import Dataset
from sparsity_jax.distributed.preemption import Interrupted
from sparsity_jax.training import DeviceDataset, grouping, trainer
from sparsity_jax.training.grouping import groups
from sparsity_jax.training.run import make_run


def test_a_group_gives_the_rows_of_runs_alone_and_goes_on_after_an_interruption(
    main, rows, monkeypatch, capsys
):
    assert main("--workdir=together") == 0
    assert "2 runs in one program, at most 0.0" in capsys.readouterr().out
    assert main("--workdir=alone", "--config.members=1") == 0
    assert "in one program" not in capsys.readouterr().out
    assert rows("together") == rows("alone")

    save, left = trainer.Checkpoints.save, [3]  # two members, twice: stop inside the second

    def dying(*arguments, **keywords):
        if left[0] == 0:
            raise Interrupted(15)
        left[0] -= 1
        save(*arguments, **keywords)

    often = "--config.checkpoint_seconds=0"
    with monkeypatch.context() as patch:
        patch.setattr(trainer.Checkpoints, "save", dying)
        assert main("--workdir=parts", often) == 143
    steps = [sorted(folder.glob("checkpoints/*")) for folder in Path("parts/runs").iterdir()]
    assert sorted(map(len, steps)) == [1, 2]  # the members' newest checkpoints differ
    litter = Path("parts/runs") / rows("together")[0]["run"] / "pruned" / ".plan.json.1.tmp"
    litter.parent.mkdir()
    litter.write_text("left by a process that was killed")
    assert main("--workdir=parts", often) == 0
    assert not litter.exists()
    assert " steps from " in capsys.readouterr().out
    assert rows("parts") == rows("together")
    history = [Path(workdir, "history.jsonl").read_bytes() for workdir in ("parts", "alone")]
    assert history[0] == history[1]


def test_a_diverging_member_is_reported_and_leaves_the_other_as_it_is(main, rows, capsys):
    sweep = "--config.sweep=({'learning_rate': 1e30}, {'learning_rate': 1e-3})"
    assert main("--workdir=both", "--config.seeds=1", sweep) == 0
    said = capsys.readouterr().out
    assert "2 runs in one program" in said
    assert "diverged between steps 0 and " in said
    assert main("--workdir=alone", "--config.seeds=1") == 0
    wild, usual = rows("both")
    assert (wild["status"], usual["status"]) == ("diverged", "finished")
    (alone,) = rows("alone")
    assert {**usual, "run": "", "variant": ""} == {**alone, "run": "", "variant": ""}


def small(**overrides):
    config = default_config()
    config.width, config.epochs, config.batch_size = "0.0625", 1.0, 8
    config.update(overrides)
    images = np.zeros((40, 8, 8, 1), np.uint8)
    labels = np.arange(40, dtype=np.int32) % 3
    dataset = Dataset("toy", images, labels, images, labels, class_names=("a", "b", "c"))
    return config, dataset


def test_groups_hold_what_shares_a_program_evenly_and_in_order(tmp_path):
    config, dataset = small(seeds=3)
    config.sweep = (
        {"strength": 1e-3}, {"optimizer": "sgd"}, {"regularizer": "none"}, {"regularizer": "wd"},
    )  # fmt: skip
    data = DeviceDataset.of(dataset)
    found = [make_run(run, dataset, data, tmp_path) for run in expand(config)]
    split = groups(found, most=4)
    names = sorted(each.config.name for group in split for each in group)
    assert names == sorted(each.config.name for each in found)
    # Adam's L2 and none share a program (six runs, in two even groups); SGD and WD do not.
    assert sorted(len(group) for group in split) == [3, 3, 3, 3]
    assert all(len({each.program for each in group}) == 1 for group in split)
    assert split[0][0] is found[0]
    assert [len(group) for group in groups(found, most=1)] == [1] * len(found)
    assert jax.default_backend() != "cpu" or max(map(len, groups(found))) <= 4


@pytest.mark.parametrize(("free_members", "sizes"), [(100, [7, 5, 5]), (6, [3, 4, 5, 5])])
def test_on_a_gpu_groups_are_as_large_as_there_are_runs_and_memory(
    tmp_path, monkeypatch, free_members, sizes
):
    """A table's strengths of one optimizer are one group: no number of members is aimed at."""
    config, dataset = small()
    config.sweep = tuple(
        {"optimizer": optimizer, "strength": 10.0**-power}
        for optimizer, count in (("adam", 7), ("sgd", 5), ("adadelta", 5))
        for power in range(count)
    )
    data = DeviceDataset.of(dataset)
    found = [make_run(run, dataset, data, tmp_path) for run in expand(config)]
    most = max(grouping.member_bytes(run.program) for run in found)
    monkeypatch.setattr(grouping, "free_bytes", lambda: int(free_members * most))
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    monkeypatch.setattr(jax, "local_device_count", lambda: 1)
    assert [len(group) for group in groups(found)] == sizes


def test_equal_data_share_a_program_wherever_they_lie_and_other_data_do_not(tmp_path):
    config, dataset = small()
    (run,) = expand(config)
    other = dataclasses.replace(dataset, train_labels=np.roll(dataset.train_labels, 1))
    first, again, rolled = (
        make_run(run, each, DeviceDataset.of(each), tmp_path) for each in (dataset, dataset, other)
    )
    assert [len(group) for group in groups([first, again, rolled], most=4)] == [2, 1]


@pytest.mark.parametrize("backend", ["cpu", "gpu", "tpu"])
def test_runs_that_are_cut_on_the_way_are_groups_of_one(tmp_path, monkeypatch, backend):
    config, dataset = small(seeds=3, prune_during_training=True)
    data = DeviceDataset.of(dataset)
    found = [make_run(run, dataset, data, tmp_path) for run in expand(config)]
    monkeypatch.setattr(jax, "default_backend", lambda: backend)
    assert groups(found, most=4) == [(run,) for run in found]


def test_seeds_that_are_cut_differently_train_as_if_alone(main, rows):
    cutting = [
        "--config.prune_during_training=True", "--config.prune_patience=1",
        "--config.prune_least_gain=0.01", "--config.regularizer=wd", "--config.strength=0.875",
        "--config.learning_rate=1e-28", "--config.evaluations=8",
    ]  # fmt: skip
    assert main("--workdir=both", *cutting) == 0
    assert main("--workdir=alone", "--config.seeds=1", *cutting) == 0
    first, second = rows("both")
    assert [first] == rows("alone")
    assert all(float(row["train_macs_pct"]) < 100 for row in (first, second))


def test_a_grid_compiles_once_and_not_at_all_the_second_time(tmp_path):
    """In new processes: ten strengths and three seeds are one program, which the disk keeps."""
    root, cache = Path(__file__).parents[2], tmp_path / "compilations"
    environment = {
        **os.environ,
        "PYTHONPATH": str(root),
        "JAX_COMPILATION_CACHE_DIR": str(cache),
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
    }

    def compiled() -> list[str]:
        line = [sys.executable, str(root / "tests" / "helpers" / "thirty_runs.py")]
        done = subprocess.run(
            line, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr[-2000:]
        return sorted(path.name for path in cache.glob("*-cache"))

    first = compiled()
    assert sum("in_turn" in name for name in first) == 1, first
    shutil.rmtree(tmp_path / "runs")
    assert compiled() == first
