"""The other adaptive optimizers: AMSGrad, Adamax and RMSProp.

Reproduces: Table S4 (supplement): BasicNet on CIFAR10 and CIFAR100, L2 1e-2, 1e-4, 1e-6.
Command: python -m sparsity_jax.main --config=configs/table_s4.py[:cifar10|cifar100|renderings]
Runs: 54 x 406,250 steps; :cifar10 27 x 406,250; :cifar100 27 x 406,250; :renderings 9 x 40,000. In
  miniature give --config.scale=0.125, a shortened run.
Time: 2 CPU cores, estimated from the time of a step: 28 days; :cifar10 14 days; :cifar100 14 days;
  :renderings 24 min. H200, TPU v5e-8: not measured.
Expect: CIFAR10 / CIFAR100, % inactive by gamma at L2 1e-4: AMSGrad 47 / 13, Adamax 50 / 10, RMSProp
  72 / 48. Their learning rates are not published; ours are Adam's, and PyTorch's defaults.
"""

from ml_collections import ConfigDict

from sparsity_jax.config.paper_tasks import paper_sweep, rescaled_for_short_runs, strengths

STRENGTHS = (1e-2, 1e-4, 1e-6)
GRID = (
    *strengths("amsgrad", "l2", *STRENGTHS),
    *strengths("adamax", "l2", *STRENGTHS),
    *strengths("rmsprop", "l2", *STRENGTHS),
)


def get_config(arg: str | None = None) -> ConfigDict:
    tasks = {"cifar10": GRID, "cifar100": GRID, "renderings": rescaled_for_short_runs(GRID)}
    return paper_sweep("table_s4", arg, tasks=tasks)
