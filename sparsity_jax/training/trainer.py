"""Training of a group of runs: steps, evaluations, checkpoints, and an orderly stop."""

from __future__ import annotations

import contextlib
import dataclasses
import time
from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp
import numpy as np

from sparsity_jax.distributed.preemption import Interrupted, deferring
from sparsity_jax.distributed.processes import stop_elsewhere, sync_stop, this_process
from sparsity_jax.distributed.program_memory import release_programs
from sparsity_jax.errors import UserError
from sparsity_jax.storage.checkpoints import Checkpoints
from sparsity_jax.storage.history import Evaluation
from sparsity_jax.storage.measurements import EvalLog
from sparsity_jax.training.calls import check_every_steps
from sparsity_jax.training.cuts import Cut, encode_cuts
from sparsity_jax.training.cutting import cut_dead, expanded_state
from sparsity_jax.training.grouping import memory_line
from sparsity_jax.training.members import member, member_near, stack
from sparsity_jax.training.observe import observe
from sparsity_jax.training.options import TrainOptions
from sparsity_jax.training.population import (
    EpochOrders,
    MemberMapping,
    on_devices,
    train_population,
)
from sparsity_jax.training.progress import Progress
from sparsity_jax.training.resume import Begun, Member, resume, resume_together
from sparsity_jax.training.run import Run
from sparsity_jax.training.state import TrainState


@dataclasses.dataclass(frozen=True)
class TrainedRun:
    """A run at its end: its state, what was observed on the way, its part of the time spent.

    `diverged` is the range of steps in which the loss stopped being finite, where it did. The
    state is that of the original network: filters that were cut on the way are silent in it.
    """

    run: Run
    state: TrainState
    eval_log: EvalLog
    seconds: float = 0.0
    diverged: tuple[int, int] | None = None
    cuts: tuple[Cut, ...] = ()

    @property
    def status(self) -> str:
        """As results.csv says it."""
        return "diverged" if self.diverged else "finished"


def train_group(
    runs: Sequence[Run], options: TrainOptions | None = None, place: str = ""
) -> list[TrainedRun]:
    """Train a group of runs to their end in one program, from their newest common checkpoint.

    A run whose loss stops being finite ends there: its status is 'diverged', and no other notices.
    A signal to stop is heeded after the compiled call, once checkpoints are committed.

    Args:
      runs: one or more runs, alike as `grouping.groups` has them. Where joined processes divide
        each batch, all of them must call this with the same runs.
      options: how; None: the defaults.
      place: which runs of how many, for the progress bar.

    Returns:
      Each run at its end; none on a process that only helps the primary one with its batches.

    Raises:
      Interrupted: SIGTERM or SIGINT, here or elsewhere; the next call goes on from there.
      UserError: no checkpoint can be written, the workdir has vanished, or a process elsewhere
        has failed.
    """
    options = options or TrainOptions()
    mapping = options.mapping(runs)
    together = mapping.split == "batch" and this_process().count > 1
    keeps = this_process().is_primary or not together
    if len(runs) > 1:
        print(memory_line(runs))
    with deferring() as asked, contextlib.ExitStack() as opened:

        def stop() -> BaseException | None:
            signum = asked()
            own = stop_elsewhere() if signum is None else Interrupted(signum)
            return sync_stop(own) if together else own

        members = [Member(run, _opened(run, opened) if keeps else None) for run in runs]
        begun = resume_together(members) if together else resume(members)
        for each in members if keeps else ():
            opened.callback(each.track(options.tracker).close)
        trainer = _GroupTrainer(members, begun, mapping, stop)
        trainer.train(place, checkpoint_seconds=options.seconds_between_checkpoints)
        return trainer.trained() if keeps else []


def _opened(run: Run, until: contextlib.ExitStack) -> Checkpoints:
    return until.enter_context(Checkpoints(run.folder / "checkpoints", of=run.identity))


