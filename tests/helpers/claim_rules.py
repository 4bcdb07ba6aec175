"""Made-up runs on either side of every condition of the rules, with the outcome that is right.

With the paper's own tables, the turned world and `claim_rows`, they leave no comparison, margin or
part of a rule that could be wrong without a test that says so (`test_mutants.py`).
"""

from __future__ import annotations

import dataclasses
import math
from typing import Any

from claim_measures import BETAS, GAMMAS, RIGHT, ROWS, SELECTIVE, THRESHOLDS, measure
from claim_rows import CLUTTER, FREE, GROWING, HARDER, NO_REGULARIZER, SLOW, STRONGER, run

from sparsity_jax.pruning.cost import Cost
from sparsity_jax.storage.measurements import Measurements
from sparsity_jax.storage.pruned import PrunedRecord
from sparsity_jax.storage.results import RunResult

IMAGENET, VGG = (
    "On ImageNet the sparsity vanishes",
    "VGG-16 on CIFAR loses 70 to 80 % of its filters",
)
SPARSEST, SENSITIVE = (
    "Of the optimizers studied, Adam is the sparsest",
    "Adam is the most sensitive to the strength of L2",
)
ALIKE = "With SGD, L2 and weight decay are alike"
EARLY, VALLEY, LATE = (
    "SGD prunes early layers",
    "Adam prunes early layers and late ones, fewer in between",
    "AMSGrad prunes late layers only",
)
C6, MOST = (
    "In C6 Adam inactivates a large fraction, SGD hardly any",
    "With 90 % of the weights gone the network still does well",
)
MEASURES, LI = (
    "Sparsity by activation is sparsity by gamma",
    "VGG-16 at batch 160 beats the pruning of Li et al.",
)
ZEROING = "Zeroing inactive filters is free, marked by gamma or by activation"
SLIMMING = "VGG-19 is sparser than Network Slimming, at a slightly higher error"
_VGG = {"network": "VGG-16"}
_SGD, _NONE = {"optimizer": "sgd"}, math.nan
_LEAKY, _GAMMA = {"variant": "leaky_relu_0.01"}, {"variant": "gamma_lr_scale=0.1"}


def _layers(*layers: float, **others: Any) -> dict[str, Any]:
    return run(20.0, layers=layers, **others)


def _early(*layers: float) -> list[dict[str, Any]]:
    return [_layers(*layers, **_SGD)]


def _late(*layers: float) -> list[dict[str, Any]]:
    return [_layers(*layers, optimizer="amsgrad")]


def _onsets(optimizer: str, *sparsities: float) -> list[dict[str, Any]]:
    return [{**run(s, optimizer=optimizer), **g} for s, g in zip(sparsities, GROWING, strict=True)]


def _light(params: float, error: float, pruned: float, **others: Any) -> dict[str, Any]:
    return run(50.0, error, params_pruned_pct=params, pruned_test_error=pruned, **others)


def _vgg_19(sparsity: float = 90.0, error: float = 7.5, **others: Any) -> dict[str, Any]:
    return run(sparsity, error, **{"network": "VGG-19", **others})


def _slimmed(variant: str = "baseline=slimming_0.7", **others: Any) -> dict[str, Any]:
    numbers = {"features_pruned_pct": 70.0, "pruned_test_error": 6.5, "variant": variant}
    return _vgg_19(0.0, 6.5, **{**numbers, **others})


