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

from sparsity_jax.errors import UserError
from sparsity_jax.hosts import ALONE, Elsewhere, Host, agreed
from sparsity_jax.interruption import Interrupted, deferring
from sparsity_jax.jobs import Job
from sparsity_jax.observing import observe
from sparsity_jax.progress import Progress
from sparsity_jax.storage.checkpoints import Checkpoints, Restored
from sparsity_jax.storage.history import Evaluation, append_history, truncate_after
from sparsity_jax.storage.trace import Trace
from sparsity_jax.training import State, init_state
from sparsity_jax.training.population import (
    Layout,
    advance_members,
    choose_layout,
    member,
    on_devices,
    stack,
)

STEPS_BETWEEN_LOOKS = 50  # how often the loss is looked at, and whether to checkpoint or stop


@dataclasses.dataclass(frozen=True)
class Fitted:
    """A run at its end: its state, what was observed on the way, its share of the time spent.

    `diverged` is the range of steps in which the loss stopped being finite, where it did.
    """

    state: State
    trace: Trace
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

    job: Job
    checkpoints: Checkpoints | None
    trace: Trace = dataclasses.field(default_factory=Trace)
    diverged: tuple[int, int] | None = None


def fit(
    jobs: Sequence[Job],
    *,
    place: str = "",
    layout: Layout | None = None,
    host: Host = ALONE,
    elsewhere: Elsewhere = lambda: None,
    checkpoint_seconds: float = 60.0,
) -> list[Fitted]:
    """Train a group of runs to their end in one program, from their newest common checkpoint.

    A run whose loss stops being finite ends there: its status is 'diverged', and no other notices.
    A signal to stop is heeded after the compiled call, once checkpoints are committed.

    Args:
      jobs: one or more runs, alike as `jobs.groups` has them.
      place: which runs of how many, for the progress bar.
      layout: where the members go; None chooses for the devices of this host.
      host: this process. Where the layout splits the batch, all that work together must call this
        with the same jobs; the one that leads observes and keeps them.
      elsewhere: tells why another process has stopped, as `hosts.stopping_together` does.
      checkpoint_seconds: by the clock, at least so long between checkpoints.

    Returns:
      For each job, the state at its end with everything observed.

    Raises:
      Interrupted: SIGTERM or SIGINT, here or elsewhere; the next call goes on from there.
      UserError: no checkpoint can be written, the workdir has vanished, or a process elsewhere
        has failed.
    """
    layout = layout or choose_layout(len(jobs), devices=jax.local_device_count())
    together = layout.split == "batch" and host.count > 1
    with deferring() as asked, contextlib.ExitStack() as opened:

        def stop() -> BaseException | None:
            signum = asked()
            own = elsewhere() if signum is None else Interrupted(signum)
            return agreed(own) if together else own

        keeps = host.leads or not together
        members = [
            _Member(job, opened.enter_context(_checkpoints(job)) if keeps else None)
            for job in jobs
        ]  # fmt: skip
        state, seconds = _start(members) if keeps else (_fresh(members), 0.0)
        if together:
            state, members[0].diverged = _of_the_lead(state, members[0].diverged)
        return _Fit(members, state, layout, stop, seconds, checkpoint_seconds).run(place)


def _checkpoints(job: Job) -> Checkpoints:
    return Checkpoints(job.folder / "checkpoints", of=job.identity)


def _fresh(members: Sequence[_Member]) -> State:
    return stack([init_state(each.job.setup, each.job.hypers) for each in members])


def _start(members: Sequence[_Member]) -> tuple[State, float]:
    """The stacked state to go on from and the seconds spent on it; fills in the members' pasts."""
    fresh = _fresh(members)
    found = _newest_common(members, [member(fresh, i) for i in range(len(members))])
    for i, each in enumerate(members):
        truncate_after(each.job.history, each.job.run.name, -1)
        if each.checkpoints:
            each.checkpoints.forget_after(found[i].step if found else -1)
        if found:
            restored = found[i]
            each.trace = Trace.of(restored.notes["evaluations"], restored.arrays)
            each.diverged = tuple(restored.notes.get("diverged") or ()) or None
            append_history(each.job.history, each.trace.evaluations)
    if not found:
        return fresh, 0.0
    return stack([restored.state for restored in found]), found[0].notes["seconds"]


