"""What is measured at a run's end: peaks, both kinds of sparsity, and leaky networks."""

from __future__ import annotations

import jax
import numpy as np

from sparsity_jax.experiment.measure import measure
from sparsity_jax.experiment.prune import _masked_act_error


def _measured(small_run, dead_state, **fields):
    run = small_run(**fields)
    state = dead_state(run, beta=-0.5)
    return run, state, measure(run, jax.device_get(state.variables))


def test_peaks_tell_who_is_inactive_by_activation(small_run, dead_state) -> None:
    run, state, found = _measured(small_run, dead_state)
    assert set(found["peak"]) == set(found["inactive_act"]) == set(found["inactive_gamma"])
    for layer, peak in found["peak"].items():
        np.testing.assert_array_equal(peak <= 1e-12, found["inactive_act"][layer])
    assert found["inactive_act"]["C2"][[1, 4]].all()
    assert found["universality"]["C2"][1] == 0
    zeroed = _masked_act_error(run, state, found["inactive_act"])
    untouched = {layer: np.zeros_like(mask) for layer, mask in found["inactive_act"].items()}
    assert zeroed == _masked_act_error(run, state, untouched)
    assert np.isnan(_masked_act_error(run, state, {}))


def test_leaky_networks_count_by_the_positive_side(small_run, dead_state) -> None:
    """A filter that is always below zero answers to nothing; by activation nothing is told."""
    _, _, found = _measured(small_run, dead_state, negative_slope=0.01)
    assert found["inactive_act"] == {}
    assert found["universality"]["C2"][[1, 4]].tolist() == [0, 0]
    assert found["peak"]["C2"][1] == 0
    assert found["universality"]["C2"].max() > 0
