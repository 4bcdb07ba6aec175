"""How do runs get trained, observed and kept: steps, evaluations, checkpoints."""

from __future__ import annotations

import contextlib
import dataclasses
import time
from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jax.experimental import multihost_utils

from sparsity_jax.distributed.preemption import Interrupted, deferring
from sparsity_jax.distributed.processes import SINGLE_PROCESS, ProcessInfo, StopSignal, sync_stop
from sparsity_jax.errors import UserError
from sparsity_jax.storage.checkpoints import Checkpoints, Restored
from sparsity_jax.storage.history import Evaluation, append_history, truncate_after
from sparsity_jax.storage.measurements import EvalLog
from sparsity_jax.training import TrainState, init_state
from sparsity_jax.training.observe import observe
from sparsity_jax.training.population import (
    MemberMapping,
    choose_mapping,
    member,
    on_devices,
    stack,
    train_population,
)
from sparsity_jax.training.progress import Progress
from sparsity_jax.training.run import Run

CHECK_EVERY_STEPS = 50  # how often the loss is looked at, and whether to checkpoint or stop


@dataclasses.dataclass(frozen=True)
class TrainedRun:
    """A run at its end: its state, what was observed on the way, its share of the time spent.

    `diverged` is the range of steps in which the loss stopped being finite, where it did.
    """

    state: TrainState
    eval_log: EvalLog
    seconds: float
    diverged: tuple[int, int] | None = None

    @property
    def status(self) -> str:
        """As results.csv says it."""
        return "diverged" if self.diverged else "finished"


@dataclasses.dataclass
class _Member:
    """One run while its group trains. `diverged` ends it: the rest of the group goes on.

    Without `checkpoints` another process observes it and keeps it.
    """

    run: Run
    checkpoints: Checkpoints | None
    eval_log: EvalLog = dataclasses.field(default_factory=EvalLog)
    diverged: tuple[int, int] | None = None


def train_group(
    runs: Sequence[Run],
    *,
    place: str = "",
    mapping: MemberMapping | None = None,
    host: ProcessInfo = SINGLE_PROCESS,
    stop_signal: StopSignal = lambda: None,
    checkpoint_seconds: float = 60.0,
) -> list[TrainedRun]:
    """Train a group of runs to their end in one program, from their newest common checkpoint.

    A run whose loss stops being finite ends there: its status is 'diverged', and no other notices.
    A signal to stop is heeded after the compiled call, once checkpoints are committed.

    Args:
      runs: one or more runs, alike as `runs.groups` has them.
      place: which runs of how many, for the progress bar.
      layout: where the members go; None chooses for the devices of this host.
      host: this process. Where the layout splits the batch, all that work together must call this
        with the same runs; the one that leads observes and keeps them.
      elsewhere: tells why another process has stopped, as `hosts.stopping_together` does.
      checkpoint_seconds: by the clock, at least so long between checkpoints.

    Returns:
      For each run, the state at its end with everything observed.

    Raises:
      Interrupted: SIGTERM or SIGINT, here or elsewhere; the next call goes on from there.
      UserError: no checkpoint can be written, the workdir has vanished, or a process elsewhere
        has failed.
    """
    mapping = mapping or choose_mapping(len(runs), devices=jax.local_device_count())
    together = mapping.split == "batch" and host.count > 1
    with deferring() as asked, contextlib.ExitStack() as opened:

        def stop() -> BaseException | None:
            signum = asked()
            own = stop_signal() if signum is None else Interrupted(signum)
            return sync_stop(own) if together else own

        keeps = host.is_primary or not together
        members = [
            _Member(run, opened.enter_context(_checkpoints(run)) if keeps else None)
            for run in runs
        ]  # fmt: skip
        state, seconds = _start(members) if keeps else (_fresh(members), 0.0)
        if together:
            state, members[0].diverged = _of_the_lead(state, members[0].diverged)
        return _GroupTrainer(members, state, mapping, stop, seconds, checkpoint_seconds).run(place)


def _checkpoints(run: Run) -> Checkpoints:
    return Checkpoints(run.folder / "checkpoints", of=run.identity)


def _fresh(members: Sequence[_Member]) -> TrainState:
    return stack([init_state(each.run.program, each.run.hparams) for each in members])


def _start(members: Sequence[_Member]) -> tuple[TrainState, float]:
    """The stacked state to go on from and the seconds spent on it; fills in the members' pasts."""
    fresh = _fresh(members)
    found = _newest_common(members, [member(fresh, i) for i in range(len(members))])
    for i, each in enumerate(members):
        truncate_after(each.run.history, each.run.config.name, -1)
        if each.checkpoints:
            each.checkpoints.forget_after(found[i].step if found else -1)
        if found:
            restored = found[i]
            each.eval_log = EvalLog.of(restored.notes["evaluations"], restored.arrays)
            each.diverged = tuple(restored.notes.get("diverged") or ()) or None
            append_history(each.run.history, each.eval_log.evaluations)
    if not found:
        return fresh, 0.0
    return stack([restored.state for restored in found]), found[0].notes["seconds"]


