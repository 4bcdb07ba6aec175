"""What has been observed of a run travels with its checkpoints, and stays small."""

import tracemalloc

import numpy as np
import pytest

from sparsity_jax.storage.history import Evaluation
from sparsity_jax.storage.trace import Trace

FILTERS = {"C1": 3, "C2": 1, "F1": 5}


def observed(count: int) -> tuple[Trace, list[dict[str, dict[str, np.ndarray]]]]:
    """A trace of so many evaluations, and what was added to it."""
    random, trace, added = np.random.default_rng(0), Trace(), []
    for step in range(count):
        norms = {
            group: {name: random.random(size, np.float32) for name, size in FILTERS.items()}
            for group in ("gamma", "beta")
        }
        trace.add(Evaluation(run="a", step=step, epoch=step / 2, train_loss=0.5), **norms)
        added.append(norms)
    return trace, added


@pytest.mark.parametrize("count", [1, 4])
def test_a_trace_comes_back_from_what_a_checkpoint_keeps_of_it(count):
    trace, added = observed(count)
    arrays = trace.arrays()
    assert list(arrays) == [f"{g}/{name}" for g in ("gamma", "beta") for name in FILTERS]
    for name, values in arrays.items():
        group, _, layer = name.partition("/")
        np.testing.assert_array_equal(values, [norms[group][layer] for norms in added])
        assert values.dtype == np.float32
    again = Trace.of(trace.lines(), arrays)
    assert again.lines() == trace.lines()
    for name, values in again.arrays().items():
        np.testing.assert_array_equal(values, arrays[name])
    again.add(trace.evaluations[0], **added[0])
    assert again.arrays()["beta/F1"].shape == (count + 1, 5)


def test_nothing_observed_is_nothing_kept():
    assert Trace().arrays() == {}
    assert Trace.of([], {}).arrays() == {}


def test_a_trace_holds_no_view_of_what_it_was_given():
    """A view would keep a whole state alive, on the device too, for as long as the run trains."""
    trace = Trace()
    large = np.zeros(1_000_000, np.float32)
    tracemalloc.start()
    for _ in range(3):
        part = large.copy()[:5]
        trace.add(Evaluation("a", 1, 1.0), gamma={"C1": part}, beta={"C1": part})
        del part
    kept, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert kept < 100_000
