"""Cutting of a run that prunes while it trains: a smaller state, and a whole one at its end."""

from __future__ import annotations

import jax
import jax.numpy as jnp

from sparsity_jax.pruning import shrink_state
from sparsity_jax.pruning.shrink import expand_like, still_kept
from sparsity_jax.training.cuts import Cut, CutRule, kept_after, next_keep
from sparsity_jax.training.resume import Member
from sparsity_jax.training.state import TrainState


def cut_dead(each: Member, state: TrainState) -> TrainState:
    """Cut what has died of a run's network, if that pays; notes the cut in the member.

    Schedule, seed and order of the images go on: they depend on the step alone.

    Args:
      each: the run on its way, observed at this step.
      state: at an evaluation, which the member's log holds already.

    Returns:
      The state to go on with; the same one where nothing is cut.
    """
    config, plan = each.run.config, each.run.program.plan
    keep = next_keep(
        plan,
        each.cuts,
        gammas=each.eval_log.layers("gamma"),
        betas=each.eval_log.layers("beta"),
        rule=CutRule(config.prune_patience, config.prune_least_gain),
    )
    if keep is None:
        return state
    left = each.program.plan
    _, variables, opt_state = shrink_state(left, state.variables, state.opt_state, keep)
    activity = state.activity and {
        name: type(sums)(*(values[keep[name]] for values in sums))
        for name, sums in state.activity.items()
    }
    each.cuts.append(Cut(int(state.step), still_kept(kept_after(plan, each.cuts), keep)))
    smaller = state._replace(**variables, opt_state=opt_state, activity=activity)
    return jax.tree.map(jnp.asarray, smaller)


def expanded_state(each: Member, state: TrainState) -> TrainState:
    """A run's state as one of its original network, in which the filters that were cut are silent.

    Args:
      each: the run.
      state: of the network that is left.
    """
    if not each.cuts:
        return state
    plan = each.run.program.plan
    kept = kept_after(plan, each.cuts)
    parts = {
        name: expand_like(getattr(state, name), plan, kept)
        for name in ("params", "batch_stats", "opt_state")
    }
    return state._replace(**parts, activity=())