RULES: list[tuple[str, list[dict[str, Any]], str]] = [
    (STRONGER, [{**run(s), **g} for s, g in zip((30, 80, 20, 40), GROWING, strict=True)], "fail"),
    (STRONGER, [{**run(30), **GROWING[0]}, {**run(60), **GROWING[1]},
                {**run(0, status="diverged"), **GROWING[2]}], "pass"),
    # tasks
    (HARDER, [run(70), run(10, dataset="mine")], "not testable"),
    (IMAGENET, [run(70), run(0.2, 38.0, dataset="ImageNet", batch_size=64)], "pass"),
    (IMAGENET, [run(70), run(1.2, 38.0, dataset="ImageNet", batch_size=64)], "fail"),
    (IMAGENET, [run(0.2, 38.0, dataset="ImageNet")], "not testable"),
    (IMAGENET, [run(2), run(0.2, 38.0, dataset="ImageNet")], "not testable"),
    (IMAGENET, [run(70, dataset="TinyImageNet"), run(0.2, 38.0, dataset="ImageNet")],
     "not testable"),
    (IMAGENET, [run(70, **_VGG), run(0.2, 38.0, dataset="ImageNet", **_VGG)], "not testable"),
    (IMAGENET, [run(70, **_SGD), run(0.2, 38.0, dataset="ImageNet", **_SGD)], "not testable"),
    (IMAGENET, [run(70, regularizer="wd"), run(0.2, 38.0, dataset="ImageNet", regularizer="wd")],
     "not testable"),
    (HARDER, [run(70, **_VGG), run(10, dataset="CIFAR100", **_VGG)], "not testable"),
    (CLUTTER, [run(70, variant="bg=clean"), run(10, variant="bg=procedural")], "not testable"),
    (CLUTTER, [run(70, variant="bg=cluttered"), run(9, variant="bg=procedural")], "not testable"),
    (SLOW, [run(50), run(41, **_LEAKY), run(30, **_GAMMA)], "pass"),
    (SLOW, [run(41, **_LEAKY), run(30, **_GAMMA)], "not testable"),
    (SLOW, [run(9), run(9, **_LEAKY), run(5, **_GAMMA)], "not testable"),
    (SLOW, [run(30), run(50, **_LEAKY), run(40, **_GAMMA)], "fail"),
    (SLOW, [run(50), run(40.5, **_LEAKY), run(40, **_GAMMA)], "fail"),
    (SLOW, [run(40.5), run(50, **_LEAKY), run(40, **_GAMMA)], "fail"),
    (VGG, [run(76, **_VGG), run(83, dataset="CIFAR100", **_VGG)], "pass"),
    (VGG, [run(76, **_VGG)], "not testable"),
    (VGG, [run(76, dataset="CIFAR100", **_VGG)], "not testable"),
    (VGG, [run(76, **_VGG, **_SGD), run(83, dataset="CIFAR100", **_VGG, **_SGD)], "not testable"),
    # regularizers
    (ALIKE, [run(30, **_SGD), run(34, **_SGD, regularizer="wd")], "pass"),
    (ALIKE, [run(30, **_SGD), run(34, **_SGD, regularizer="wd"),
             run(0, **_SGD, regularizer="none")], "pass"),
    (ALIKE, [run(30, **_SGD), run(36, **_SGD, regularizer="wd")], "fail"),
    (SPARSEST, [run(42), run(40, optimizer="adadelta"), run(0, **_SGD)], "pass"),
    (SPARSEST, [run(40.5), run(40, optimizer="adadelta"), run(0, **_SGD)], "fail"),
    (SPARSEST, [run(42), run(0, **_SGD)], "not testable"),
    (SENSITIVE, [*_onsets("adam", 5, 10, 60, 80), *_onsets("sgd", 0, 0, 5, 60),
                 *_onsets("adagrad", 0, 0, 5, 60)], "pass"),
    (SENSITIVE, [*_onsets("adam", 5, 10, 15, 80), *_onsets("sgd", 0, 0, 5, 60),
                 *_onsets("adagrad", 0, 0, 5, 60)], "fail"),
    (SENSITIVE, [*_onsets("adam", 30, 40, 60, 80), *_onsets("sgd", 0, 0, 5, 60),
                 *_onsets("adagrad", 0, 0, 5, 60)], "not testable"),
    # layers
    (EARLY, _early(30, 10, 10, 10, 10, 5, 50), "pass"),
    (EARLY, _early(30, 40, 10, 10, 10, 5, 5), "fail"),
    (EARLY, _early(30, 10, 3, 10, 10, 5, 5), "fail"),
    (EARLY, _early(30, 30.5, 10, 10, 10, 5, 5), "pass"),
    (EARLY, _early(30, 10, 4.5, 10, 10, 5, 5), "pass"),
    (EARLY, _early(10, 10, 10, 10, 10, 9.5, 5), "fail"),
    (VALLEY, [_layers(40, 5, 5, 5, 5, 40, 40)], "pass"),
    (VALLEY, [_layers(5, 5, 5, 5, 5, 40, 40)], "fail"),
    (VALLEY, [_layers(40, 5, 5, 5, 5, 5, 5)], "fail"),
    (VALLEY, [_layers(5.5, 5, 5, 5, 5, 40, 40)], "fail"),
    (VALLEY, [_layers(40, 5, 5, 5, 5, 5.5, 5.5)], "fail"),
    (LATE, _late(2, 2, 2, 2, 2, 40, 40), "pass"),
    (LATE, _late(2, 2, 2, 2, 2, 2.5, 2.5), "fail"),
    (LATE, _late(10, 2, 2, 2, 2, 40, 40), "fail"),
    (LATE, _late(2, 2, 2, 2, 2, 1, 40), "fail"),
    (C6, [_layers(*[9] * 5, 60, 60), _layers(*[9] * 5, 30, 9, **_SGD)], "pass"),
    (C6, [_layers(*[9] * 5, 30, 60), _layers(*[9] * 5, 15, 9, **_SGD)], "fail"),
    (C6, [_layers(*[9] * 5, 0, 0, error=_NONE, strength=1e-6), _layers(*[9] * 5, 60, 60),
          _layers(*[9] * 5, 9, 9, **_SGD)], "pass"),
    (C6, [run(1.0, 9.0, strength=1e-6, layers=(1,) * 7), _layers(*[9] * 5, 60, 60),
          _layers(*[9] * 5, 9, 9, **_SGD)], "pass"),
    (C6, [_layers(*[9] * 5, 60, 60), _layers(*[9] * 5, 9, 9, **_SGD),
          _layers(*[9] * 5, 90, 90, optimizer="adagrad")], "pass"),
    (FREE, [run(50.0, _NONE, pruned_test_error=10.0)], "not testable"),
    (FREE, [run(50.0)], "not testable"),
    (MOST, [_light(20, 10, 10), _light(95, 13, 13.2, strength=1e-3)], "pass"),
    (MOST, [_light(20, 10, 10), _light(95, 20, 20, strength=1e-3)], "fail"),
    (MOST, [_light(20, 10, 10), _light(95, 10, 14, strength=1e-3)], "fail"),
    (MOST, [_light(50, 10, 10)], "not testable"),
    (MOST, [_light(95, 10, 10, **_SGD)], "not testable"),
    (MOST, [_light(95, 10, _NONE)], "not testable"),
    (MOST, [_light(95, _NONE, 10)], "not testable"),
    (MEASURES, [run(30, sparsity_act=32.0)], "pass"),
    (MEASURES, [run(30, sparsity_act=34.0)], "fail"),
    (MEASURES, [run(0, sparsity_act=30.0)], "fail"),
    (MEASURES, [run(30)], "not testable"),
    (MEASURES, [run(1, sparsity_act=1.0)], "not testable"),
    (MEASURES, [run(30, sparsity_act=0.0, **_LEAKY)], "not testable"),
    (MEASURES, [run(30, sparsity_act=0.0, optimizer="adamax")], "not testable"),
    (MEASURES, [run(30, sparsity_act=30.0, **NO_REGULARIZER)], "not testable"),
    (LI, [run(83, 6.5, batch_size=160, **_VGG)], "pass"),
    (LI, [run(83, 6.7, batch_size=160, **_VGG)], "fail"),
    (LI, [run(37.5, 6.5, batch_size=160, **_VGG)], "fail"),
    (LI, [run(83, 6.5, batch_size=80, **_VGG)], "not testable"),
    (LI, [run(83, 6.5, batch_size=160, **_VGG, **_SGD)], "not testable"),
    (LI, [run(83, 6.7, batch_size=160, **_VGG), run(0, 7, features_pruned_pct=37.0,
          pruned_test_error=7.0, variant="baseline=l1_0.37", **_VGG)], "pass"),
    (SLIMMING, [_vgg_19(), _slimmed()], "pass"),
    (SLIMMING, [_vgg_19(60), _slimmed()], "fail"),
    (SLIMMING, [_vgg_19(70.5), _slimmed()], "fail"),
    (SLIMMING, [_vgg_19(error=6.0), _slimmed()], "fail"),
    (SLIMMING, [_vgg_19(error=12.0), _slimmed()], "fail"),
    (SLIMMING, [_vgg_19(), _slimmed(pruned_test_error=_NONE)], "not testable"),
    (SLIMMING, [_vgg_19(), _slimmed(dataset="CIFAR100")], "not testable"),
    (SLIMMING, [_vgg_19(), _slimmed("baseline=l1_0.5")], "not testable"),
    (SLIMMING, [_vgg_19(steps=406_250), _slimmed(steps=100)], "not testable"),
    (SLIMMING, [_vgg_19(**_SGD), _slimmed()], "not testable"),
    (SLIMMING, [_vgg_19(**_VGG), _slimmed(**_VGG)], "not testable"),
    (SLIMMING, [_vgg_19(error=_NONE), _slimmed()], "not testable"),
    (SLIMMING, [_vgg_19()], "not testable"),
]  # fmt: skip


