"""Resumption of a group of runs: from the newest checkpoint that all of its members have."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np
from jax.experimental import multihost_utils

from sparsity_jax.storage.checkpoints import Checkpoints, Restored
from sparsity_jax.storage.history import append_history, truncate_after
from sparsity_jax.storage.measurements import EvalLog
from sparsity_jax.storage.trackers import NOWHERE, Tracker, open_tracker
from sparsity_jax.training.cuts import Cut, decode_cuts, plan_after
from sparsity_jax.training.members import member, stack
from sparsity_jax.training.run import Run
from sparsity_jax.training.state import ProgramConfig, TrainState, init_state


@dataclasses.dataclass
class Member:
    """One run while its group trains. `diverged` ends it: the rest of the group goes on.

    Without `checkpoints` another process observes it and keeps it.
    """

    run: Run
    checkpoints: Checkpoints | None
    eval_log: EvalLog = dataclasses.field(default_factory=EvalLog)
    diverged: tuple[int, int] | None = None
    cuts: list[Cut] = dataclasses.field(default_factory=list)
    tracker: Tracker = NOWHERE

    def track(self, kind: str | None) -> Tracker:
        """Open the run's tracker, from the step where it was resumed."""
        evaluations = self.eval_log.evaluations
        self.tracker = open_tracker(
            kind,
            self.run.folder,
            name=self.run.config.name,
            step=evaluations[-1].step if evaluations else 0,
            settings=dataclasses.asdict(self.run.config),
        )
        return self.tracker

    @property
    def program(self) -> ProgramConfig:
        """The program of the network that is left after the cuts."""
        return program_after(self.run.program, self.cuts)


def program_after(program: ProgramConfig, cuts: Sequence[Cut]) -> ProgramConfig:
    """The program of a run after its cuts."""
    return dataclasses.replace(program, plan=plan_after(program.plan, cuts))


class Begun(NamedTuple):
    """The members' stacked state to go on from, and the seconds spent on it so far."""

    state: TrainState
    seconds: float = 0.0


def resume(members: Sequence[Member]) -> Begun:
    """Restore a group, and fill in its members' logs and histories up to there.

    A group without a common checkpoint starts anew, and so do its histories.
    """
    fresh = _fresh(members)
    like = [_as_saved(each, member(fresh, i)) for i, each in enumerate(members)]
    found = _newest_common(members, like)
    for i, each in enumerate(members):
        truncate_after(each.run.history, each.run.config.name, -1)
        if each.checkpoints:
            each.checkpoints.forget_after(found[i].step if found else -1)
        if found:
            restored = found[i]
            each.eval_log = EvalLog.of(restored.notes["evaluations"], restored.arrays)
            each.diverged = tuple(restored.notes.get("diverged") or ()) or None
            each.cuts = decode_cuts(restored.notes.get("cuts") or ())
            append_history(each.run.history, each.eval_log.evaluations)
    if not found:
        return Begun(fresh)
    return Begun(stack([restored.state for restored in found]), found[0].notes["seconds"])


def resume_together(members: Sequence[Member]) -> Begun:
    """Restore a group on all processes that divide its batches, as the primary one has it.

    Args:
      members: with checkpoints on the primary process, without on the others.
    """
    own = resume(members) if members[0].checkpoints else Begun(_fresh(members))
    sent = jax.device_get(own.state), np.array(members[0].diverged or (-1, -1))
    state, steps = multihost_utils.broadcast_one_to_all(sent)
    first, last = (int(step) for step in steps)
    members[0].diverged = (first, last) if first >= 0 else None
    return Begun(state, own.seconds)


def _fresh(members: Sequence[Member]) -> TrainState:
    return stack([init_state(each.run.program, each.run.hparams) for each in members])


def _as_saved(each: Member, fresh: TrainState) -> Callable[[Mapping[str, Any]], TrainState]:
    """A state of the shapes that a checkpoint with these notes has."""

    def like(notes: Mapping[str, Any]) -> TrainState:
        cuts = decode_cuts(notes.get("cuts") or ())
        if not cuts:
            return fresh
        program = program_after(each.run.program, cuts)
        return jax.eval_shape(lambda hparams: init_state(program, hparams), each.run.hparams)

    return like


def _newest_common(
    members: Sequence[Member], like: Sequence[Callable[[Mapping[str, Any]], TrainState]]
) -> list[Restored]:
    """Restore every member's checkpoint of the newest step that all have; [] if there is none."""
    at_most = None
    while True:
        found = [
            each.checkpoints and each.checkpoints.restore(state, at_most=at_most)
            for each, state in zip(members, like, strict=True)
        ]
        whole = [restored for restored in found if restored is not None]
        if len(whole) < len(found):
            return []
        steps = {restored.step for restored in whole}
        if len(steps) == 1:
            return whole
        at_most = min(steps)