def _of_the_lead(
    state: State, diverged: tuple[int, int] | None
) -> tuple[State, tuple[int, int] | None]:
    """What the process that leads restored, on every process."""
    own = jax.device_get(state), np.array(diverged or (-1, -1))
    state, steps = multihost_utils.broadcast_one_to_all(own)
    first, last = (int(step) for step in steps)
    return state, (first, last) if first >= 0 else None


def _newest_common(members: Sequence[_Member], like: Sequence[State]) -> list[Restored]:
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


class _Fit:
    """A group on its way: its members, their stacked state, when it was last saved."""

    def __init__(
        self,
        members: Sequence[_Member],
        state: State,
        layout: Layout,
        stop: Callable[[], BaseException | None],
        seconds_before: float,
        checkpoint_seconds: float,
    ) -> None:
        self._members, self._layout, self._stop = members, layout, stop
        self._keeps = all(each.checkpoints for each in members)
        self._setup, self._job = members[0].job.setup, members[0].job
        self._state = on_devices(state, layout)
        self._hypers = on_devices(stack([each.job.hypers for each in members]), layout)
        self._corpus = on_devices(self._job.corpus, layout)
        self._no_loss = on_devices(jnp.zeros(len(members)), layout)
        self._checkpoint_seconds, self._saved_at = checkpoint_seconds, time.monotonic()
        self._began = self._saved_at - seconds_before
        self._ended: dict[int, State] = {}  # where members that diverged did

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

    def run(self, place: str) -> list[Fitted]:
        """Train to the end."""
        first, others = self._step, len(self._members) - 1
        name = self._job.run.name + (f" and {others} more" if others else "")
        with Progress(name, total=self._job.steps, start=first, place=place) as progress:
            for mark in [mark for mark in self._job.marks if mark > first]:
                self._advance(mark, progress)
                if not self._training:
                    break
                progress.evaluated(*self._observe(self._training))
                self._state = self._state._replace(loss_sum=jnp.copy(self._no_loss))
                self._look()
        state, share = jax.device_get(self._state), self._seconds / len(self._members)
        return [
            Fitted(self._ended.get(i) or member(state, i), each.trace, share, each.diverged)
            for i, each in enumerate(self._members)
        ]

    def _advance(self, mark: int, progress: Progress) -> None:
        """Train until a mark, looking up on the way; ends early when every member has diverged.

        Looks are at multiples of STEPS_BETWEEN_LOOKS, wherever the group was resumed, so that a run
        that diverges ends at the same step whether it was interrupted or not.
        """
        since = max((mark for mark in (0, *self._job.marks) if mark <= self._step), default=0)
        while self._training and (step := self._step) < mark:
            until = min(step - step % STEPS_BETWEEN_LOOKS + STEPS_BETWEEN_LOOKS, mark)
            self._state = advance_members(
                self._setup, self._hypers, self._corpus, self._state,
                until=until, layout=self._layout,
            )  # fmt: skip
            losses = np.asarray(self._state.loss_sum) / (until - since)
            self._end_diverged(losses, (step, until))
            if self._training:
                progress.at(until, loss=float(losses[np.isfinite(losses)].mean()))
                if until < mark:  # at the mark itself, the evaluation comes first
                    self._look()

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
            observe(each.job, member(state, i), each.trace)
            for i, each in enumerate(self._members)
            if any(each is chosen for chosen in members)
        ]

    def _look(self) -> None:
        """Save the states if it is time to; stop if that was asked for."""
        for each in self._members:
            if self._keeps and not each.job.folder.is_dir():
                raise UserError(
                    f"{each.job.folder} has vanished during the run; nothing more is kept"
                )
        stop = self._stop()
        late = time.monotonic() - self._saved_at > self._checkpoint_seconds
        if late or stop is not None or self._step == self._job.steps:
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
                "evaluations": each.trace.lines(),
                "seconds": self._seconds,
                "diverged": each.diverged,
            }
            if each.checkpoints:
                arrays = each.trace.arrays()
                each.checkpoints.save(step, member(state, i), arrays=arrays, notes=notes)
        self._saved_at = time.monotonic()
