"""Narrower networks kill fewer filters.

Reproduces: Table 6 (Sec. 5.1): BasicNet at three widths on CIFAR10 and CIFAR100, Adam + L2 1e-4,
  batch 40.
Command: python -m sparsity_jax.main --config=configs/table6.py[:cifar10|cifar100|renderings]
Runs: 18 x 406,250 steps; :cifar10 9 x 406,250; :cifar100 9 x 406,250; :renderings 3 x 40,000. The
  widest is Table 1's. In miniature give --config.scale=0.125, a shortened run.
Time: 2 CPU cores, estimated from the time of a step: 4 days; :cifar10 2 days; :cifar100 2 days;
  :renderings 6 min. H200, TPU v5e-8: not measured.
Expect: CIFAR10 / CIFAR100, % inactive: 64-1x 70 / 46, 64-0.5x 51 / 10, 32-0.25x 23 / 0, at 10.5 /
  36.6, 11.0 / 39.8 and 13.4 / 43.4 % test error.
"""

from ml_collections import ConfigDict

from sparsity_jax.config.paper_tasks import paper_sweep, product, rescaled_for_short_runs, strengths

WIDTHS = ("64-1x", "64-0.5x", "32-0.25x")
NARROW = ("0.25", "0.125", "0.0625")  # in miniature
BASE = strengths("adam", "l2", 1e-4)
GRID = product(BASE, "width", WIDTHS)


def get_config(arg: str | None = None) -> ConfigDict:
    tasks = {
        "cifar10": GRID,
        "cifar100": GRID,
        "renderings": product(rescaled_for_short_runs(BASE), "width", NARROW),
    }
    return paper_sweep("table6", arg, tasks=tasks)