class _GroupTrainer:
    """A group on its way: its members, their stacked state, when it was last saved."""

    def __init__(
        self,
        members: Sequence[Member],
        begun: Begun,
        mapping: MemberMapping,
        stop: Callable[[], BaseException | None],
    ) -> None:
        self._members, self._mapping, self._stop = members, mapping, stop
        self._keeps = all(each.checkpoints for each in members)
        self._run = members[0].run  # program, data, length and evaluations are those of all
        self._state = on_devices(begun.state, mapping)
        self._hparams = on_devices(stack([each.run.hparams for each in members]), mapping)
        self._data = on_devices(self._run.data, mapping)
        self._orders = EpochOrders(self._hparams, self._data)
        self._no_loss = on_devices(jnp.zeros(len(members)), mapping)
        self._saved_at = time.monotonic()
        self._began = self._saved_at - begun.seconds
        self._ended: dict[int, TrainState] = {}  # states of members at the step where they diverged

    @property
    def _step(self) -> int:
        return int(np.asarray(self._state.step)[0])

    @property
    def _seconds(self) -> float:
        """Spent on the group so far, before interruptions too."""
        return time.monotonic() - self._began

    @property
    def _training(self) -> list[Member]:
        return [each for each in self._members if not each.diverged]

    def train(self, place: str, *, checkpoint_seconds: float) -> None:
        """Train to the end, or until every member has diverged."""
        first, others = self._step, len(self._members) - 1
        name = self._run.config.name + (f" and {others} more" if others else "")
        with Progress(name, total=self._run.steps, start=first, place=place) as progress:
            while self._training and self._step < self._run.steps:
                self._take_steps(progress)
                if not self._training:
                    break
                if self._step in self._run.evaluation_steps:
                    self._evaluate(progress)
                self._maybe_checkpoint(checkpoint_seconds)

    def trained(self) -> list[TrainedRun]:
        """The members at their end."""
        state, seconds = jax.device_get(self._state), self._seconds / len(self._members)
        return [
            TrainedRun(
                each.run,
                expanded_state(each, self._ended.get(i) or member(state, i)),
                each.eval_log,
                seconds,
                each.diverged,
                tuple(each.cuts),
            )
            for i, each in enumerate(self._members)
        ]

    def _take_steps(self, progress: Progress) -> None:
        """Train until the next check or evaluation; end the members that diverge in between.

        Checks are at multiples of `check_every_steps()`, wherever the group was resumed, so that a
        run that diverges ends at the same step whether it was interrupted or not.
        """
        step, evaluations = self._step, self._run.evaluation_steps
        last = max((mark for mark in evaluations if mark <= step), default=0)
        check = step - step % check_every_steps() + check_every_steps()
        until = min(check, *(mark for mark in evaluations if mark > step))
        self._state = train_population(
            self._members[0].program,
            self._hparams,
            self._data,
            self._state,
            until=until,
            mapping=self._mapping,
            orders=self._orders,
        )
        losses = np.asarray(self._state.loss_sum) / (until - last)  # the sum is since the last
        self._end_diverged(losses, (step, until))
        if self._training:
            progress.at(until, loss=float(losses[np.isfinite(losses)].mean()))

    def _end_diverged(self, losses: np.ndarray, steps: tuple[int, int]) -> None:
        """Observe the members whose loss is no longer finite for the last time."""
        for i, each in enumerate(self._members):
            if not each.diverged and not np.isfinite(losses[i]):
                self._observe([each])
                self._ended[i] = jax.device_get(member(self._state, i))
                each.diverged = steps

    def _evaluate(self, progress: Progress) -> None:
        """Observe the members that still train, cut what died, and begin their sums anew."""
        progress.evaluated(*self._observe(self._training))
        if self._run.config.prune_during_training:  # a group of one
            smaller = cut_dead(self._members[0], member(self._state, 0))
            self._state = on_devices(stack([smaller]), self._mapping)
            release_programs()  # the larger network's are not needed again
        self._state = self._state._replace(
            loss_sum=jnp.copy(self._no_loss),
            activity=jax.tree.map(jnp.zeros_like, self._state.activity),
        )

    def _observe(self, members: Sequence[Member]) -> list[Evaluation]:
        if not self._keeps:
            return []
        seen = []
        for i, each in enumerate(self._members):
            if any(each is chosen for chosen in members):
                own = member_near(self._state, i)
                seen.append(observe(each.run, own, each.eval_log, each.cuts))
                each.tracker.log(seen[-1], each.eval_log.latest_norms())
        return seen

    def _maybe_checkpoint(self, checkpoint_seconds: float) -> None:
        """Save the states if it is time to; stop if that was asked for."""
        for each in self._members:
            if self._keeps and not each.run.folder.is_dir():
                raise UserError(
                    f"{each.run.folder} has vanished during the run; nothing more is kept"
                )
        stop = self._stop()
        late = time.monotonic() - self._saved_at > checkpoint_seconds
        if late or stop is not None or self._step == self._run.steps:
            self._save()
        if stop is not None:
            for each in self._members:
                if each.checkpoints:
                    each.checkpoints.wait()
            raise stop

    def _save(self) -> None:
        state, step = jax.device_get(self._state), self._step
        for i, each in enumerate(self._members):
            notes = {
                "evaluations": each.eval_log.lines(),
                "seconds": self._seconds,
                "diverged": each.diverged,
                "cuts": encode_cuts(each.cuts),
            }
            if each.checkpoints:
                arrays = each.eval_log.arrays()
                each.checkpoints.save(step, member(state, i), arrays=arrays, notes=notes)
        self._saved_at = time.monotonic()
