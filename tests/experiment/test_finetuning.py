"""Training after pruning goes on exactly where the run stopped, with fewer filters."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from sparsity_jax.experiment.prune import prune_network
from sparsity_jax.pruning import keep_by, prune, prune_like
from sparsity_jax.training import init_state, train_steps
from sparsity_jax.training.finetune import finetune


def copied(tree):
    return jax.tree.map(lambda leaf: jnp.array(leaf, copy=True), tree)


def everything(plan):
    return {name: np.ones(filters, bool) for name, (_, _, filters) in layers(plan)}


def layers(plan):
    return zip(plan.layer_names, plan.map_shapes, strict=True)


def assert_close(a, b, atol=1e-6):
    jax.tree.map(lambda x, y: np.testing.assert_allclose(x, y, rtol=1e-4, atol=atol), a, b)


def test_with_every_filter_kept_it_is_the_run_going_on(small_run):
    """The optimizer's memory, the step count, the epoch's order and the schedule all carry over."""
    made = small_run()
    state = train_steps(made.program, made.hparams, made.data,
                    init_state(made.program, made.hparams), until=8)  # fmt: skip
    longer = train_steps(made.program, made.hparams, made.data, copied(state), until=13)
    plan = made.program.plan
    keep = everything(plan)
    variables = finetune(made, state, keep, prune(plan, state.variables, keep), steps=5)
    jax.tree.map(np.testing.assert_array_equal, variables, jax.device_get(longer.variables))
    assert int(state.step) == 8  # and the run's own state can still be used


@pytest.mark.parametrize("optimizer", ["adam", "sgd"])
def test_without_dead_filters_it_trains_as_with_inactive_ones(small_run, dead_state, optimizer):
    """gamma = beta = 0 gets no gradient: the dense network trains its other filters alike."""
    made = small_run(optimizer=optimizer)
    state = dead_state(made)
    plan, keep = made.program.plan, keep_by("gamma", state.variables)
    variables = finetune(made, state, keep, prune(plan, state.variables, keep), steps=3)
    program = dataclasses.replace(made.program, drops=())  # fine-tuning from step 0 has met no drop
    dense = train_steps(program, made.hparams, made.data, copied(state), until=3)
    alike = jax.device_get(prune_like(dense.variables, plan, keep))
    # Adam moves a weight by a whole learning rate whatever the size of its gradient, so that one
    # whose gradient is all rounding may go either way: a few may, by so much, and no others.
    apart = [
        np.abs(a - b).ravel()
        for a, b in zip(jax.tree.leaves(variables), jax.tree.leaves(alike), strict=True)
    ]
    apart = np.concatenate(apart)
    assert (apart > 1e-3).mean() == 0 or optimizer == "adam"
    assert (apart > 1e-4).mean() < 1e-3
    assert apart.max() <= 2 * 3 * made.config.learning_rate


def test_the_learning_rate_is_the_runs_last(small_run):
    """A drop that the run did not reach is not reached by fine-tuning either."""
    late, never = small_run(drops=((0.5, 0.1), (1.5, 0.0))), small_run(drops=((0.5, 0.1),))
    plan = late.program.plan
    keep = everything(plan)
    state = train_steps(late.program, late.hparams, late.data,
                    init_state(late.program, late.hparams), until=1)  # fmt: skip
    small = prune(plan, state.variables, keep)
    tuned = [finetune(made, state, keep, small, steps=3) for made in (late, never)]
    jax.tree.map(np.testing.assert_array_equal, *tuned)


def test_the_record_holds_the_errors_before_and_after(small_run, dead_state):
    made = small_run(finetune_epochs=2.0, reference_batch=8)
    pruned_run = prune_network(made, dead_state(made))
    record = pruned_run.record
    assert record.finetune_steps == 12
    assert record.error_before_finetuning == record.masked_test_error
    assert record.pruned_test_error == pruned_run.score.error
    assert made.config.variant.endswith("finetune=2")
