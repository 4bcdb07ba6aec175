"""One training step of one run, and the loop that takes many.

The step knows nothing of sweeps: it trains one run on one batch. The batch is chosen, cropped,
flipped and normalised inside it (one that streams in is chosen before it), from (seed, epoch, step)
alone, so that resuming needs nothing but the state.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import cast

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import lax
from jax.sharding import Sharding
from jax.typing import ArrayLike

from sparsity_jax.data.augment import flip, normalise, pad_crop, random_crop, random_resized_crop
from sparsity_jax.distributed import graphs
from sparsity_jax.models.convnet import train_logits
from sparsity_jax.training.activity import added_activity
from sparsity_jax.training.calls import calls
from sparsity_jax.training.input_pipeline import StreamingDataset
from sparsity_jax.training.loss import cross_entropy
from sparsity_jax.training.state import (
    DeviceDataset,
    Hparams,
    Params,
    ProgramConfig,
    TrainState,
    build_optimizer,
    epoch_order,
    random_key,
)


def train_steps(
    program: ProgramConfig,
    hparams: Hparams,
    data: DeviceDataset | StreamingDataset,
    state: TrainState,
    *,
    until: int,
    split: Sharding | None = None,
) -> TrainState:
    """Train until step `until` and wait for the result.

    Every epoch sees the training images in a fresh order; the images that do not fill a last batch
    are left out of that epoch (they are others in the next).

    Args:
      program: static description of the program.
      hparams: the run's numbers.
      data: what to train on, on the device or streaming to it; the result is the same.
      state: where to start; its buffers are given up.
      until: absolute step, at least the state's.
      split: devices that each take a part of every batch that streams in.

    Returns:
      The state at step `until`, with the losses of the batches added to `loss_sum`.

    Example:
      >>> int(train_steps(program, hparams, data, state, until=10).step)  # doctest: +SKIP
      10
    """
    step = int(state.step)
    if isinstance(data, StreamingDataset):
        constants = np.asarray(data.mean), np.asarray(data.std)
        for batch in data.batches(program, hparams, start=step, stop=until, split=split):
            state = _step_on(program, hparams, *constants, *batch, state)
        return jax.block_until_ready(state)
    size, epoch, order = data.train_size, -1, jnp.zeros(0)
    for call in calls(step, until, steps_per_epoch=size // program.batch_size):
        if call.epoch != epoch:
            epoch, order = call.epoch, epoch_order(hparams, call.epoch, size=size)
        compiled = _compiled(call.steps if call.fixed else None, graphs.compiler_options())
        state = compiled(program, hparams, data, order, state, call.steps)
    return jax.block_until_ready(state)


def take_steps(
    program: ProgramConfig,
    hparams: Hparams,
    data: DeviceDataset,
    order: jax.Array,
    state: TrainState,
    count: ArrayLike,
    *,
    split: Sharding | None = None,
) -> TrainState:
    """`count` steps of one run within one epoch, given the epoch's order of images.

    With `split`, the devices of that sharding each take a part of every batch.
    """

    def body(_: jax.Array, state: TrainState) -> TrainState:
        return one_step(program, hparams, data, order, state, split=split)

    return lax.fori_loop(0, count, body, state)


@functools.lru_cache(maxsize=8)
def _compiled(fixed: int | None, options: graphs.Options) -> Callable[..., TrainState]:
    """The compiled `take_steps`, of any number of steps or always of as many as `fixed`.

    Many steps in one call: launching is paid once, and so are a program's temporary buffers, which
    a CPU otherwise faults in anew (43,000 pages a step at width 1, a third of its time).
    """
    jit = functools.partial(
        jax.jit, static_argnums=0, donate_argnums=4, compiler_options=dict(options)
    )
    if fixed is None:
        return jit(take_steps)

    def take_fixed_steps(
        program: ProgramConfig,
        hparams: Hparams,
        data: DeviceDataset,
        order: jax.Array,
        state: TrainState,
        _: ArrayLike,
    ) -> TrainState:
        return take_steps(program, hparams, data, order, state, fixed)

    return jit(take_fixed_steps)


def one_step(
    program: ProgramConfig,
    hparams: Hparams,
    data: DeviceDataset,
    order: jax.Array,
    state: TrainState,
    *,
    split: Sharding | None = None,
) -> TrainState:
    """The state's next step on the batch that is its turn."""
    images, labels = next_batch(program, hparams, data, order, state)
    if split is not None:
        images, labels = lax.with_sharding_constraint((images, labels), split)
    return train_step(program, hparams, state, images, labels)


