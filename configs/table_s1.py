"""Layerwise sparsity, and what pruning costs, on CIFAR10.

Reproduces: Table S1 (supplement): layerwise sparsity, filters and weights pruned, error after
  pruning.
Command: python -m sparsity_jax.main --config=configs/table_s1.py[:cifar10|renderings]
Runs: 24 x 406,250 steps; :cifar10 24 x 406,250; :renderings 8 x 40,000. All runs are Table 1's. In
  miniature give --config.scale=0.125, a shortened run.
Time: 2 CPU cores, estimated from the time of a step: 12 days; :cifar10 12 days; :renderings 21 min.
  H200, TPU v5e-8: not measured.
Expect: % of C1 ... C7 inactive: Adam L2 1e-4 44 22 6 45 54 96 95, 10.5 % test error before and
  after pruning, 90 % of the weights gone; SGD L2 1e-3 86 61 53 46 65 4 0, 21.8 %, 38 %.
"""

from ml_collections import ConfigDict

from sparsity_jax.config.paper_tasks import paper_sweep, rescaled_for_short_runs, strengths

GRID = (
    *strengths("adam", "l2", 1e-3, 1e-4),
    *strengths("adam", "wd", 2e-4, 1e-4),
    *strengths("sgd", "l2", 1e-3, 5e-4),
    *strengths("sgd", "wd", 1e-3, 5e-4),
)


def get_config(arg: str | None = None) -> ConfigDict:
    tasks = {"cifar10": GRID, "renderings": rescaled_for_short_runs(GRID)}
    return paper_sweep("table_s1", arg, tasks=tasks)
