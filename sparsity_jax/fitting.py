"""How does one run get trained, observed and kept: steps, evaluations, checkpoints."""

from __future__ import annotations

import dataclasses
import math
import time
from pathlib import Path

import jax
import numpy as np

from sparsity_jax.data import Dataset
from sparsity_jax.errors import UserError
from sparsity_jax.models import make_plan
from sparsity_jax.optimizers.schedules import step_schedule
from sparsity_jax.progress import Progress
from sparsity_jax.settings import Run
from sparsity_jax.sparsity import gamma_sparsity
from sparsity_jax.storage.checkpoints import Checkpoints
from sparsity_jax.storage.history import Evaluation, append_history, truncate_after
from sparsity_jax.storage.trace import Trace
from sparsity_jax.training import (
    Corpus,
    Hypers,
    Setup,
    State,
    advance,
    evaluate,
    init_state,
    make_hypers,
    make_setup,
)

LEAST_EVALUATIONS = 10  # of a run that is shorter than as many epochs
STEPS_BETWEEN_LOOKS = 50  # how often the progress bar moves
SECONDS_BETWEEN_CHECKPOINTS = 60.0


@dataclasses.dataclass(frozen=True)
class Job:
    """One run made concrete on its data: what program, which numbers, how long, kept where."""

    run: Run
    dataset: str
    setup: Setup
    hypers: Hypers
    corpus: Corpus
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
    """A run at its end: its state, what was observed on the way, the time spent."""

    state: State
    trace: Trace
    seconds: float
    status: str


def make_job(run: Run, dataset: Dataset, corpus: Corpus, workdir: Path) -> Job:
    """Fit a run to its data.

    Raises:
      UserError: a batch larger than the training set, or images too small for the network.
    """
    size = len(dataset.train_labels)
    for field in ("batch_size", "reference_batch"):
        if getattr(run, field) > size:
            raise UserError(
                f"config.{field}={getattr(run, field)} is larger than the {size} training images "
                f"of {dataset.name}; give at most {size}"
            )
    plan = make_plan(
        run.network,
        classes=dataset.classes,
        input_shape=dataset.image_shape,
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

    A run whose loss stops being finite ends there: its status is 'diverged'.

    Args:
      job: the run on its data.
      place: which run of how many, for the progress bar.

    Returns:
      The state at the end with everything observed.
    """
    with Checkpoints(job.folder / "checkpoints") as checkpoints:
        state, trace, seconds = _start(job, checkpoints)
        first = int(state.step)
        saved_at = began = time.monotonic()
        status = "finished"
        with Progress(job.run.name, total=job.steps, start=first, place=place) as progress:
            for mark in [mark for mark in job.marks if mark > first]:
                state = _advance(job, state, mark, progress)
                state, evaluation = _observe(job, state, trace)
                progress.evaluated(evaluation)
                if not math.isfinite(evaluation.train_loss):
                    status = "diverged"
                    break
                if time.monotonic() - saved_at > SECONDS_BETWEEN_CHECKPOINTS or mark == job.steps:
                    _save(checkpoints, state, trace, seconds + time.monotonic() - began)
                    saved_at = time.monotonic()
        return Fitted(state, trace, seconds + time.monotonic() - began, status)


def _start(job: Job, checkpoints: Checkpoints) -> tuple[State, Trace, float]:
    """The state to go on from, what was observed up to it, and the seconds spent on it."""
    fresh = init_state(job.setup, job.hypers)
    restored = checkpoints.restore(like=fresh)
    history = job.workdir / "history.jsonl"
    if restored is None:
        truncate_after(history, job.run.name, -1)
        return fresh, Trace(), 0.0
    trace = Trace.of(restored.notes["evaluations"], restored.arrays)
    truncate_after(history, job.run.name, restored.step)
    return restored.state, trace, restored.notes["seconds"]


def _save(checkpoints: Checkpoints, state: State, trace: Trace, seconds: float) -> None:
    checkpoints.save(
        int(state.step),
        state,
        arrays=trace.arrays(),
        notes={"evaluations": trace.lines(), "seconds": seconds},
    )


def _advance(job: Job, state: State, mark: int, progress: Progress) -> State:
    """Train until a mark, moving the progress bar on the way."""
    since = _last_mark(job, int(state.step))
    while (step := int(state.step)) < mark:
        until = min(step + STEPS_BETWEEN_LOOKS, mark)
        state = advance(job.setup, job.hypers, job.corpus, state, until=until)
        progress.at(until, loss=float(state.loss_sum) / (until - since))
    return state


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
        epoch=step * job.run.batch_size / len(corpus.train_labels),
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
