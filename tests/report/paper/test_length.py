"""The full length of the paper's runs, and what is said of runs of another length."""

from __future__ import annotations

import dataclasses

import pytest

from sparsity_jax.config.base import default_config
from sparsity_jax.config.sweep import expand
from sparsity_jax.report.loading import Records
from sparsity_jax.report.paper.length import banner, full_steps, is_full, length_text, share
from sparsity_jax.storage.config_record import ConfigRecord
from sparsity_jax.storage.results import RunResult

ROW = RunResult("r", "CIFAR10", "BasicNet", "adam", "l2", 1e-4, 40, steps=406_250)


@pytest.mark.parametrize(
    ("dataset", "network", "steps"),
    [
        ("CIFAR10", "BasicNet", 406_250),
        ("cifar10_jpeg", "VGG-16", 406_250),
        ("CIFAR100", "BasicNet-64-0.5x", 406_250),
        ("TinyImageNet", "VGG-16", 1_000_000),
        ("ImageNet", "BasicNet", 800_720),
        ("ImageNet", "VGG-11", 1_281_120),
        ("ImageNet", "VGG-16", 1_601_450),
        ("ImageNet", "VGG-19", None),
        ("renderings", "BasicNet", None),
        ("mine", "BasicNet", None),
    ],
)
def test_the_full_length_is_the_papers(dataset: str, network: str, steps: int | None) -> None:
    assert full_steps(dataset, network) == steps


@pytest.mark.parametrize(("length", "full"), [(0.985, False), (0.995, True), (1.02, False)])
def test_one_percent_more_or_less_is_full_length(length: float, full: bool) -> None:
    assert is_full(length) is full
    assert bool(length_text([length])) is not full


def test_the_scale_tells_where_the_paper_has_no_length() -> None:
    mine = dataclasses.replace(ROW, dataset="renderings", steps=5_000)
    assert (share(mine, 0.125), share(mine)) == (0.125, 1.0)
    assert share(dataclasses.replace(ROW, steps=40_625), 0.5) == 0.1


def test_the_banner_tells_the_lengths_of_finished_runs() -> None:
    short = dataclasses.replace(ROW, run="s", steps=48_750)
    gone = dataclasses.replace(ROW, run="d", steps=9, status="diverged")
    assert banner(Records("x", (ROW, gone))) == ""
    assert banner(Records("x", (ROW, short))) == "shortened to 12 %"
    long = dataclasses.replace(ROW, steps=812_500)
    assert banner(Records("x", (short, long))) == "shortened to 12 %, lengthened to 200 %"
    mine = dataclasses.replace(ROW, dataset="renderings")
    config = ConfigRecord({"scale": 0.125})
    assert banner(Records("x", (mine,), config=config)) == "shortened to 12.5 %"


@pytest.mark.parametrize(
    ("settings", "part"),
    [
        ({"data": "cifar10"}, ""),
        ({"data": "cifar10", "drops": ()}, "drops=none"),
        ({"data": "cifar10", "drops": ((100.0, 0.1),)}, "drops=100-0.1"),
        ({"data": "cifar10", "reference_batch": 4000}, "reference_batch=4000"),
        ({"data": "renderings", "drops": ()}, "bg=clean"),
        ({"data": "folder:x", "drops": ()}, ""),
    ],
)
def test_another_schedule_is_another_experiment(settings: dict, part: str) -> None:
    config = default_config()
    config.update(settings)
    (run,) = expand(config)
    assert run.variant == part
