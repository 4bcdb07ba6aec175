"""Cuts of a run that prunes while it trains: what is left, when, and what it saved.

A cut removes dead filters at an evaluation; the program that goes on is smaller. Everything that is
reported stays in the original network's terms: its filters, its gammas, its multiply-adds.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from sparsity_jax.models import Plan
from sparsity_jax.optimizers import vanishing_limit
from sparsity_jax.pruning.cost import cost
from sparsity_jax.pruning.shrink import dead_filters, everything, keep_living, pays


class Cut(NamedTuple):
    """One cut.

    Attributes:
      step: training steps taken before it.
      kept: layer -> places in the original network of the filters that stayed.
    """

    step: int
    kept: dict[str, np.ndarray]


class CutRule(NamedTuple):
    """Rule that decides when filters are cut.

    Attributes:
      patience: evaluations in a row at which gamma and beta have vanished.
      least_gain: share of multiply-adds that a cut must save, in [0, 1).
    """

    patience: int
    least_gain: float


def kept_after(plan: Plan, cuts: Sequence[Cut]) -> dict[str, np.ndarray]:
    """Places in the original network of the filters that are left.

    Example:
      >>> from sparsity_jax.models import Conv
      >>> plan = Plan("tiny", (Conv(3),), (8, 8, 1), "global", (), 2)
      >>> kept_after(plan, [Cut(10, {"C1": np.array([0, 2])})])["C1"].tolist()
      [0, 2]
    """
    return dict(cuts[-1].kept) if cuts else everything(plan)


def plan_after(plan: Plan, cuts: Sequence[Cut]) -> Plan:
    """The network that is left."""
    return plan.with_filters([len(places) for places in kept_after(plan, cuts).values()])


def next_keep(
    plan: Plan,
    cuts: Sequence[Cut],
    *,
    gammas: Mapping[str, np.ndarray],
    betas: Mapping[str, np.ndarray],
    rule: CutRule,
) -> dict[str, np.ndarray] | None:
    """Filters to keep of the network that is left; None where no cut is due.

    Args:
      plan: the original network.
      cuts: so far.
      gammas: layer -> (evaluations, filters) of the original network, in order of time.
      betas: the same of beta.
      rule: when filters go.

    Returns:
      Layer -> (filters left,) bool, True = keep.
    """
    kept = kept_after(plan, cuts)
    scales, shifts = (
        {name: values[name][:, places] for name, places in kept.items()}
        for values in (gammas, betas)
    )
    dead = dead_filters(scales, shifts, patience=rule.patience)
    keep = keep_living({name: values[-1] for name, values in scales.items()}, dead)
    return keep if pays(plan_after(plan, cuts), keep, least_gain=rule.least_gain) else None


def why_few_cuts(optimizer: str, regularizer: str, *, learning_rate: float, strength: float) -> str:
    """The reason why dead filters will hardly be cut before the rate drops, in one line.

    Empty where they will: with L2, and a product of rate and strength below
    `optimizers.vanishing_limit`.

    Args:
      optimizer: its name.
      regularizer: its name.
      learning_rate: of gamma or beta, the larger, before any drop.
      strength: of the regularizer.

    Example:
      >>> why_few_cuts("sgd", "l2", learning_rate=0.1, strength=5e-4)
      'sgd with l2 takes gamma and beta of dead filters to 0 slowly: expect few cuts or none'
      >>> why_few_cuts("adam", "l2", learning_rate=1e-3, strength=1e-4)
      ''
    """
    if regularizer == "none":
        return "without a regularizer no gamma or beta goes to 0: expect no cut"
    limit, product = vanishing_limit(optimizer), learning_rate * strength
    if limit is None or regularizer != "l2":
        return (
            f"{optimizer} with {regularizer} takes gamma and beta of dead filters to 0 slowly: "
            "expect few cuts or none"
        )
    if product < limit:
        return ""
    return (
        f"with {optimizer} and l2 dead filters stay at 0 where learning_rate x strength is below "
        f"{limit:g}; here it is {product:g}: expect few cuts before the rate drops"
    )


def train_macs_pct(plan: Plan, cuts: Sequence[Cut], *, steps: int) -> float:
    """Multiply-adds spent on training, in percent of the uncut network's.

    100 * sum over steps of macs(network at that step) / (steps * macs(plan))

    Example:
      >>> from sparsity_jax.models import Conv
      >>> plan = Plan("tiny", (Conv(4),), (8, 8, 1), "global", (), 2)
      >>> round(train_macs_pct(plan, [Cut(50, {"C1": np.array([0])})], steps=100), 1)
      62.5
    """
    starts = [0, *(cut.step for cut in cuts)]
    ends = [*starts[1:], steps]
    spent = sum(
        (end - start) * cost(plan_after(plan, cuts[:index])).macs
        for index, (start, end) in enumerate(zip(starts, ends, strict=True))
    )
    return 100 * spent / (steps * cost(plan).macs)


def cut_steps(plan: Plan, cuts: Sequence[Cut]) -> dict[str, np.ndarray]:
    """Layer -> (filters,) the step at which each filter was cut, -1 where it never was."""
    found = {name: np.full(len(places), -1) for name, places in everything(plan).items()}
    for cut in reversed(cuts):
        for name, places in cut.kept.items():
            gone = np.setdiff1d(np.arange(len(found[name])), places)
            found[name][gone] = cut.step
    return found


def encode_cuts(cuts: Sequence[Cut]) -> list[Any]:
    """The cuts as JSON knows them."""
    return [
        [cut.step, {name: places.tolist() for name, places in cut.kept.items()}] for cut in cuts
    ]


def decode_cuts(raw: Sequence[Any]) -> list[Cut]:
    """The inverse of `encode_cuts`."""
    return [
        Cut(int(step), {name: np.array(places, int) for name, places in kept.items()})
        for step, kept in raw
    ]
