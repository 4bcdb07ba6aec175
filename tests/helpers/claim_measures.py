"""Measurements made up to be right and wrong for the claims about gamma, beta and selectivity."""

from __future__ import annotations

import dataclasses

import numpy as np

from sparsity_jax.storage.measurements import Measurements
from sparsity_jax.storage.results import RunResult

LAYERS = tuple(f"C{i}" for i in range(1, 8))
FILTERS = 100


def measure(
    *,
    dead: int = 0,
    negative_beta: float = 1.0,
    universality: float = 40.0,
    gamma: float = 0.5,
    weak: int = 0,
    faint: int = 0,
) -> Measurements:
    """Every layer alike: filters inactive, weak or faint, the rest with a share of beta < 0."""
    gammas = np.full(FILTERS, gamma)
    gammas[:dead], gammas[dead : dead + weak] = 1e-6, 5e-3
    living = FILTERS - dead
    beta = np.full(FILTERS, 0.3)
    beta[dead : dead + round(negative_beta * living)] = -0.3
    gone = np.arange(FILTERS) < dead
    values = np.where(gone, 0.0, universality)
    peak = np.where(gone, 0.0, 1.0)
    peak[dead : dead + faint] = 1e-6
    return Measurements(
        np.array([1]), np.array([1.0]),
        dict.fromkeys(LAYERS, gammas[None]), dict.fromkeys(LAYERS, beta[None]),
        dict.fromkeys(LAYERS, gone), dict.fromkeys(LAYERS, gone),
        dict.fromkeys(LAYERS, values), dict.fromkeys(LAYERS, peak),
    )  # fmt: skip


def measured_row(name: str, **changes: object) -> RunResult:
    base = RunResult(
        name, "CIFAR10", "BasicNet", "adam", "l2", 1e-5, 40, test_error=10.0, sparsity_gamma=30.0
    )
    return dataclasses.replace(base, **changes)  # pyright: ignore[reportArgumentType]


ROWS = {
    "adam": measured_row("adam"),
    "batch": measured_row("batch", batch_size=160),
    "harder": measured_row("harder", dataset="CIFAR100"),
    "sgd": measured_row("sgd", optimizer="sgd", sparsity_gamma=0.0),
    "sgd_strong": measured_row("sgd_strong", optimizer="sgd", strength=5e-4, sparsity_gamma=0.0),
}
RIGHT = {
    "adam": measure(dead=30),
    "batch": measure(dead=10),
    "harder": measure(dead=30, universality=60.0),
    "sgd": measure(negative_beta=0.7, universality=55.0),
    "sgd_strong": measure(negative_beta=0.7, universality=50.0),
}
GAMMAS, BETAS = "Adam and SGD learn positive gammas in C6", "Adam's betas are negative in C5 and C6"
SOME, SELECTIVE = (
    "Some of SGD's betas are positive",
    "In C6 Adam's filters are more selective than SGD's",
)
STAYS, HARDER = "A stronger L2 leaves SGD's C6 as it is", "Harder tasks, less selective filters"
BATCH, THRESHOLDS = (
    "A larger batch keeps more selective filters alive",
    "Higher thresholds give comparable sparsity",
)


# What is wrong for a claim that passes on RIGHT.
WRONG: list[tuple[str, dict[str, Measurements]]] = [
    (GAMMAS, {"adam": measure(gamma=-0.5)}),
    (GAMMAS, {"sgd": measure(gamma=-0.5)}),
    (BETAS, {"adam": measure(negative_beta=0.8)}),
    (BETAS, {"adam": measure(gamma=-0.5)}),
    (SOME, {"sgd": measure(), "sgd_strong": measure()}),
    (SELECTIVE, {"adam": measure(universality=56.0)}),
    (SELECTIVE, {"adam": measure(universality=54.5)}),
    (STAYS, {"sgd_strong": measure(negative_beta=0.7, universality=30.0)}),
    (HARDER, {"harder": measure(universality=30.0)}),
    (BATCH, {"batch": measure(dead=50)}),
    (BATCH, {"batch": measure(dead=30)}),
    (THRESHOLDS, {name: measure(dead=30, weak=20) for name in ("adam", "batch", "harder")}),
]
