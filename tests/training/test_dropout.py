"""Dropout of hidden dense units: its definition, and that seed and step alone decide it."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from sparsity_jax.config import default_config
from sparsity_jax.config.sweep import expand
from sparsity_jax.errors import UserError
from sparsity_jax.models import Conv, Plan, make_plan
from sparsity_jax.models.convnet import ConvNet, init, logits, train_logits
from sparsity_jax.training import Hparams, init_state, make_program_config, train_steps
from sparsity_jax.training.members import MAPPED, member, stack
from sparsity_jax.training.population import (
    MemberMapping,
    on_devices,
    split_batch,
    train_population,
)

WIDE = Plan("wide head", (Conv(4),), (6, 6, 1), "global", (64, 32), 5)
IMAGES = jax.random.normal(jax.random.key(1), (40, 6, 6, 1))
DROPPED = 0.3


def hparams(seed: int) -> Hparams:
    numbers = [jnp.float32(value) for value in (1e-3, 1e-3, 1, 1, 0)]
    return Hparams(*numbers, seed=jnp.uint32(seed))


@functools.cache
def head(dropout: float, seed: int = 0) -> tuple[np.ndarray, np.ndarray, dict]:
    """What the first hidden layer hands on, the logits and the statistics in a training step."""
    apply = ConvNet(WIDE, dropout=dropout).apply
    key = {"dropout": jax.random.key(seed)}
    collections = ["batch_stats", "intermediates"]
    made, seen = apply(
        init(WIDE, jax.random.key(0)),
        IMAGES,
        train=True,
        rngs=key,
        mutable=collections,
        capture_intermediates=True,
    )
    hidden = seen["intermediates"]["F1"]["__call__"][0]
    return np.asarray(hidden), np.asarray(made), seen["batch_stats"]


def test_a_unit_is_dropped_or_divided_by_the_share_that_stays():
    whole, _, statistics = head(0.0)
    some, _, same_statistics = head(DROPPED)
    np.testing.assert_allclose(some[some != 0], (whole / (1 - DROPPED))[some != 0], rtol=1e-6)
    assert ((some == 0) | (whole != 0)).all()
    # The first norm sees what nothing was dropped from; the second is normalised anew.
    np.testing.assert_array_equal(
        statistics["F1"]["norm"]["mean"], same_statistics["F1"]["norm"]["mean"]
    )
    answered = whole != 0
    dropped, units = int((some == 0)[answered].sum()), int(answered.sum())
    assert stats.binomtest(dropped, units, DROPPED).pvalue > 1e-3
    assert (head(DROPPED, seed=1)[0] != some).any()


def test_the_last_hidden_layer_is_dropped_from_too_and_evaluation_never():
    variables, key = init(WIDE, jax.random.key(0)), jax.random.key(0)
    drawn, _, _ = train_logits(WIDE, variables, IMAGES, dropout=DROPPED, dropout_key=key)
    np.testing.assert_array_equal(drawn, head(DROPPED)[1])
    one = Plan("one", (Conv(4),), (6, 6, 1), "global", (64,), 5)
    variables = init(one, key)
    answers = [
        train_logits(one, variables, IMAGES, dropout=share, dropout_key=key)[0]
        for share in (0.0, DROPPED)
    ]
    assert (answers[0] != answers[1]).all()
    evaluated = ConvNet(one, dropout=DROPPED).apply(variables, IMAGES, train=False)
    np.testing.assert_array_equal(evaluated, logits(one, variables, IMAGES))


def test_a_run_in_parts_drops_what_the_whole_drops(with_program, data):
    program = with_program(dropout=0.5)
    whole = train_steps(program, hparams(0), data, init_state(program, hparams(0)), until=13)
    state = init_state(program, hparams(0))
    for stop in (1, 5, 6, 13):
        state = train_steps(program, hparams(0), data, state, until=stop)
    assert jax.tree.all(jax.tree.map(np.array_equal, whole, state))
    usual = train_steps(with_program(), hparams(0), data, init_state(program, hparams(0)), until=13)
    assert not np.array_equal(whole.loss_sum, usual.loss_sum)


@pytest.mark.parametrize("mapping", [*MAPPED, "split"])
def test_members_and_devices_drop_what_a_run_alone_drops(with_program, data, mapping):
    program = with_program(dropout=0.5)
    members = [hparams(0)] if mapping == "split" else [hparams(0), hparams(1)]
    how = split_batch(program.batch_size) if mapping == "split" else MemberMapping(mapping)
    state = on_devices(stack([init_state(program, own) for own in members]), how)
    there = on_devices(data, how)
    state = train_population(program, stack(members), there, state, until=7, mapping=how)
    for i, own in enumerate(members):
        alone = train_steps(program, own, data, init_state(program, own), until=7)
        np.testing.assert_allclose(member(state, i).loss_sum, alone.loss_sum, rtol=1e-4)


def run_with(dropout: float):
    config = default_config()
    config.dropout = dropout
    (run,) = expand(config)
    return run


@pytest.mark.parametrize("wrong", [1.0, -0.1, float("nan"), float("inf")])
def test_a_share_that_is_none_is_refused(wrong):
    with pytest.raises(UserError, match=r"config\.dropout.*0 or more, and below 1"):
        run_with(wrong)


def test_it_is_in_the_name_of_a_run_and_refused_where_no_layer_is_hidden():
    assert "dropout=0.5" in run_with(0.5).name
    assert "dropout" not in run_with(0.0).name
    plans = [make_plan(name, classes=10, input_shape=(32, 32, 3)) for name in ("VGG-16", "VGG-19")]
    assert make_program_config(run_with(0.5), plans[0], 400).dropout == 0.5
    with pytest.raises(UserError, match="VGG-19 has none on these data; give 0"):
        make_program_config(run_with(0.5), plans[1], 400)
