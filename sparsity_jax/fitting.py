"""How does one run get trained, observed and kept: steps, evaluations, checkpoints."""

from __future__ import annotations

import dataclasses
import math
import time
from collections.abc import Callable
from pathlib import Path

import jax
import numpy as np

from sparsity_jax.data import Dataset, Stream
from sparsity_jax.data.augment import seen_shape
from sparsity_jax.errors import UserError
from sparsity_jax.interruption import Interrupted, deferring
from sparsity_jax.models import make_plan
from sparsity_jax.optimizers.schedules import step_schedule
from sparsity_jax.progress import Progress
from sparsity_jax.settings import Run
from sparsity_jax.sparsity import gamma_sparsity
from sparsity_jax.storage import digests
from sparsity_jax.storage.checkpoints import Checkpoints
from sparsity_jax.storage.history import Evaluation, append_history, truncate_after
from sparsity_jax.storage.trace import Trace
from sparsity_jax.training import (
    Corpus,
    Hypers,
    Setup,
    State,
    StreamedCorpus,
    advance,
    evaluate,
    init_state,
    make_hypers,
    make_setup,
)

LEAST_EVALUATIONS = 10  # of a run that is shorter than as many epochs
STEPS_BETWEEN_LOOKS = 50  # how often the loss is looked at, and whether to checkpoint or stop
SECONDS_BETWEEN_CHECKPOINTS = 60.0


@dataclasses.dataclass(frozen=True)
class Job:
    """One run made concrete on its data: what program, which numbers, how long, kept where."""

    run: Run
    dataset: str
    setup: Setup
    hypers: Hypers
    corpus: Corpus | StreamedCorpus
    steps: int
    workdir: Path

    @property
    def folder(self) -> Path:
        """Where the run keeps its files."""
        return self.workdir / "runs" / self.run.name

    @property
    def marks(self) -> list[int]:
        """The steps at which the run is evaluated; the last is its end."""
        epochs = math.ceil(self.run.epochs * self.run.scale)
        count = min(self.run.evaluations or max(LEAST_EVALUATIONS, epochs), self.steps)
        return [round(self.steps * place / count) for place in range(1, count + 1)]


@dataclasses.dataclass(frozen=True)
class Fitted:
    """A run at its end: its state, what was observed on the way, the time spent.

    `diverged` is the range of steps in which the loss stopped being finite, where it did.
    """

    state: State
    trace: Trace
    seconds: float
    status: str
    diverged: tuple[int, int] | None = None


def make_job(
    run: Run, dataset: Dataset | Stream, corpus: Corpus | StreamedCorpus, workdir: Path
) -> Job:
    """Fit a run to its data.

    Raises:
      UserError: a batch larger than the training set, or images too small for the network.
    """
    size = dataset.train_size
    for field in ("batch_size", "reference_batch"):
        if getattr(run, field) > size:
            raise UserError(
                f"config.{field}={getattr(run, field)} is larger than the {size} training images "
                f"of {dataset.name}; give at most {size}"
            )
    plan = make_plan(
        run.network,
        classes=dataset.classes,
        input_shape=seen_shape(run.augment, dataset.image_shape),
        width=run.width,
        pool_after=run.pool_after,
        negative_slope=run.negative_slope,
    )
    return Job(
        run=run,
        dataset=dataset.name,
        setup=make_setup(run, plan, size),
        hypers=make_hypers(run),
        corpus=corpus,
        steps=run.steps(size),
        workdir=workdir,
    )


def fit(job: Job, *, place: str = "") -> Fitted:
    """Train a run to its end, from its newest checkpoint if it has one.

    A run whose loss stops being finite ends there: its status is 'diverged'. A signal to stop is
    heeded after the compiled call, once a checkpoint is committed.

    Args:
      job: the run on its data.
      place: which run of how many, for the progress bar.

    Returns:
      The state at the end with everything observed.

    Raises:
      Interrupted: SIGTERM or SIGINT; the next call goes on from there.
      UserError: no checkpoint can be written, or the workdir has vanished.
    """
    with deferring() as asked, Checkpoints(job.folder / "checkpoints", of=_of(job)) as checkpoints:
        state, trace, seconds = _start(job, checkpoints)
        keeper = _Keeper(job, checkpoints, trace, asked, seconds)
        first, diverged = int(state.step), None
        with Progress(job.run.name, total=job.steps, start=first, place=place) as progress:
            for mark in [mark for mark in job.marks if mark > first]:
                state, diverged = _advance(job, state, mark, progress, keeper.look)
                state, evaluation = _observe(job, state, trace)
                progress.evaluated(evaluation)
                if diverged:
                    break
                keeper.look(state)
        return Fitted(
            state, trace, keeper.seconds, "diverged" if diverged else "finished", diverged
        )


def settings_digest(run: Run) -> str:
    """Of everything that a run was asked for."""
    return digests.of_json(dataclasses.asdict(run))


def _of(job: Job) -> str:
    """What the checkpoints of a job are checkpoints of: its settings on its very data."""
    arrays = [digests.of_array(np.asarray(array)) for array in job.corpus]
    return digests.of_json([settings_digest(job.run), *arrays])


