"""What has been observed of a run travels with its checkpoints, and stays small."""

import tracemalloc

import numpy as np
import pytest

from sparsity_jax.storage.history import Evaluation
from sparsity_jax.storage.measurements import (
    TIMED,
    EvalLog,
    decode_measurements,
    encode_measurements,
)

FILTERS = {"C1": 3, "C2": 1, "F1": 5}


def observed(count: int) -> tuple[EvalLog, list[dict[str, dict[str, np.ndarray]]]]:
    """A trace of so many evaluations, and what was added to it."""
    random, eval_log, added = np.random.default_rng(0), EvalLog(), []
    for step in range(count):
        norms = {
            group: {name: random.random(size, np.float32) for name, size in FILTERS.items()}
            for group in ("gamma", "beta")
        }
        eval_log.add(Evaluation(run="a", step=step, epoch=step / 2, train_loss=0.5), **norms)
        added.append(norms)
    return eval_log, added


@pytest.mark.parametrize("count", [1, 4])
def test_a_trace_comes_back_from_what_a_checkpoint_keeps_of_it(count):
    eval_log, added = observed(count)
    arrays = eval_log.arrays()
    assert list(arrays) == [f"{g}/{name}" for g in ("gamma", "beta") for name in FILTERS]
    for name, values in arrays.items():
        group, _, layer = name.partition("/")
        np.testing.assert_array_equal(values, [norms[group][layer] for norms in added])
        assert values.dtype == np.float32
    again = EvalLog.of(eval_log.lines(), arrays)
    assert again.lines() == eval_log.lines()
    for name, values in again.arrays().items():
        np.testing.assert_array_equal(values, arrays[name])
    again.add(eval_log.evaluations[0], **added[0])
    assert again.arrays()["beta/F1"].shape == (count + 1, 5)


def test_activity_is_kept_beside_gamma_and_beta():
    eval_log, added = EvalLog(), []
    rng = np.random.default_rng(1)
    for step in range(3):
        groups = {
            group: {name: rng.random(size, np.float32) for name, size in FILTERS.items()}
            for group in TIMED
        }
        eval_log.add(Evaluation(run="a", step=step, epoch=step / 2), **groups)
        added.append(groups)
    measured = EvalLog.of(eval_log.lines(), eval_log.arrays()).measure(
        cut_step={"C1": np.array([-1, 2, -1])}
    )
    again = decode_measurements(encode_measurements(measured))
    assert again.cut_step["C1"].tolist() == [-1, 2, -1]
    for group in TIMED:
        for layer, values in getattr(again, group).items():
            np.testing.assert_array_equal(values, [groups[group][layer] for groups in added])


def test_files_of_before_activity_was_kept_are_read():
    eval_log, _ = observed(2)
    arrays = encode_measurements(eval_log.measure())
    assert {name.partition("/")[0] for name in arrays} == {"step", "epoch", "gamma", "beta"}
    measured = decode_measurements(arrays)
    assert measured.fired == measured.pull == measured.cut_step == {}
    assert measured.layers == tuple(FILTERS)


def test_nothing_observed_is_nothing_kept():
    assert EvalLog().arrays() == {}
    assert EvalLog.of([], {}).arrays() == {}


def test_a_trace_holds_no_view_of_what_it_was_given():
    """A view would keep a whole state alive, on the device too, for as long as the run trains."""
    eval_log = EvalLog()
    large = np.zeros(1_000_000, np.float32)
    tracemalloc.start()
    for _ in range(3):
        part = large.copy()[:5]
        eval_log.add(Evaluation("a", 1, 1.0), gamma={"C1": part}, beta={"C1": part})
        del part
    kept, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert kept < 100_000
