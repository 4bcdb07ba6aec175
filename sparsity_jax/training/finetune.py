"""Fine-tuning: a pruned network is trained on."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp

from sparsity_jax.models import Plan
from sparsity_jax.pruning import prune_opt_state
from sparsity_jax.training import TrainState, train_steps
from sparsity_jax.training.calls import check_every_steps
from sparsity_jax.training.progress import Progress
from sparsity_jax.training.run import Run

Variables = Mapping[str, Any]


def finetune(
    run: Run,
    state: TrainState,
    keep: Mapping[str, Any],
    small: tuple[Plan, Variables],
    *,
    steps: int,
) -> dict[str, Any]:
    """Go on training a pruned network as if the run had never ended.

    The optimizer keeps its memory: moments are sliced along with the weights they belong to, and
    step counts go on, so that there is no second warm-up. The learning rate is the run's last one.
    Pruning by gamma changes next to nothing, so the network stands where the schedule left it, and
    a return to a higher rate would undo what the drops brought; the baselines, which lose more, get
    the same rate, so that they differ in nothing but the filters. The order of images goes on with
    the epochs that follow. Filters that become inactive on the way are not removed.

    Args:
      run: the run.
      state: its state at the end, with the optimizer's; it stays usable.
      keep: layer name -> boolean array, True = keep.
      small: the pruned plan and its variables, as `prune` returned them.
      steps: how many.

    Returns:
      The pruned network's variables after these steps.

    Example:
      >>> small = prune(plan, state.variables, keep)  # doctest: +SKIP
      >>> variables = finetune(run, state, keep, small, steps=125)  # doctest: +SKIP
    """
    plan, variables = small
    pruned = TrainState(
        step=state.step,
        params=dict(variables["params"]),
        batch_stats=dict(variables["batch_stats"]),
        opt_state=prune_opt_state(state.opt_state, run.program.plan, keep),
        loss_sum=jnp.float32(0),
    )
    # Training gives up the buffers it is handed: hand it copies.
    pruned = jax.tree.map(lambda leaf: jnp.array(leaf, copy=True), pruned)
    first = int(state.step)
    reached = tuple(drop for drop in run.program.drops if drop[0] < first)
    program = dataclasses.replace(run.program, plan=plan, drops=reached, activity=False)
    with Progress(f"{run.config.name}, fine-tuning", total=steps) as progress:
        for done in range(0, steps, check_every_steps()):
            until = min(done + check_every_steps(), steps)
            pruned = train_steps(program, run.hparams, run.data, pruned, until=first + until)
            progress.at(until, loss=float(pruned.loss_sum) / until)
    return jax.device_get(pruned.variables)
