"""Bookkeeping of cuts, in the original network's terms."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sparsity_jax.models import make_plan
from sparsity_jax.pruning import cost
from sparsity_jax.pruning.shrink import everything, still_kept
from sparsity_jax.training.cuts import (
    Cut,
    CutRule,
    cut_steps,
    decode_cuts,
    encode_cuts,
    kept_after,
    next_keep,
    plan_after,
    train_macs_pct,
    why_few_cuts,
)

PLAN = make_plan("BasicNet", classes=5, input_shape=(16, 16, 3), width=0.0625)


def random_cuts(seed: int, count: int) -> list[Cut]:
    rng, kept, cuts = np.random.default_rng(seed), everything(PLAN), []
    for turn in range(count):
        keep = {n: rng.random(len(places)) < 0.7 for n, places in kept.items()}
        for mask in keep.values():
            mask[0] = True
        kept = still_kept(kept, keep)
        cuts.append(Cut(10 * (turn + 1), kept))
    return cuts


@given(st.integers(0, 1000), st.integers(0, 4))
@settings(max_examples=20, deadline=None)
def test_what_is_left_and_what_was_cut_are_everything(seed, count):
    cuts = random_cuts(seed, count)
    gone = cut_steps(PLAN, cuts)
    for (name, places), conv in zip(kept_after(PLAN, cuts).items(), PLAN.convs, strict=True):
        assert np.array_equal(np.flatnonzero(gone[name] < 0), places)
        assert len(gone[name]) == conv.filters
        for cut in cuts:  # a filter's step is the first cut that lacks it
            assert all((gone[name][c] < 0) or (gone[name][c] > cut.step) for c in cut.kept[name])
    again = decode_cuts(json.loads(json.dumps(encode_cuts(cuts))))
    assert encode_cuts(again) == encode_cuts(cuts)


def test_multiply_adds_are_added_step_by_step():
    cuts = random_cuts(0, 3)
    macs = [cost(plan_after(PLAN, [c for c in cuts if c.step <= step])).macs for step in range(50)]
    expected = 100 * sum(macs) / (50 * cost(PLAN).macs)
    assert train_macs_pct(PLAN, cuts, steps=50) == pytest.approx(expected)
    assert train_macs_pct(PLAN, [], steps=50) == 100


def test_a_cut_is_due_when_enough_of_the_living_died():
    cuts = [Cut(5, {**everything(PLAN), "C7": np.arange(0, 32, 2)})]
    gammas = {
        name: np.ones((4, c.filters)) for name, c in zip(PLAN.layer_names, PLAN.convs, strict=True)
    }
    betas = {name: np.full(gamma.shape, -1e-9) for name, gamma in gammas.items()}
    gammas["C7"][:, 1::2] = 0  # those were cut: their last values stand
    betas["C7"][:, 1::2] = 0

    def due(patience: int = 3, least_gain: float = 0.05):
        rule = CutRule(patience, least_gain)
        return next_keep(PLAN, cuts, gammas=gammas, betas=betas, rule=rule)

    assert due() is None
    gammas["C6"][:, :20] = 1e-35
    assert due() is None  # they still answer a constant
    betas["C6"][-2:, :] = 0
    assert due() is None  # they did three evaluations ago
    betas["C6"][-3:, :] = 0
    keep = due()
    assert keep is not None
    assert keep["C6"].tolist() == [False] * 20 + [True] * 12
    assert keep["C7"].all()
    assert len(keep["C7"]) == 16
    assert due(patience=4) is None
    assert due(least_gain=0.9) is None


@pytest.mark.parametrize(
    ("setting", "why"),
    [
        (("adam", "l2", 1e-3, 1e-4), ""),
        (("adam", "l2", 1e-3, 1e-3), "below 3.8e-07; here it is 1e-06: expect few cuts before"),
        (("adam", "l2", 1e-4, 1e-3), ""),
        (("rmsprop", "l2", 1e-3, 1e-4), "below 2e-08; here it is 1e-07"),
        (("amsgrad", "l2", 1e-3, 1e-4), "amsgrad with l2 takes gamma and beta"),
        (("adam", "wd", 1e-3, 1e-4), "adam with wd takes gamma and beta of dead filters to 0"),
        (("sgd", "none", 1e-1, 0.0), "expect no cut"),
    ],
)
def test_why_a_run_will_hardly_be_cut(setting, why):
    optimizer, regularizer, rate, strength = setting
    said = why_few_cuts(optimizer, regularizer, learning_rate=rate, strength=strength)
    assert (said == "") if why == "" else (why in said)
