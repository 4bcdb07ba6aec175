"""The headers of the paper's tables: which rows stand beside which, under which titles."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping

from sparsity_jax.config.naming import strength_text
from sparsity_jax.report.aggregate import OPTIMIZER_NAMES, REGULARIZER_NAMES
from sparsity_jax.storage.results import RunResult

CIFAR = ("CIFAR10", "CIFAR100")
Columns = tuple[tuple[str, str], ...]  # title, column of results.csv
_LOSSES = (("Train Loss", "train_loss"), ("Test Loss", "test_loss"))
_ERROR = ("Test Err", "test_error")
_SPARSITY: Columns = (
    ("% by Act", "sparsity_act"),
    ("% by γ", "sparsity_gamma"),
    ("Test Error", "test_error"),
)
_WIDTHS = (64, 128, 128, 256, 256, 512, 512)
_LAYERS = tuple((f"C{i} ({width})", f"c{i}") for i, width in enumerate(_WIDTHS, 1))
_TOTAL = ("Total (1856)", "sparsity_gamma")
_PARAMETERS = ("% Param Pruned (4649664)", "params_pruned_pct")
_PRUNED = ("Pruned Test Err.", "pruned_test_error")
_VALIDATION: Columns = (
    ("Train Loss", "train_loss"),
    ("Val Loss", "test_loss"),
    ("Top 1 Val Err.", "test_error"),
    ("Top 5 Val Err.", "top5_error"),
    ("% Spar. by γ", "sparsity_gamma"),
)
_VGG_16 = (64, 64, 128, 128, *(256,) * 3, *(512,) * 6)


@dataclasses.dataclass(frozen=True)
class Layout:
    """Layout of a table of the paper.

    Attributes:
      caption: what it holds; the paper's captions are not in the text.
      heads: titles of the row heads, and `head`: a row's own.
      columns: titles and columns of results.csv.
      halves: data sets side by side; (): one after the other.
      turned: whether runs are its columns, as in Table 7.
    """

    caption: str
    heads: tuple[str, ...]
    head: Callable[[RunResult], tuple[str, ...]]
    columns: Columns
    halves: tuple[str, ...] = ()
    turned: bool = False


def _optimizer(row: RunResult) -> str:
    return OPTIMIZER_NAMES.get(row.optimizer, row.optimizer)


def _strength(row: RunResult) -> str:
    """'L2: 1e-3', as the paper's row heads have it."""
    if not row.strength:
        return "none"
    kind = REGULARIZER_NAMES.get(row.regularizer, row.regularizer)
    return f"{kind}: {strength_text(row.strength).replace('e-0', 'e-')}"


def _kind(row: RunResult) -> tuple[str, ...]:
    return _optimizer(row), _strength(row)


def _batch(row: RunResult) -> str:
    return str(row.batch_size or "")


def _setting(row: RunResult) -> tuple[str, ...]:
    words = {"": "", "leaky_relu_0.01": "NegSlope=0.01", "leaky_relu_0.1": "NegSlope=0.1"}
    return _optimizer(row), " ".join(filter(None, (_strength(row), words[row.variant])))


_NORMS = {
    "baseline_gamma_init=1_beta_init=0": "Baseline (γ=1, β=0)",
    "beta_init=-0.1": "γ=1, β=-0.1",
    "beta_init=1.0": "γ=1, β=1.0",
    "gamma_lr_scale=0.1": "LR scale for γ: 0.1",
    "beta_lr_scale=0.1": "LR scale for β: 0.1",
}


def _run_of_7(row: RunResult) -> tuple[str, ...]:
    return (f"B: {row.batch_size}" if row.batch_size else "Li et al. [13]",)


def _run_of_8(row: RunResult) -> tuple[str, ...]:
    return row.dataset, f"{_strength(row)}, B: {row.batch_size}"


_BY_LAYER: Columns = (*_LOSSES, _ERROR, *_LAYERS, _TOTAL)
_TASKS: Columns = (*_LOSSES, _ERROR, ("% Spar. by γ", "sparsity_gamma"))
LAYOUTS: Mapping[str, Layout] = {
    "1": Layout("Sparsity and test error of BasicNet", ("", ""), _kind, _SPARSITY, CIFAR),
    "2": Layout(
        "Sparsity by layer of BasicNet on CIFAR100",
        ("", ""),
        _kind,
        (*_BY_LAYER, _PARAMETERS, _PRUNED),
    ),
    "3": Layout(
        "BasicNet, Adam, by batch size",
        ("", "Batch Size"),
        lambda row: (_strength(row), _batch(row)),
        _TASKS,
        CIFAR,
    ),
    "4": Layout(
        "BasicNet on TinyImageNet",
        ("", "Batch Size"),
        lambda row: (_optimizer(row), _batch(row)),
        _VALIDATION,
    ),
    "5": Layout("BasicNet on ImageNet", ("Batch Size",), lambda r: (_batch(r),), _VALIDATION),
    "6": Layout(
        "BasicNet by width",
        ("Net Cfg.",),
        lambda row: (row.variant.removeprefix("width="),),
        _TASKS,
        CIFAR,
    ),
    "7": Layout(
        "VGG-16 on CIFAR, Adam, L2: 1e-4",
        ("Conv Layer", "#Conv Feat."),
        _run_of_7,
        (
            *((f"C{i}", f"c{i}") for i in range(1, 14)),
            ("%Feat. Pruned", "features_pruned_pct"),
            _ERROR,
        ),
        CIFAR,
        turned=True,
    ),
    "8": Layout(
        "VGG-16 before and after pruning",
        ("", ""),
        _run_of_8,
        (
            ("# Conv Feat. Pruned", "features_pruned"),
            ("%", "features_pruned_pct"),
            ("Pre-pruning top1", "test_error"),
            ("Pre-pruning top5", "top5_error"),
            ("Post-pruning top1", "pruned_test_error"),
            ("Post-pruning top5", "pruned_top5_error"),
        ),
    ),
    "9": Layout(
        "VGG-11 on ImageNet: the numbers of it that are in the text",
        ("Batch Size",),
        lambda row: (_batch(row),),
        (("# Conv Feat. Pruned", "features_pruned"),),
    ),
    "S1": Layout(
        "Sparsity by layer of BasicNet on CIFAR10",
        ("", ""),
        _kind,
        (*_BY_LAYER, _PARAMETERS, _PRUNED),
    ),
    "S2": Layout(
        "AMSGrad, and Adam with a leaky ReLU, on CIFAR100",
        ("", ""),
        _setting,
        (*_BY_LAYER, _PRUNED),
    ),
    "S3": Layout(
        "Initial values and learning rates of γ and β, on CIFAR100",
        ("",),
        lambda row: (_NORMS[row.variant],),
        (*_BY_LAYER, _PRUNED),
    ),
    "S4": Layout("AMSGrad, Adamax and RMSProp with L2", ("", "L2"), _kind, _SPARSITY, CIFAR),
}
FEATURES_OF_7: Mapping[str, str] = {f"C{i}": str(n) for i, n in enumerate(_VGG_16, 1)}
