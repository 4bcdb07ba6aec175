"""VGG-19 on CIFAR, beside Network Slimming.

Reproduces: Table 10 (Sec. 5.2): VGG-19, Adam + L2, and Network Slimming with 70 % (CIFAR10) and 50
  % (CIFAR100) of the filters pruned.
Command: python -m sparsity_jax.main --config=configs/table10.py[:cifar10|cifar100|renderings]
Runs: 18 x 406,250 steps; :cifar10 9 x 406,250; :cifar100 9 x 406,250; :renderings 3 x 40,000. In
  miniature give --config.scale=0.125, a shortened run.
Time: 2 CPU cores, estimated from the time of a step: 21 days; :cifar10 11 days; :cifar100 11 days;
  :renderings 64 min. H200, TPU v5e-8: not measured.
Expect: Table 10 is not in the published text available to us, not one number; the settings are our
  choice.
"""

from ml_collections import ConfigDict

from sparsity_jax.config.paper_tasks import (
    Settings,
    paper_sweep,
    rescaled_for_short_runs,
    strengths,
)

GRID = strengths(
    "adam", "l2", 1e-3, 1e-4
)  # the strengths of Table 2: the table's own are not known


def slimming(prune_fraction: float) -> tuple[Settings, ...]:
    """Network Slimming: an L1 penalty on gamma while SGD trains, then pruned and trained on."""
    return strengths(
        "sgd",
        "l2",
        1e-4,
        gamma_l1=1e-4,
        criterion="slimming",
        prune_fraction=prune_fraction,
        finetune_epochs=160.0,
    )


def get_config(arg: str | None = None) -> ConfigDict:
    tasks = {
        "cifar10": (*GRID, *slimming(0.7)),
        "cifar100": (*GRID, *slimming(0.5)),
        "renderings": (*rescaled_for_short_runs(GRID), *slimming(0.5)),
    }
    return paper_sweep("table10", arg, tasks=tasks, network="VGG-19")