class _Keeper:
    """When a state is saved: every minute, at the end, and before stopping when asked to."""

    def __init__(
        self,
        job: Job,
        checkpoints: Checkpoints,
        trace: Trace,
        asked: Callable[[], int | None],
        seconds_before: float,
    ) -> None:
        self._job, self._checkpoints, self._trace, self._asked = job, checkpoints, trace, asked
        self._saved_at = time.monotonic()
        self._began = self._saved_at - seconds_before

    @property
    def seconds(self) -> float:
        """Spent on the run so far, before interruptions too."""
        return time.monotonic() - self._began

    def look(self, state: State) -> None:
        """Save the state if it is time to; stop if that was asked for."""
        if not self._job.folder.is_dir():
            raise UserError(f"{self._job.folder} has vanished during the run; nothing more is kept")
        signum, step = self._asked(), int(state.step)
        late = time.monotonic() - self._saved_at > SECONDS_BETWEEN_CHECKPOINTS
        if late or signum is not None or step == self._job.steps:
            self._checkpoints.save(
                step,
                state,
                arrays=self._trace.arrays(),
                notes={"evaluations": self._trace.lines(), "seconds": self.seconds},
            )
            self._saved_at = time.monotonic()
        if signum is not None:
            self._checkpoints.wait()
            raise Interrupted(signum)


def _start(job: Job, checkpoints: Checkpoints) -> tuple[State, Trace, float]:
    """The state to go on from, what was observed up to it, and the seconds spent on it."""
    fresh = init_state(job.setup, job.hypers)
    restored = checkpoints.restore(like=fresh)
    history = job.workdir / "history.jsonl"
    truncate_after(history, job.run.name, -1)
    if restored is None:
        return fresh, Trace(), 0.0
    trace = Trace.of(restored.notes["evaluations"], restored.arrays)
    append_history(history, trace.evaluations)
    return restored.state, trace, restored.notes["seconds"]


def _advance(
    job: Job, state: State, mark: int, progress: Progress, look: Callable[[State], None]
) -> tuple[State, tuple[int, int] | None]:
    """Train until a mark, looking up on the way; ends early in steps (after, until) of no loss.

    Looks are at multiples of STEPS_BETWEEN_LOOKS, wherever the run was resumed, so that a run that
    diverges ends at the same step whether it was interrupted or not.
    """
    since = _last_mark(job, int(state.step))
    while (step := int(state.step)) < mark:
        until = min(step - step % STEPS_BETWEEN_LOOKS + STEPS_BETWEEN_LOOKS, mark)
        state = advance(job.setup, job.hypers, job.corpus, state, until=until)
        loss = float(state.loss_sum) / (until - since)
        progress.at(until, loss=loss)
        if not math.isfinite(loss):
            return state, (step, until)
        if until < mark:  # at the mark itself, the evaluation comes first
            look(state)
    return state, None


def _last_mark(job: Job, step: int) -> int:
    return max((mark for mark in (0, *job.marks) if mark <= step), default=0)


def _observe(job: Job, state: State, trace: Trace) -> tuple[State, Evaluation]:
    """Evaluate a state, add what was seen to the trace and to history.jsonl, start a new sum."""
    step = int(state.step)
    since = trace.evaluations[-1].step if trace.evaluations else 0
    corpus = job.corpus
    score = evaluate(
        job.setup.plan,
        state.variables,
        corpus.test_images,
        corpus.test_labels,
        mean=corpus.mean,
        std=corpus.std,
    )
    sparsity, norms = _norms(job, state)
    multiplier = float(step_schedule(job.setup.drops)(step - 1))
    evaluation = Evaluation(
        run=job.run.name,
        step=step,
        epoch=step * job.run.batch_size / corpus.train_size,
        learning_rate=job.run.learning_rate * multiplier,
        train_loss=float(state.loss_sum) / (step - since),
        test_loss=score.loss,
        test_error=score.error,
        top5_error=score.top5_error,
        **sparsity,
    )
    trace.add(evaluation, **norms)
    append_history(job.workdir / "history.jsonl", [evaluation])
    return state._replace(loss_sum=jax.numpy.float32(0)), evaluation


def _norms(job: Job, state: State) -> tuple[dict, dict[str, dict[str, np.ndarray]]]:
    """Sparsity by gamma as an evaluation holds it, and every layer's gamma and beta."""
    names = job.setup.plan.layer_names
    layers = {name: jax.device_get(state.params[name]["norm"]) for name in names}
    norms = {
        "gamma": {name: np.asarray(layer["scale"]) for name, layer in layers.items()},
        "beta": {name: np.asarray(layer["bias"]) for name, layer in layers.items()},
    }
    if not all(np.isfinite(gamma).all() for gamma in norms["gamma"].values()):
        return {}, norms
    found = gamma_sparsity(state.variables)
    layer_pct = dict(zip(names, found.layer_pct.values(), strict=True))
    return {"sparsity_gamma": found.total_pct, "layers": layer_pct}, norms
