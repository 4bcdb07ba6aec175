"""Movement of gamma and beta of C6 during training.

Reproduces: Figure 2 (Sec. 2.2) on CIFAR100: Adam L2 1e-5, Adam L2 1e-4, SGD L2 5e-4.
Command: python -m sparsity_jax.main --config=configs/figure2.py[:cifar100|renderings]
Runs: 9 x 406,250 steps; :cifar100 9 x 406,250; :renderings 3 x 40,000. All runs are Table 1's. In
  miniature give --config.scale=0.125, a shortened run.
Time: 2 CPU cores, estimated from the time of a step: 5 days; :cifar100 5 days; :renderings 8 min.
  H200, TPU v5e-8: not measured.
Expect: beta all negative with Adam, partly positive with SGD; a spike of gamma near 0 with Adam L2
  1e-4 only. Figures: gamma_beta_ridges.png and
  gamma_beta_maps.png in the workdir, and the slider of report.html.
"""

from ml_collections import ConfigDict

from sparsity_jax.config.paper_tasks import paper_sweep, rescaled_for_short_runs, strengths

GRID = (*strengths("adam", "l2", 1e-5, 1e-4), *strengths("sgd", "l2", 5e-4))


def get_config(arg: str | None = None) -> ConfigDict:
    tasks = {"cifar100": GRID, "renderings": rescaled_for_short_runs(GRID)}
    return paper_sweep("figure2", arg, tasks=tasks)
