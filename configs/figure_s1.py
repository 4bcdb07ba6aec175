"""Final gamma and beta of C5 and C6.

Reproduces: Figure S1 (supplement): final gamma and beta on CIFAR100, SGD and Adam at a low and a
  high strength (which, the text does not say; ours are those of Figure 3).
Command: python -m sparsity_jax.main --config=configs/figure_s1.py[:cifar100|renderings]
Runs: 12 x 406,250 steps; :cifar100 12 x 406,250; :renderings 4 x 40,000. All runs are Table 1's. In
  miniature give --config.scale=0.125, a shortened run.
Time: 2 CPU cores, estimated from the time of a step: 6 days; :cifar100 6 days; :renderings 11 min.
  H200, TPU v5e-8: not measured.
Expect: with Adam gamma positive and beta negative throughout, with SGD some beta positive.
"""

from ml_collections import ConfigDict

from sparsity_jax.config.paper_tasks import paper_sweep, rescaled_for_short_runs, strengths

GRID = (*strengths("adam", "l2", 1e-5, 1e-4), *strengths("sgd", "l2", 1e-4, 5e-4))


def get_config(arg: str | None = None) -> ConfigDict:
    tasks = {"cifar100": GRID, "renderings": rescaled_for_short_runs(GRID)}
    return paper_sweep("figure_s1", arg, tasks=tasks)
