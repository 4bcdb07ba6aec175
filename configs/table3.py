"""Larger batches kill fewer filters, at the same number of iterations.

Reproduces: Table 3 (Sec. 5.1): BasicNet, Adam + L2, batch sizes on CIFAR10 and CIFAR100.
Command: python -m sparsity_jax.main --config=configs/table3.py[:cifar10|cifar100|renderings]
Runs: 42 x 406,250 steps; :cifar10 21 x 406,250; :cifar100 21 x 406,250; :renderings 7 x 40,000.
  Batch 40 is Table 1's. In miniature give --config.scale=0.125, a shortened run.
Time: 2 CPU cores, estimated from the time of a step: 34 days; :cifar10 17 days; :cifar100 17 days;
  :renderings 29 min. H200, TPU v5e-8: not measured.
Expect: CIFAR10 / CIFAR100, % inactive: L2 1e-3, batch 20, 40, 80: 82 83 80 / 79 76 67; L2 1e-4,
  batch 20, 40, 80, 160: 70 70 66 61 / 57 46 35 29 (test error 11.1 10.5 10.1 10.6 / 35.2 36.6 41.1
  44.3 %).
"""

from ml_collections import ConfigDict

from sparsity_jax.config.paper_tasks import paper_sweep, product, rescaled_for_short_runs, strengths

GRID = (
    *product(strengths("adam", "l2", 1e-3), "batch_size", (20, 40, 80)),
    *product(strengths("adam", "l2", 1e-4), "batch_size", (20, 40, 80, 160)),
)


def get_config(arg: str | None = None) -> ConfigDict:
    tasks = {"cifar10": GRID, "cifar100": GRID, "renderings": rescaled_for_short_runs(GRID)}
    return paper_sweep("table3", arg, tasks=tasks)
