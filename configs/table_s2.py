"""AMSGrad keeps filters active, leaky ReLU hardly does.

Reproduces: Table S2 (supplement): AMSGrad and leaky ReLU beside Adam, layerwise, on CIFAR100.
Command: python -m sparsity_jax.main --config=configs/table_s2.py[:cifar100|renderings]
Runs: 24 x 406,250 steps; :cifar100 24 x 406,250; :renderings 8 x 40,000. Adam is Table 1's, AMSGrad
  is Table S4's. In miniature give --config.scale=0.125, a shortened run.
Time: 2 CPU cores, estimated from the time of a step: 12 days; :cifar100 12 days; :renderings 21
  min. H200, TPU v5e-8: not measured.
Expect: % inactive at % test error: Adam L2 1e-4 47 at 36.6; AMSGrad 1e-4 13 at 35.6; leaky ReLU
  0.01 41 at 36.8, 0.1 43 at 37.2. AMSGrad's learning rate is not published; ours is Adam's.
"""

from ml_collections import ConfigDict

from sparsity_jax.config.paper_tasks import paper_sweep, rescaled_for_short_runs, strengths

GRID = (
    *strengths("adam", "l2", 1e-3, 1e-4),
    *strengths("amsgrad", "l2", 1e-2, 1e-4, 1e-6),
    *strengths("adam", "l2", 1e-3, 1e-4, negative_slope=0.01),
    *strengths("adam", "l2", 1e-4, negative_slope=0.1),
)


def get_config(arg: str | None = None) -> ConfigDict:
    tasks = {"cifar100": GRID, "renderings": rescaled_for_short_runs(GRID)}
    return paper_sweep("table_s2", arg, tasks=tasks)
