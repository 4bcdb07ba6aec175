"""Universality of the filters, layer by layer, on CIFAR10.

Reproduces: Figure S2 (supplement): Figure 3 on CIFAR10.
Command: python -m sparsity_jax.main --config=configs/figure_s2.py[:cifar10|renderings]
Runs: 12 x 406,250 steps; :cifar10 12 x 406,250; :renderings 4 x 40,000. All runs are Table 1's. In
  miniature give --config.scale=0.125, a shortened run.
Time: 2 CPU cores, estimated from the time of a step: 6 days; :cifar10 6 days; :renderings 11 min.
  H200, TPU v5e-8: not measured.
Expect: as Figure 3; % inactive by Table 1: Adam L2 1e-4 70, SGD L2 5e-4 9.
"""

from ml_collections import ConfigDict

from sparsity_jax.config.paper_tasks import paper_sweep, rescaled_for_short_runs, strengths

GRID = (*strengths("adam", "l2", 1e-5, 1e-4), *strengths("sgd", "l2", 1e-4, 5e-4))


def get_config(arg: str | None = None) -> ConfigDict:
    tasks = {"cifar10": GRID, "renderings": rescaled_for_short_runs(GRID)}
    return paper_sweep("figure_s2", arg, tasks=tasks)
