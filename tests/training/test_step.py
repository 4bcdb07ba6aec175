"""The training step: against PyTorch, against itself in parts, and compiled once."""

from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax.traverse_util import flatten_dict, unflatten_dict

from sparsity_jax.models.convnet import init
from sparsity_jax.optimizers import OPTIMIZERS
from sparsity_jax.training import Hparams, init_state, train_steps
from sparsity_jax.training.state import random_key
from sparsity_jax.training.step import _compiled, epoch_order, next_batch, train_step

ORACLE = Path(__file__).with_name("oracle.npz")


def hparams(seed=0, **changes) -> Hparams:
    values = {
        "learning_rate": 1e-3, "strength": 1e-3, "gamma_lr_scale": 1.0, "beta_lr_scale": 1.0,
        "beta_init": 0.0,
    } | changes  # fmt: skip
    return Hparams(**{k: jnp.float32(v) for k, v in values.items()}, seed=jnp.uint32(seed))


def same(left, right) -> bool:
    return jax.tree.all(jax.tree.map(lambda a, b: bool((a == b).all()), left, right))


def test_four_steps_are_those_of_pytorch(with_program):
    """Loss, parameters and running means after four steps, against PyTorch in float64."""
    oracle = np.load(ORACLE)
    program, numbers = with_program(drops=()), hparams(strength=1e-2)
    start = init_state(program, numbers)
    before = {
        name.removeprefix("before/"): jnp.asarray(oracle[name], jnp.float32)
        for name in oracle.files
        if name.startswith("before/")
    }
    params = unflatten_dict(before, sep="/")
    assert jax.tree.structure(params) == jax.tree.structure(start.params)
    state, losses = start._replace(params=params), []
    for images, labels in zip(oracle["images"], oracle["labels"], strict=True):
        state = train_step(program, numbers, state, jnp.float32(images), jnp.int32(labels))
        losses.append(float(state.loss_sum) - sum(losses))
    np.testing.assert_allclose(losses, oracle["losses"], rtol=2e-5)
    for name, leaf in flatten_dict(state.params, sep="/").items():
        moved = np.abs(oracle[f"after/{name}"] - oracle[f"before/{name}"]).max()
        np.testing.assert_allclose(leaf, oracle[f"after/{name}"], rtol=0, atol=2e-3 * moved)
    for name, leaf in flatten_dict(state.batch_stats, sep="/").items():
        if name.endswith("mean"):
            expected = oracle[f"mean/{name.removesuffix('/mean')}"]
            np.testing.assert_allclose(leaf, expected, rtol=1e-3, atol=1e-5)


def test_parts_equal_the_whole_bit_for_bit(program, data):
    whole = train_steps(program, hparams(), data, init_state(program, hparams()), until=13)
    parts = init_state(program, hparams())
    for stop in (1, 5, 6, 11, 13):
        parts = train_steps(program, hparams(), data, parts, until=stop)
    assert int(whole.step) == 13
    assert same(whole, parts)


def test_an_epoch_shows_every_image_once_and_epochs_differ():
    orders = [np.asarray(epoch_order(hparams(), epoch, size=45)) for epoch in range(3)]
    for order in orders:
        assert sorted(order) == list(range(45))
    assert not (orders[0] == orders[1]).all()
    assert not (orders[0] == np.asarray(epoch_order(hparams(seed=1), 0, size=45))).all()


def test_a_batch_depends_on_seed_and_step_alone(program, data):
    order = epoch_order(hparams(), 0, size=45)
    fresh = init_state(program, hparams())._replace(step=jnp.int32(3))
    trained = train_steps(program, hparams(), data, init_state(program, hparams()), until=3)
    a = next_batch(program, hparams(), data, order, fresh)
    b = next_batch(program, hparams(strength=0.5), data, order, trained)
    assert same(a, b)


def test_batches_within_an_epoch_are_the_order_cut_up(with_program, data):
    program = with_program(flip=False)
    order = epoch_order(hparams(), 0, size=45)
    fresh = init_state(program, hparams())
    labels = [
        next_batch(program, hparams(), data, order, fresh._replace(step=jnp.int32(step)))[1]
        for step in range(5)
    ]
    np.testing.assert_array_equal(np.concatenate(labels), data.train_labels[order[:40]])


def test_ten_strengths_times_three_seeds_compile_once(program, data):
    steps = _compiled(None, ())
    steps.clear_cache()
    for strength in np.logspace(-5, -1, 10):
        for seed in range(3):
            numbers = hparams(seed=seed, strength=strength)
            train_steps(program, numbers, data, init_state(program, numbers), until=2)
    assert _compiled(None, ()) is steps
    assert steps._cache_size() == 1


def test_it_learns(program, data):
    state = init_state(program, hparams())
    early = train_steps(program, hparams(), data, state, until=5)
    first = float(early.loss_sum) / 5
    late = train_steps(program, hparams(learning_rate=1e-2), data, early, until=150)
    final = train_steps(program, hparams(), data, late._replace(loss_sum=jnp.float32(0)), until=155)
    assert float(final.loss_sum) / 5 < first / 2


def test_initial_weights_do_not_depend_on_how_far_the_compiler_optimises(program):
    fresh = init_state(program, hparams(seed=3))
    fully = jax.jit(init, static_argnums=0)(program.plan, random_key(hparams(seed=3), "init"))
    assert same(fully, {"params": fresh.params, "batch_stats": fresh.batch_stats})


@pytest.mark.parametrize("value", [0.0, -0.1, 1.0])
def test_beta_starts_where_it_is_told(program, value):
    params = flatten_dict(init_state(program, hparams(beta_init=value)).params, sep="/")
    norms = [name for name in params if name.endswith("norm/bias")]
    assert len(norms) == 3
    assert all((params[name] == np.float32(value)).all() for name in norms)
    assert (params["F2/dense/bias"] == 0).all()


def test_zero_strength_is_no_regularizer(data, with_program):
    """What `make_program_config` relies on when it lets 'none' share the program of L2."""
    l2, none = with_program(), with_program(regularizer="none")
    a = train_steps(l2, hparams(strength=0), data, init_state(l2, hparams()), until=12)
    b = train_steps(none, hparams(strength=0), data, init_state(none, hparams()), until=12)
    for left, right in zip(jax.tree.leaves(a.params), jax.tree.leaves(b.params), strict=True):
        np.testing.assert_allclose(left, right, rtol=1e-4, atol=1e-6)  # rounded by other programs


def test_bfloat16_rounds_activations_but_keeps_parameters_norms_and_moments(with_program, data):
    half, full = with_program(precision="bfloat16"), with_program()
    numbers = hparams()
    start = init_state(half, numbers)
    assert same(start, init_state(full, numbers))
    rounded = train_steps(half, numbers, data, start, until=6)
    exact = train_steps(full, numbers, data, init_state(full, numbers), until=6)
    types = {leaf.dtype for leaf in jax.tree.leaves(rounded) if leaf.ndim}
    assert types == {jnp.dtype("float32")}
    assert not same(rounded.params, exact.params)
    np.testing.assert_allclose(rounded.loss_sum, exact.loss_sum, rtol=0.05)


@pytest.mark.parametrize("optimizer", sorted(OPTIMIZERS))
def test_a_fresh_state_of_any_optimizer_can_be_given_up(with_program, data, optimizer):
    """Buffers are donated: a state must not hold one of them twice."""
    program = with_program(optimizer=optimizer)
    state = train_steps(program, hparams(), data, init_state(program, hparams()), until=1)
    assert np.isfinite(float(state.loss_sum))
