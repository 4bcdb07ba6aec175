"""How does one step train one run, and how are many steps taken?

The step knows nothing of sweeps: it trains one run on one batch. The batch is chosen, cropped,
flipped and normalised inside it (one that streams in is chosen before it), from (seed, epoch, step)
alone, so that resuming needs nothing but the state.
"""

from __future__ import annotations

import functools
from typing import cast

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import lax
from jax.sharding import Sharding

from sparsity_jax.data.augment import (
    flip,
    normalise,
    pad_crop,
    random_crop,
    random_resized_crop,
)
from sparsity_jax.models.convnet import train_logits
from sparsity_jax.training.loss import cross_entropy
from sparsity_jax.training.order import epoch_order
from sparsity_jax.training.state import Corpus, Hypers, Params, Setup, State, make_rule, random_key
from sparsity_jax.training.streamed import StreamedCorpus


def advance(
    setup: Setup,
    hypers: Hypers,
    corpus: Corpus | StreamedCorpus,
    state: State,
    *,
    until: int,
    split: Sharding | None = None,
) -> State:
    """Train until step `until` and wait for the result.

    Every epoch sees the training images in a fresh order; the images that do not fill a last batch
    are left out of that epoch (they are others in the next).

    Args:
      setup: static description of the program.
      hypers: the run's numbers.
      corpus: the data, on the device or streaming to it; the result is the same.
      state: where to start; its buffers are given up.
      until: absolute step, at least the state's.
      split: devices that each take a part of every batch that streams in.

    Returns:
      The state at step `until`, with the losses of the batches added to `loss_sum`.

    Example:
      >>> int(advance(setup, hypers, corpus, state, until=10).step)
      10
    """
    step = int(state.step)
    if isinstance(corpus, StreamedCorpus):
        constants = np.asarray(corpus.mean), np.asarray(corpus.std)
        for batch in corpus.batches(setup, hypers, start=step, stop=until, split=split):
            state = _step_on(setup, hypers, *constants, *batch, state)
        return jax.block_until_ready(state)
    size = corpus.train_size
    steps_per_epoch = size // setup.batch_size
    while step < until:
        epoch, place = divmod(step, steps_per_epoch)
        count = min(until - step, steps_per_epoch - place)
        order = epoch_order(hypers, epoch, size=size)
        state = _take_steps(setup, hypers, corpus, order, state, count)
        step += count
    return jax.block_until_ready(state)


def take_steps(
    setup: Setup,
    hypers: Hypers,
    corpus: Corpus,
    order: jax.Array,
    state: State,
    count: jax.Array,
    *,
    split: Sharding | None = None,
) -> State:
    """`count` steps of one run within one epoch, given the epoch's order of images.

    With `split`, the devices of that sharding each take a part of every batch.
    """

    def body(_: jax.Array, state: State) -> State:
        return one_step(setup, hypers, corpus, order, state, split=split)

    return lax.fori_loop(0, count, body, state)


# Many steps in one call: launching is paid once, and so are a program's temporary buffers, which a
# CPU otherwise faults in anew (43,000 pages a step at width 1, a third of its time).
_take_steps = jax.jit(take_steps, static_argnums=0, donate_argnums=4)


def one_step(
    setup: Setup,
    hypers: Hypers,
    corpus: Corpus,
    order: jax.Array,
    state: State,
    *,
    split: Sharding | None = None,
) -> State:
    """The state's next step on the batch that is its turn."""
    images, labels = next_batch(setup, hypers, corpus, order, state)
    if split is not None:
        images, labels = lax.with_sharding_constraint((images, labels), split)
    return train_step(setup, hypers, state, images, labels)


@functools.partial(jax.jit, static_argnums=0, donate_argnums=6)
def _step_on(
    setup: Setup,
    hypers: Hypers,
    mean: jax.Array | np.ndarray,
    std: jax.Array | np.ndarray,
    images: jax.Array,
    labels: jax.Array,
    state: State,
) -> State:
    """The step on a batch that streamed in as uint8."""
    constants = jnp.asarray(mean), jnp.asarray(std)
    seen = augmented(setup, hypers, state.step, images, *constants)
    return train_step(setup, hypers, state, seen, labels)


def next_batch(
    setup: Setup, hypers: Hypers, corpus: Corpus, order: jax.Array, state: State
) -> tuple[jax.Array, jax.Array]:
    """The batch that the state's next step sees, given its epoch's order.

    Returns:
      (normalised float images (batch, height, width, channels), labels (batch,)).
    """
    place = state.step % (len(order) // setup.batch_size)
    chosen = lax.dynamic_slice_in_dim(order, place * setup.batch_size, setup.batch_size)
    stored = corpus.train_images[chosen]
    images = augmented(setup, hypers, state.step, stored, corpus.mean, corpus.std)
    return images, corpus.train_labels[chosen]


def augmented(
    setup: Setup,
    hypers: Hypers,
    step: jax.Array,
    images: jax.Array,
    mean: jax.Array,
    std: jax.Array,
) -> jax.Array:
    """Stored images (uint8) as a step trains on them: cropped, normalised, flipped, by its setup.

    What is drawn is a function of (seed, step) and of the place in the batch.
    """
    crop = {"crop": random_crop, "resized_crop": random_resized_crop}.get(setup.augment)
    if crop is not None:
        key = jax.random.fold_in(random_key(hypers, "crop"), step)
        images = crop(key, images, setup.plan.input_shape[:2])
    if setup.augment == "pad_crop":
        key = jax.random.fold_in(random_key(hypers, "crop"), step)
        images = pad_crop(key, images, setup.pad)
    images = normalise(images, mean, std)
    if setup.flip:
        images = flip(jax.random.fold_in(random_key(hypers, "flip"), step), images)
    return images


def train_step(
    setup: Setup, hypers: Hypers, state: State, images: jax.Array, labels: jax.Array
) -> State:
    """One step of one run: forward, backward, update.

    loss = mean over the batch of -log softmax(logits)[label]; the regularizer is not part of it,
    it lives in the optimizer, as in the paper's comparison of L2 with weight decay.
    """

    def loss_of(params: Params) -> tuple[jax.Array, Params]:
        variables = {"params": params, "batch_stats": state.batch_stats}
        logits, batch_stats = train_logits(
            setup.plan, variables, images.astype(setup.precision), norm_parts=setup.norm_parts
        )
        losses = cross_entropy(logits, labels)
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