def zeroed(test: float, gamma: float, act: float) -> dict[str, PrunedRecord]:
    """A pruned.json of run '0': its errors as trained, and zeroed by gamma and by activation."""
    cost = Cost(filters=100, conv_params=100, params=100, macs=100)
    return {"0": PrunedRecord(1e-3, test, gamma, gamma, 0.0, cost, cost, {}, masked_act_error=act)}


ZEROED: list[tuple[float, dict[str, PrunedRecord], str]] = [  # sparsity, pruned.json, outcome
    (30.0, zeroed(10, 10.3, 10.3), "pass"),
    (30.0, zeroed(10, 10.5, 10.0), "fail"),
    (30.0, zeroed(10, 10.0, 10.5), "fail"),
    (30.0, zeroed(10, 10.0, _NONE), "not testable"),
    (30.0, {}, "not testable"),
    (2.0, zeroed(10, 10, 10), "not testable"),
]


def _rows(**changes: Any) -> list[RunResult]:
    """The measured rows, all with these changes."""
    return [dataclasses.replace(row, **changes) for row in ROWS.values()]


# Measured rows: claim, rows, measurements, outcome.
MEASURED: list[tuple[str, list[RunResult], dict[str, Measurements], str]] = [
    (THRESHOLDS, _rows(), RIGHT, "pass"),
    (THRESHOLDS, _rows(), dict.fromkeys(RIGHT, measure(dead=30, faint=20)), "fail"),
    (THRESHOLDS, _rows(sparsity_gamma=1.0), dict.fromkeys(RIGHT, measure(weak=9)), "not testable"),
    (THRESHOLDS, _rows(variant="leaky_relu_0.01"), RIGHT, "not testable"),
    (GAMMAS, _rows(network="VGG-16"), RIGHT, "not testable"),
    (BETAS, _rows(variant="leaky_relu_0.01"), RIGHT, "not testable"),
    (BETAS, _rows(regularizer="none"), RIGHT, "not testable"),
    (SELECTIVE, _rows(regularizer="wd"), RIGHT, "not testable"),
]
