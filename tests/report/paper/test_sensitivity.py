"""The share of inactive filters at several thresholds, from gamma and peaks alone."""

from __future__ import annotations

import dataclasses

import numpy as np

from sparsity_jax.report.loading import Records
from sparsity_jax.report.paper.sensitivity import sensitivity_table
from sparsity_jax.storage.measurements import Measurements
from sparsity_jax.storage.results import RunResult

ROW = RunResult("a", "CIFAR10", "BasicNet", "adam", "l2", 1e-4, 40)
MEASURED = Measurements(
    np.array([1]), np.array([1.0]), {"C1": np.array([[1e-5, -5e-4, 5e-3, 0.05, 1.0]])}, {},
    peak={"C1": np.array([0.0, 1e-10, 1e-6, 5e-3, 3.0])},
)  # fmt: skip


def _line(measured: Measurements) -> list[str]:
    (line,) = sensitivity_table(Records("x", (ROW,), measures={"a": measured})).lines
    return [cell.text for cell in line[1:]]


def test_a_higher_threshold_counts_more_filters() -> None:
    by_gamma, by_act = ["20.0", "40.0", "60.0", "80.0"], ["20.0", "40.0", "60.0", "60.0", "80.0"]
    assert _line(MEASURED) == by_gamma + by_act


def test_older_files_tell_nothing_by_activation() -> None:
    assert _line(dataclasses.replace(MEASURED, peak={}))[4:] == ["-"] * 5


def test_runs_that_were_not_measured_have_no_line() -> None:
    assert sensitivity_table(Records("x", (ROW,))).lines == ()
