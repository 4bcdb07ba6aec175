"""VGG-19 on CIFAR, beside Network Slimming.

Reproduces: Table 10 (Sec. 5.2): VGG-19, Adam + L2 1e-4 at batch 40, 80, 160, and Network Slimming
  with 70 % (CIFAR10) and 50 % (CIFAR100) of the filters pruned.
Command: python -m sparsity_jax.main --config=configs/table10.py[:cifar10|cifar100|renderings]
Runs: 24 x 406,250 steps; :cifar10 12 x 406,250; :cifar100 12 x 406,250; :renderings 4 x 40,000. In
  miniature give --config.scale=0.125, a shortened run.
Time: 2 CPU cores, estimated from the time of a step: 52 days; :cifar10 26 days; :cifar100 26 days;
  :renderings 2 hours. H200, TPU v5e-8: not measured.
Expect: by the text, fewer filters inactive the larger the batch is. Table 10's numbers are not in
  the published text available to us; the batch sizes are Table 7's, for its own are not known.
"""

from ml_collections import ConfigDict

from sparsity_jax.config.paper_tasks import (
    Settings,
    paper_sweep,
    product,
    rescaled_for_short_runs,
    strengths,
)

GRID = product(strengths("adam", "l2", 1e-4), "batch_size", (40, 80, 160))


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
