"""Compiled calls cover a stretch of training, each within an epoch; a GPU's are of fixed length."""

import jax
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sparsity_jax.training.calls import FIXED_STEPS, calls, check_every_steps


@pytest.mark.parametrize("backend", ["cpu", "gpu", "tpu"])
def test_calls_cover_every_step_once_and_stay_within_an_epoch(backend, monkeypatch):
    monkeypatch.setattr(jax, "default_backend", lambda: backend)

    @settings(deadline=None)
    @given(st.integers(0, 900), st.integers(0, 900), st.integers(1, 400))
    def holds(start, length, steps_per_epoch):
        step = start
        for call in calls(start, start + length, steps_per_epoch=steps_per_epoch):
            assert call.epoch == step // steps_per_epoch
            assert call.epoch == (step + call.steps - 1) // steps_per_epoch
            assert call.fixed == (backend == "gpu" and call.steps == FIXED_STEPS)
            assert call.steps <= FIXED_STEPS or backend != "gpu"
            step += call.steps
        assert step == start + length

    holds()


def test_fixed_calls_fill_what_lies_between_two_checks(monkeypatch):
    assert check_every_steps() == 50
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    made = list(calls(0, check_every_steps(), steps_per_epoch=1250))
    assert all(call.fixed for call in made)
    assert len(made) == 5