@functools.partial(jax.jit, static_argnums=0, donate_argnums=6)
def _step_on(
    program: ProgramConfig,
    hparams: Hparams,
    mean: jax.Array | np.ndarray,
    std: jax.Array | np.ndarray,
    images: jax.Array,
    labels: jax.Array,
    state: TrainState,
) -> TrainState:
    """The step on a batch that streamed in as uint8."""
    constants = jnp.asarray(mean), jnp.asarray(std)
    seen = augmented(program, hparams, state.step, images, *constants)
    return train_step(program, hparams, state, seen, labels)


def next_batch(
    program: ProgramConfig,
    hparams: Hparams,
    data: DeviceDataset,
    order: jax.Array,
    state: TrainState,
) -> tuple[jax.Array, jax.Array]:
    """The batch that the state's next step sees, given its epoch's order.

    Returns:
      (normalised float images (batch, height, width, channels), labels (batch,)).
    """
    place = state.step % (len(order) // program.batch_size)
    chosen = lax.dynamic_slice_in_dim(order, place * program.batch_size, program.batch_size)
    stored = data.train_images[chosen]
    images = augmented(program, hparams, state.step, stored, data.mean, data.std)
    return images, data.train_labels[chosen]


def augmented(
    program: ProgramConfig,
    hparams: Hparams,
    step: jax.Array,
    images: jax.Array,
    mean: jax.Array,
    std: jax.Array,
) -> jax.Array:
    """Stored images (uint8) as a step trains on them: cropped, normalised and flipped.

    What is drawn is a function of (seed, step) and of the place in the batch.
    """
    crop = {"crop": random_crop, "resized_crop": random_resized_crop}.get(program.augment)
    if crop is not None:
        key = jax.random.fold_in(random_key(hparams, "crop"), step)
        images = crop(key, images, program.plan.input_shape[:2])
    if program.augment == "pad_crop":
        key = jax.random.fold_in(random_key(hparams, "crop"), step)
        images = pad_crop(key, images, program.pad)
    images = normalise(images, mean, std)
    if program.flip:
        images = flip(jax.random.fold_in(random_key(hparams, "flip"), step), images)
    return images


def train_step(
    program: ProgramConfig,
    hparams: Hparams,
    state: TrainState,
    images: jax.Array,
    labels: jax.Array,
) -> TrainState:
    """One step of one run: forward, backward, update.

    loss = mean over the batch of -log softmax(logits)[label]; the regularizer is not part of it,
    it lives in the optimizer, as in the paper's comparison of L2 with weight decay.
    """

    def loss_of(params: Params) -> tuple[jax.Array, tuple[Params, Params]]:
        variables = {"params": params, "batch_stats": state.batch_stats}
        logits, *seen = train_logits(
            program.plan,
            variables,
            images.astype(program.precision),
            norm_parts=program.norm_parts,
            activity=program.activity,
            by_member=program.by_member,
            dropout=program.dropout,
            dropout_key=_dropout_key(program, hparams, state.step),
        )
        losses = cross_entropy(logits, labels)
        return jnp.mean(losses), (seen[0], seen[1])

    (loss, (batch_stats, peaks)), gradients = jax.value_and_grad(loss_of, has_aux=True)(
        state.params
    )
    rule = build_optimizer(program, hparams)
    updates, opt_state = rule.update(gradients, state.opt_state, state.params)
    return TrainState(
        step=state.step + 1,
        params=cast(Params, optax.apply_updates(state.params, updates)),
        batch_stats=batch_stats,
        opt_state=opt_state,
        loss_sum=state.loss_sum + loss,
        activity=added_activity(
            state.activity,
            peaks,
            params=state.params,
            gradients=gradients,
            strength=hparams.strength,
        )
        if program.activity
        else (),
    )


def _dropout_key(program: ProgramConfig, hparams: Hparams, step: jax.Array) -> jax.Array | None:
    """The key that says what a step drops; None where nothing is dropped."""
    if not program.dropout:
        return None
    return jax.random.fold_in(random_key(hparams, "dropout"), step)
