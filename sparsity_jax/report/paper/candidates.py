"""Table of calibration candidates, nearest to the paper first; full length apart from shorter."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence

from sparsity_jax.config.calibration import CANDIDATES
from sparsity_jax.report import tables
from sparsity_jax.report.aggregate import spread
from sparsity_jax.report.paper.calibration import FITTED, FULL_STEPS, Entry, parts, targets
from sparsity_jax.report.paper.length import length_text

SHOWN = (  # column, title, decimals
    ("train_loss", "train loss", 2),
    ("test_loss", "test loss", 2),
    ("test_error", "error %", 1),
    ("sparsity_gamma", "inactive %", 0),
)
DIAGNOSES = {each.name for each in CANDIDATES if each.diagnosis}  # can't be what the paper did
RULE = (
    "Published → ours, mean over n seeds. distance: mean of |log2 of the train loss ratio| / 0.5, "
    "|test loss\nratio - 1| / 0.1, |error ratio - 1| / 0.05 and |difference of the inactive "
    "filters in points| / 3. worst: the\nlarger of a candidate's two data sets. A diagnosis "
    "cannot be what the paper did."
)


@dataclasses.dataclass(frozen=True)
class Fit:
    """A candidate's finished runs of one length on one data set.

    Attributes:
      means: column of `FITTED` -> mean over the seeds.
      n: how many seeds.
      distance: from the published row; NaN where a number was not measured.
    """

    means: Mapping[str, float]
    n: int
    distance: float


@dataclasses.dataclass(frozen=True)
class Score:
    """A candidate at one length, on the data sets that have finished."""

    candidate: str
    length: int
    fits: Mapping[str, Fit]

    @property
    def distance(self) -> float:
        """The larger of the two data sets' distances; NaN until both have finished."""
        known = [self.fits[name].distance if name in self.fits else math.nan for name in targets()]
        return max(known) if not any(map(math.isnan, known)) else math.nan


def scores(lines: Sequence[Entry]) -> list[Score]:
    """The candidates at every length at which they were run, nearest to the paper first.

    Of several entries of one experiment (candidate, data set, length, seed) the last one counts.
    """
    latest = {line.key: line for line in lines if line.status == "finished"}
    members: dict[tuple[str, int], dict[str, list[Entry]]] = {}
    for line in latest.values():
        datasets = members.setdefault((line.candidate, line.length), {})
        datasets.setdefault(line.dataset, []).append(line)
    found = [
        Score(candidate, length, {name: _fit(name, same) for name, same in datasets.items()})
        for (candidate, length), datasets in members.items()
    ]
    return sorted(found, key=_rank)


def _rank(score: Score) -> tuple[int, float, float, str]:
    """Longer runs first; then the distance, and where one data set is missing, the other's."""
    one = max(fit.distance for fit in score.fits.values())
    return -score.length, _last(score.distance), _last(one), score.candidate


def _last(value: float) -> float:
    return math.inf if math.isnan(value) else value


def _fit(dataset: str, lines: Sequence[Entry]) -> Fit:
    means = {name: spread([line.numbers[name] for line in lines]).mean for name in FITTED}
    return Fit(means, len(lines), sum(parts(targets()[dataset].row, means)) / 4)


def as_text(lines: Sequence[Entry]) -> str:
    """Everything that is known of the candidates, as text for a terminal."""
    ranked = scores(lines)
    if not ranked:
        return "no candidate has finished a run yet"
    full = [score for score in ranked if score.length == FULL_STEPS]
    other = [score for score in ranked if score.length != FULL_STEPS]
    blocks = []
    if full:
        blocks += [f"Full length, {FULL_STEPS:,} steps:", tables.as_text(table(full)), ""]
    if other:
        title = "Of another length: they screen, they do not decide."
        blocks += [title, tables.as_text(table(other, lengths=True)), ""]
    return "\n".join([*blocks, RULE])


def table(ranked: Sequence[Score], *, lengths: bool = False) -> tables.Table:
    """A line for each candidate and data set.

    Args:
      ranked: what `scores` returns.
      lengths: whether to show how much the runs were shortened.
    """
    columns = (
        tables.Column("candidate", words=True),
        tables.Column("data set", words=True),
        *([tables.Column("length", words=True)] if lengths else []),
        *(tables.Column(title) for _, title, _ in SHOWN),
        tables.Column("n"),
        tables.Column("distance"),
        tables.Column("worst"),
    )
    return tables.Table(columns, tuple(line for score in ranked for line in _lines(score, lengths)))


def _lines(score: Score, lengths: bool) -> list[tuple[tables.Cell, ...]]:
    found = []
    note = "(diagnosis)" if score.candidate in DIAGNOSES else ""
    for dataset, target in targets().items():
        fit = score.fits.get(dataset)
        ours: Mapping[str, float] = fit.means if fit else dict.fromkeys(FITTED, math.nan)
        found.append(
            (
                tables.Cell(score.candidate, note=note),
                tables.Cell(dataset),
                *([tables.Cell(length_text([score.length / FULL_STEPS]))] if lengths else []),
                *(
                    tables.Cell(
                        f"{target.printed[name]} → {tables.number_text(ours[name], decimals)}",
                        ours[name],
                    )
                    for name, _, decimals in SHOWN
                ),
                tables.Cell(str(fit.n) if fit else "-", fit.n if fit else math.nan),
                tables.number_cell(fit.distance if fit else math.nan, 2),
                tables.number_cell(score.distance, 2),
            )
        )
    return found
