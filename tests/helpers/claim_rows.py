"""Runs made up for one claim each, with the outcome that is right: what rules are tested on."""

from __future__ import annotations

import dataclasses
from typing import Any

from sparsity_jax.storage.results import RunResult

NONE = "No regularizer, no sparsity (by gamma)"
SGD = "Adam is sparser than SGD at equal error"
WD = "With Adam, L2 is sparser than weight decay at equal error"
STRONGER = "Stronger regularization, more sparsity"
LEAKY, SLOW = "Leaky ReLU barely lowers sparsity", "A slower gamma lowers it more"
FREE, BETA = "Pruning inactive filters is free", "Starting beta at 1 raises sparsity"
NARROW, BATCH = "Narrower networks, less sparsity", "Larger batches, less sparsity"
AMSGRAD, HARDER = "AMSGrad is less sparse than Adam at equal error", "Harder tasks, less sparsity"
CLUTTER = "Clutter behind the objects, less sparsity"


def made_up(*changes: dict[str, Any]) -> list[RunResult]:
    """Rows that differ from Adam with L2 on CIFAR10, dense at 10 % error, as told."""
    base = RunResult(
        "", "CIFAR10", "BasicNet", "adam", "l2", 1e-4, 40, test_error=10.0, sparsity_gamma=0.0
    )
    return [dataclasses.replace(base, run=str(i), **each) for i, each in enumerate(changes)]


def run(sparsity: float, error: Any = 10.0, **others: Any) -> dict[str, Any]:
    return {"sparsity_gamma": sparsity, "test_error": error, **others}


NO_REGULARIZER = {"regularizer": "none", "strength": 0.0}
GROWING = [{"strength": 10.0**-power} for power in (6, 5, 4, 3)]
MINIATURE = {"dataset": "renderings"}


# Inputs on which earlier rules passed vacuously, or on the reverse of what the paper says.
PERVERSE: list[tuple[str, list[dict[str, Any]], str]] = [
    # C1: one run without a regularizer, nothing sparse anywhere
    (NONE, [run(0.0, **NO_REGULARIZER)], "not testable"),
    (NONE, [run(0.0, **NO_REGULARIZER), run(1.0)], "not testable"),
    (NONE, [run(0.0, **NO_REGULARIZER), run(30.0)], "pass"),
    (NONE, [run(30.0, **NO_REGULARIZER), run(30.0)], "fail"),
    # C2, C3, C4: one side has no run within the band
    (SGD, [run(5.0), run(95.0, 11.6, optimizer="sgd")], "not testable"),
    (SGD, [run(70.0, 12.0), run(0.0, optimizer="sgd")], "not testable"),
    (SGD, [run(70.0, 11.0), run(0.0, optimizer="sgd")], "pass"),
    (SGD, [run(0.0), run(0.0, optimizer="sgd")], "not testable"),
    (WD, [run(5.0), run(95.0, 11.6, regularizer="wd")], "not testable"),
    # C5: everything at chance level
    (SGD, [run(70.0, 90.0), run(0.0, 90.0, optimizer="sgd")], "not testable"),
    (WD, [run(70.0, 90.0), run(0.0, 90.0, regularizer="wd")], "not testable"),
    (FREE, [run(70.0, 90.0, pruned_test_error=90.0)], "not testable"),
    # C6: falling and flat with growing strength
    (STRONGER, [{**run(60.0 - 2 * i), **s} for i, s in enumerate(GROWING)], "fail"),
    (STRONGER, [{**run(60.0), **s} for s in GROWING], "fail"),
    (STRONGER, [{**run(60.0 + 2 * i), **s} for i, s in enumerate(GROWING)], "pass"),
    (STRONGER, [{**run(1.0), **s} for s in GROWING], "not testable"),
    # C7: leaky takes all of it
    (LEAKY, [run(9.0), run(0.0, variant="leaky_relu_0.01")], "not testable"),
    (LEAKY, [run(50.0), run(10.0, variant="leaky_relu_0.01")], "fail"),
    # C8: slow gamma between plain and leaky, in miniature; and without leaky
    (SLOW, [run(50.0, **MINIATURE, variant="width=0.25+bg=clean"),
            run(10.0, **MINIATURE, variant="width=0.25+leaky_relu_0.01+bg=clean"),
            run(45.0, **MINIATURE, variant="width=0.25+gamma_lr_scale=0.1+bg=clean")],
     "fail"),
    (SLOW, [run(50.0), run(20.0, variant="gamma_lr_scale=0.1")], "not testable"),
    # C9: explicit pruning with fine-tuning; C10: three and a half times the error
    (FREE, [run(50.0, pruned_test_error=10.0, variant="baseline=l1_0.5+finetune=40")],
     "not testable"),
    (FREE, [run(50.0, 0.2, pruned_test_error=0.7)], "fail"),
    (FREE, [run(50.0, 10.0, pruned_test_error=10.3)], "pass"),
    (FREE, [run(2.0, 10.0, pruned_test_error=10.0)], "not testable"),
    # C11: differences that print would round away
    (BETA, [run(50.0), run(50.01, variant="beta_init=1.0")], "fail"),
    (NARROW, [run(50.0), run(49.99, variant="width=64-0.5x")], "fail"),
    (BATCH, [run(50.0), run(50.0, batch_size=80)], "fail"),
    (AMSGRAD, [run(30.01), run(30.0, optimizer="amsgrad")], "fail"),
    (HARDER, [run(30.01), run(30.0, dataset="CIFAR100")], "fail"),
    (CLUTTER, [run(30.5, **MINIATURE, variant="bg=clean"),
               run(30.0, **MINIATURE, variant="bg=cluttered")], "fail"),
    # C12: seeds that disagree
    (SGD, [*({**run(s), "seed": i} for i, s in enumerate((0.0, 0.0, 30.0))),
           *({**run(8.0, optimizer="sgd"), "seed": i} for i in range(3))], "too noisy"),
    # C13: shortened runs
    (SGD, [run(70.0, steps=50_000), run(0.0, optimizer="sgd", steps=50_000)], "shortened"),
    (SGD, [run(70.0, steps=406_250), run(0.0, optimizer="sgd", steps=50_000)],
     "not testable"),
]  # fmt: skip
