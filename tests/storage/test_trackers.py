"""Trackers: what TensorBoard's own reader finds of a run, and what reaches wandb's interface."""

import dataclasses
import json
import sys
import types

import numpy as np
import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from sparsity_jax.errors import UserError
from sparsity_jax.storage.history import Evaluation
from sparsity_jax.storage.trackers import NOWHERE, check_tracker, open_tracker, scalars

NORMS = {"gamma": {"C1": np.array([0.5, -2.0])}, "beta": {"C1": np.array([np.nan, 0.0])}}


def evaluation(step, **fields):
    return dataclasses.replace(
        Evaluation("a", step, step / 10, train_loss=1 / step, layers={"C1": 50.0}), **fields
    )


def events(folder):
    found = EventAccumulator(str(folder), size_guidance={"scalars": 0, "histograms": 0})
    return found.Reload()


def read(found, name):
    return [(event.step, pytest.approx(event.value)) for event in found.Scalars(name)]


def test_tensorboard_reads_what_was_logged(tmp_path):
    tracker = open_tracker("tensorboard", tmp_path, name="a", step=0, settings={})
    for step in (5, 10):
        tracker.log(evaluation(step), NORMS)
    tracker.close()
    found = events(tmp_path / "tensorboard")
    tags = found.Tags()
    assert set(tags["scalars"]) == {"loss/train", "epoch", "inactive/C1"}  # NaN is unknown
    assert tags["histograms"] == ["gamma/C1"]  # a beta is NaN
    assert read(found, "loss/train") == [(5, 0.2), (10, 0.1)]
    histogram = found.Histograms("gamma/C1")[0].histogram_value
    assert (histogram.min, histogram.max, histogram.num, histogram.sum) == (-2.0, 0.5, 2.0, -1.5)


def test_steps_of_an_interrupted_attempt_are_not_drawn_twice(tmp_path):
    for begun, steps in ((0, (5, 10, 15)), (10, (15, 20))):
        tracker = open_tracker("tensorboard", tmp_path, name="a", step=begun, settings={})
        for step in steps:
            tracker.log(evaluation(step, train_loss=float(begun + step)), NORMS)
        tracker.close()
    found = events(tmp_path / "tensorboard")
    assert read(found, "loss/train") == [(5, 5.0), (10, 10.0), (15, 25.0), (20, 30.0)]


def test_wandb_gets_the_same_names(tmp_path, monkeypatch):
    calls = []

    class Run:
        def log(self, values, step):
            calls.append((step, values))

        def finish(self):
            calls.append("finished")

    def init(**keywords):
        calls.append(keywords)
        return Run()

    module = types.SimpleNamespace(init=init, Histogram=list)
    monkeypatch.setitem(sys.modules, "wandb", module)
    monkeypatch.delenv("WANDB_PROJECT", raising=False)
    for _ in range(2):
        tracker = open_tracker("wandb", tmp_path, name="a", step=0, settings={"seed": 3})
        tracker.log(evaluation(5), NORMS)
        tracker.close()
    first, again = calls[0], calls[3]
    assert first["project"] == "sparsity_jax"
    assert first["config"] == {"seed": 3}
    assert first["id"] == again["id"]  # it goes on as the same run
    assert calls[1] == (5, {**scalars(evaluation(5)), "gamma/C1": [0.5, -2.0]})
    assert calls[2] == "finished"


def test_a_missing_package_is_refused_with_the_way_out(monkeypatch):
    for kind, module in (("tensorboard", "tensorboardX"), ("wandb", "wandb")):
        monkeypatch.setitem(sys.modules, module, None)
        with pytest.raises(UserError, match=f"config.tracker={kind} .*pip install"):
            check_tracker(kind)


def test_nothing_is_sent_by_default(tmp_path):
    tracker = open_tracker(None, tmp_path, name="a", step=0, settings={})
    assert tracker is NOWHERE
    tracker.log(evaluation(5), NORMS)
    tracker.close()
    assert list(tmp_path.iterdir()) == []
    assert json.dumps(scalars(evaluation(5, test_loss=float("inf"))))
