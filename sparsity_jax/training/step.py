"""How does one step train one run, and how are many steps taken?

The step knows nothing of sweeps: it trains one run on one batch. The batch is chosen, flipped and
normalised inside it, from (seed, epoch, step) alone, so that resuming needs nothing but the state.
"""

from __future__ import annotations

import functools
from typing import cast

import jax
import jax.numpy as jnp
import optax
from jax import lax

from sparsity_jax.data.augment import flip, normalise
from sparsity_jax.models.convnet import train_logits
from sparsity_jax.training.state import Corpus, Hypers, Params, Setup, State, make_rule, random_key


def advance(setup: Setup, hypers: Hypers, corpus: Corpus, state: State, *, until: int) -> State:
    """Train until step `until` and wait for the result.

    Every epoch sees the training images in a fresh order; the images that do not fill a last batch
    are left out of that epoch (they are others in the next).

    Args:
      setup: static description of the program.
      hypers: the run's numbers.
      corpus: the data on the device.
      state: where to start; its buffers are given up.
      until: absolute step, at least the state's.

    Returns:
      The state at step `until`, with the losses of the batches added to `loss_sum`.

    Example:
      >>> int(advance(setup, hypers, corpus, state, until=10).step)
      10
    """
    size = len(corpus.train_labels)
    steps_per_epoch = size // setup.batch_size
    step = int(state.step)
    while step < until:
        epoch, place = divmod(step, steps_per_epoch)
        count = min(until - step, steps_per_epoch - place)
        order = epoch_order(hypers, epoch, size=size)
        state = _take_steps(setup, hypers, corpus, order, state, count)
        step += count
    return jax.block_until_ready(state)


@functools.partial(jax.jit, static_argnames="size")
def epoch_order(hypers: Hypers, epoch: int | jax.Array, *, size: int) -> jax.Array:
    """The order (size,) in which an epoch sees the training images: a function of seed, epoch."""
    key = jax.random.fold_in(random_key(hypers, "order"), epoch)
    return jax.random.permutation(key, size)


def _take_steps(
    setup: Setup, hypers: Hypers, corpus: Corpus, order: jax.Array, state: State, count: int
) -> State:
    """`count` steps within one epoch: one call each on CPU, one call for all elsewhere.

    A loop inside the program would save nothing on a CPU, whose steps are long, and XLA compiles
    what stands inside loops less well there. On accelerators launching dominates.
    """
    if jax.default_backend() == "cpu":
        for _ in range(count):
            state = _one_step(setup, hypers, corpus, order, state)
        return state
    return _many_steps(setup, hypers, corpus, order, state, count)


@functools.partial(jax.jit, static_argnums=0, donate_argnums=4)
def _one_step(
    setup: Setup, hypers: Hypers, corpus: Corpus, order: jax.Array, state: State
) -> State:
    return train_step(setup, hypers, state, *next_batch(setup, hypers, corpus, order, state))


@functools.partial(jax.jit, static_argnums=0, donate_argnums=4)
def _many_steps(
    setup: Setup, hypers: Hypers, corpus: Corpus, order: jax.Array, state: State, count: jax.Array
) -> State:
    def body(_: jax.Array, state: State) -> State:
        return train_step(setup, hypers, state, *next_batch(setup, hypers, corpus, order, state))

    return lax.fori_loop(0, count, body, state)


def next_batch(
    setup: Setup, hypers: Hypers, corpus: Corpus, order: jax.Array, state: State
) -> tuple[jax.Array, jax.Array]:
    """The batch that the state's next step sees, given its epoch's order.

    Returns:
      (normalised float images (batch, height, width, channels), labels (batch,)).
    """
    place = state.step % (len(order) // setup.batch_size)
    chosen = lax.dynamic_slice_in_dim(order, place * setup.batch_size, setup.batch_size)
    images = normalise(corpus.train_images[chosen], corpus.mean, corpus.std)
    if setup.flip:
        images = flip(jax.random.fold_in(random_key(hypers, "flip"), state.step), images)
    return images, corpus.train_labels[chosen]


def train_step(
    setup: Setup, hypers: Hypers, state: State, images: jax.Array, labels: jax.Array
) -> State:
    """One step of one run: forward, backward, update.

    loss = mean over the batch of -log softmax(logits)[label]; the regularizer is not part of it,
    it lives in the optimizer, as in the paper's comparison of L2 with weight decay.
    """

    def loss_of(params: Params) -> tuple[jax.Array, Params]:
        variables = {"params": params, "batch_stats": state.batch_stats}
        logits, batch_stats = train_logits(setup.plan, variables, images)
        losses = optax.softmax_cross_entropy_with_integer_labels(logits, labels)
        return jnp.mean(losses), batch_stats

    (loss, batch_stats), gradients = jax.value_and_grad(loss_of, has_aux=True)(state.params)
    rule = make_rule(setup, hypers)
    updates, opt_state = rule.update(gradients, state.opt_state, state.params)
    return State(
        step=state.step + 1,
        params=cast(Params, optax.apply_updates(state.params, updates)),
        batch_stats=batch_stats,
        opt_state=opt_state,
        loss_sum=state.loss_sum + loss,
    )