def _of_the_lead(
    state: TrainState, diverged: tuple[int, int] | None
) -> tuple[TrainState, tuple[int, int] | None]:
    """What the process that leads restored, on every process."""
    own = jax.device_get(state), np.array(diverged or (-1, -1))
    state, steps = multihost_utils.broadcast_one_to_all(own)
    first, last = (int(step) for step in steps)
    return state, (first, last) if first >= 0 else None


def _newest_common(members: Sequence[_Member], like: Sequence[TrainState]) -> list[Restored]:
    """Every member's checkpoint of the newest step that all of them have; [] if there is none."""
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


class _GroupTrainer:
    """A group on its way: its members, their stacked state, when it was last saved."""

    def __init__(
        self,
        members: Sequence[_Member],
        state: TrainState,
        mapping: MemberMapping,
        stop: Callable[[], BaseException | None],
        seconds_before: float,
        checkpoint_seconds: float,
    ) -> None:
        self._members, self._mapping, self._stop = members, mapping, stop
        self._keeps = all(each.checkpoints for each in members)
        self._setup, self._run = members[0].run.program, members[0].run
        self._state = on_devices(state, mapping)
        self._hypers = on_devices(stack([each.run.hparams for each in members]), mapping)
        self._corpus = on_devices(self._run.corpus, mapping)
        self._no_loss = on_devices(jnp.zeros(len(members)), mapping)
        self._checkpoint_seconds, self._saved_at = checkpoint_seconds, time.monotonic()
        self._began = self._saved_at - seconds_before
        self._ended: dict[int, TrainState] = {}  # where members that diverged did

    @property
    def _step(self) -> int:
        return int(np.asarray(self._state.step)[0])

    @property
    def _seconds(self) -> float:
        """Spent on the group so far, before interruptions too."""
        return time.monotonic() - self._began

    @property
    def _training(self) -> list[_Member]:
        return [each for each in self._members if not each.diverged]

    def run(self, place: str) -> list[TrainedRun]:
        """Train to the end."""
        first, others = self._step, len(self._members) - 1
        name = self._run.config.name + (f" and {others} more" if others else "")
        with Progress(name, total=self._run.steps, start=first, place=place) as progress:
            for mark in [mark for mark in self._run.marks if mark > first]:
                self._advance(mark, progress)
                if not self._training:
                    break
                progress.evaluated(*self._observe(self._training))
                self._state = self._state._replace(loss_sum=jnp.copy(self._no_loss))
                self._maybe_checkpoint()
        state, shard = jax.device_get(self._state), self._seconds / len(self._members)
        return [
            TrainedRun(self._ended.get(i) or member(state, i), each.eval_log, shard, each.diverged)
            for i, each in enumerate(self._members)
        ]

    def _advance(self, mark: int, progress: Progress) -> None:
        """Train until a mark, looking up on the way; ends early when every member has diverged.

        Looks are at multiples of CHECK_EVERY_STEPS, wherever the group was resumed, so that a run
        that diverges ends at the same step whether it was interrupted or not.
        """
        since = max((mark for mark in (0, *self._run.marks) if mark <= self._step), default=0)
        while self._training and (step := self._step) < mark:
            until = min(step - step % CHECK_EVERY_STEPS + CHECK_EVERY_STEPS, mark)
            self._state = train_population(
                self._setup, self._hypers, self._corpus, self._state,
                until=until, mapping=self._mapping,
            )  # fmt: skip
            losses = np.asarray(self._state.loss_sum) / (until - since)
            self._end_diverged(losses, (step, until))
            if self._training:
                progress.at(until, loss=float(losses[np.isfinite(losses)].mean()))
                if until < mark:  # at the mark itself, the evaluation comes first
                    self._maybe_checkpoint()

    def _end_diverged(self, losses: np.ndarray, steps: tuple[int, int]) -> None:
        """Observe the members whose loss is no longer finite for the last time."""
        for i, each in enumerate(self._members):
            if not each.diverged and not np.isfinite(losses[i]):
                self._observe([each])
                self._ended[i] = jax.device_get(member(self._state, i))
                each.diverged = steps

    def _observe(self, members: Sequence[_Member]) -> list[Evaluation]:
        if not self._keeps:
            return []
        state = jax.device_get(self._state)
        return [
            observe(each.run, member(state, i), each.eval_log)
            for i, each in enumerate(self._members)
            if any(each is chosen for chosen in members)
        ]

    def _maybe_checkpoint(self) -> None:
        """Save the states if it is time to; stop if that was asked for."""
        for each in self._members:
            if self._keeps and not each.run.folder.is_dir():
                raise UserError(
                    f"{each.run.folder} has vanished during the run; nothing more is kept"
                )
        stop = self._stop()
        late = time.monotonic() - self._saved_at > self._checkpoint_seconds
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
            }
            if each.checkpoints:
                arrays = each.eval_log.arrays()
                each.checkpoints.save(step, member(state, i), arrays=arrays, notes=notes)
        self._saved_at = time.monotonic()
