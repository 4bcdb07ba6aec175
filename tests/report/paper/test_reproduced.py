"""The record of full-length runs: what is entered comes back, and shortened runs stay out."""

import dataclasses

import pytest

from sparsity_jax.errors import UserError
from sparsity_jax.report.paper.reproduced import (
    decode,
    encode,
    entries,
    record_path,
    reproduced,
)
from sparsity_jax.storage.config_record import ConfigRecord
from sparsity_jax.storage.results import RunResult

ROWS = (
    RunResult("adam", "CIFAR10", "BasicNet", "adam", "l2", 1e-4, 40, steps=406250,
              status="finished", test_error=10.5, sparsity_gamma=70.25, layers=(44.0, 22.0)),
    RunResult("vgg", "CIFAR100", "VGG-16", "adam", "l2", 1e-4, 40, steps=406250,
              layers=(1.0,) * 13),
)  # fmt: skip


def record(**config):
    versions = {"sparsity_jax": "0.1", "jax": "0.10.2"}
    full = {"data": "cifar10", "network": "BasicNet", "epochs": 325.0, "scale": 1.0, "sweep": []}
    return ConfigRecord({**full, **config}, versions=versions, devices=("H",) * 2)


def test_what_is_entered_comes_back():
    made = entries(record(), ROWS, config="table1.py:cifar10", date="2026-01-31")
    assert repr(decode(encode(made))) == repr(made)
    assert made[0].device == "2 x H"
    assert made[0].versions == "sparsity_jax 0.1; jax 0.10.2"


@pytest.mark.parametrize(
    ("config", "said"),
    [
        ({"scale": 0.5}, "scale=0.5"),
        ({"scale": 2.0}, "scale=2"),
        ({"sweep": [{}, {"scale": 0.1}]}, "scale=0.1"),
        ({"epochs": 300.0}, "epochs=300"),
        ({"reference_batch": 4000}, "reference_batch=4000"),
        ({"data": "tiny_imagenet"}, "epochs=325: .* 1,000,000"),  # full length of another set
        ({"data": "imagenet2012", "network": "VGG-19"}, "only the paper's experiments"),
        ({"data": "renderings"}, "only the paper's experiments"),
        ({"data": "folder:mnist.zip"}, "only the paper's experiments"),
    ],
)
def test_what_is_no_full_length_run_of_the_paper_is_refused(config, said):
    with pytest.raises(UserError, match=said):
        entries(record(**config), ROWS, config="table1.py", date="2026-01-31")


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"strength": 3e-4}, "no table"),
        ({"variant": "drops=none"}, "no table"),
        ({"variant": "width=0.0625"}, "no table"),
        ({"dataset": "mine"}, "no table"),
        ({"steps": 40_625}, "10 %"),
        ({"status": "failed"}, "has failed"),
    ],
)
def test_a_row_that_the_paper_does_not_have_is_refused(changes, said):
    row = dataclasses.replace(ROWS[0], **changes)
    with pytest.raises(UserError, match=said):
        entries(record(), [row], config="table1.py", date="2026-01-31")


def test_a_run_that_diverged_is_entered():
    row = dataclasses.replace(ROWS[0], steps=50, status="diverged")
    assert len(entries(record(), [row], config="table1.py", date="2026-01-31")) == 1


def test_the_committed_record_reads_and_holds_only_full_runs():
    assert record_path().read_text(encoding="utf-8") == encode(reproduced())
    assert all(entry.row.steps > 0 for entry in reproduced())
