"""What is a run made concrete on its data, and which runs train in one program?"""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections.abc import Iterator, Sequence
from pathlib import Path

import jax
import numpy as np

from sparsity_jax.data import Dataset, Stream
from sparsity_jax.data.augment import check_pad, seen_shape
from sparsity_jax.errors import UserError
from sparsity_jax.models import make_plan
from sparsity_jax.runs import Run
from sparsity_jax.shares import ALL, Share
from sparsity_jax.storage import digests
from sparsity_jax.storage.history import history_name
from sparsity_jax.training import Corpus, Hypers, Setup, StreamedCorpus, make_hypers, make_setup
from sparsity_jax.training.memory import free_bytes, member_bytes

LEAST_EVALUATIONS = 10  # of a run that is shorter than as many epochs
# A group's rows appear when it ends, and on a CPU its members take turns: no larger than it pays.
MOST_MEMBERS = {"cpu": 4}
MOST_MEMBERS_PER_DEVICE = 16


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
    share: Share = ALL

    @property
    def history(self) -> Path:
        """Where its course is written live: each share of a grid has a file of its own."""
        return self.workdir / history_name(self.share)

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

    @property
    def identity(self) -> str:
        """What its checkpoints are checkpoints of: its settings on its very data."""
        return digests.of_json([settings_digest(self.run), *self.data_digests])

    @property
    def data_digests(self) -> list[str]:
        """Of every array of its data."""
        return [digests.of_array(np.asarray(array)) for array in self.corpus]


def make_job(
    run: Run,
    dataset: Dataset | Stream,
    corpus: Corpus | StreamedCorpus,
    workdir: Path,
    share: Share = ALL,
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
    if run.augment == "pad_crop":
        check_pad(run.pad, dataset.image_shape[:2])
    plan = make_plan(
        run.network,
        classes=dataset.classes,
        input_shape=seen_shape(run.augment, dataset.image_shape),
        width=run.width,
        pool_after=run.pool_after,
        pool=run.pool,
        stride_2=run.stride_2,
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
        share=share,
    )


def settings_digest(run: Run) -> str:
    """Of everything that a run was asked for."""
    return digests.of_json(dataclasses.asdict(run))


def groups(jobs: Sequence[Job], *, most: int = 0, shares: int = 1) -> list[tuple[Job, ...]]:
    """Split jobs into groups that train in one program each, in the order of their first members.

    Members of a group share setup, data, length and evaluations; they differ in strengths, rates,
    seeds. Data that streams feeds one run at a time.

    Args:
      jobs: in the order of the grid.
      most: members at most; 0: as many as is fast here (4 on a CPU, 16 elsewhere) and fits.
      shares: processes that share the groups; groups get smaller until there are as many.
    """
    alike = _alike(jobs)
    limits = [most or _most_members(members[0].setup) for members in alike]
    counts = [-(-len(members) // limit) for members, limit in zip(alike, limits, strict=True)]
    while sum(counts) < min(shares, len(jobs)):
        sizes = [len(members) / count for members, count in zip(alike, counts, strict=True)]
        counts[sizes.index(max(sizes))] += 1
    split = zip(alike, counts, strict=True)
    return [group for members, count in split for group in _in_even_parts(members, count)]


def _alike(jobs: Sequence[Job]) -> list[list[Job]]:
    """Jobs that could share a program."""
    alike: dict[tuple, list[Job]] = {}
    for index, job in enumerate(jobs):
        streams = isinstance(job.corpus, StreamedCorpus)
        alone = index if streams else -1
        alike.setdefault((job.setup, id(job.corpus), *job.marks, alone), []).append(job)
    return list(alike.values())


def _in_even_parts(members: Sequence[Job], count: int) -> Iterator[tuple[Job, ...]]:
    """`count` groups whose sizes differ by one at most: equal sizes share a program."""
    ends = [len(members) * part // count for part in range(count + 1)]
    for first, end in itertools.pairwise(ends):
        yield tuple(members[first:end])


def _most_members(setup: Setup) -> int:
    many = MOST_MEMBERS_PER_DEVICE * jax.local_device_count()
    fast = MOST_MEMBERS.get(jax.default_backend(), many)
    return max(1, min(fast, free_bytes() // member_bytes(setup)))


def memory_line(group: Sequence[Job]) -> str:
    """What is said of a group's memory before it is launched."""
    needed = len(group) * member_bytes(group[0].setup)
    return (
        f"{len(group)} runs in one program, at most {needed / 1e9:.2f} GB of "
        f"{free_bytes() / 1e9:.1f} GB"
    )
