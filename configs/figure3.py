"""Universality of the filters, layer by layer: the share of images that each answers to.

Reproduces: Figure 3 (Sec. 3): universality of C1 ... C7 on CIFAR100, Adam and SGD at a low and a
  higher strength (SGD's low one is not in the text; ours is 1e-4).
Command: python -m sparsity_jax.main --config=configs/figure3.py[:cifar100|renderings]
Runs: 12 x 406,250 steps; :cifar100 12 x 406,250; :renderings 4 x 40,000. All runs are Table 1's. In
  miniature give --config.scale=0.125, a shortened run.
Time: 2 CPU cores, estimated from the time of a step: 6 days; :cifar100 6 days; :renderings 11 min.
  H200, TPU v5e-8: not measured.
Expect: 64 % of C6 at 0 % universality with Adam L2 1e-4; SGD's C6 hardly changes with the strength.
"""

from ml_collections import ConfigDict

from sparsity_jax.config.paper_tasks import paper_sweep, rescaled_for_short_runs, strengths

GRID = (*strengths("adam", "l2", 1e-5, 1e-4), *strengths("sgd", "l2", 1e-4, 5e-4))


def get_config(arg: str | None = None) -> ConfigDict:
    tasks = {"cifar100": GRID, "renderings": rescaled_for_short_runs(GRID)}
    return paper_sweep("figure3", arg, tasks=tasks)
