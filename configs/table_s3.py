"""Initial beta, and learning rates of gamma and beta.

Reproduces: Table S3 (supplement): initial beta, learning rates of gamma and beta, on CIFAR100.
Command: python -m sparsity_jax.main --config=configs/table_s3.py[:cifar100|renderings]
Runs: 15 x 406,250 steps; :cifar100 15 x 406,250; :renderings 5 x 40,000. The first is Table 1's. In
  miniature give --config.scale=0.125, a shortened run.
Time: 2 CPU cores, estimated from the time of a step: 8 days; :cifar100 8 days; :renderings 13 min.
  H200, TPU v5e-8: not measured.
Expect: % inactive at % test error: as usual 46 at 36.6; beta from -0.1 46 at 37.2, from 1.0 53 at
  38.4; a tenth of the learning rate for gamma 33 at 35.0, for beta 51 at 37.1.
"""

from ml_collections import ConfigDict

from sparsity_jax.config.paper_tasks import paper_sweep, rescaled_for_short_runs, strengths

GRID = (
    *strengths("adam", "l2", 1e-4),
    *strengths("adam", "l2", 1e-4, beta_init=-0.1),
    *strengths("adam", "l2", 1e-4, beta_init=1.0),
    *strengths("adam", "l2", 1e-4, gamma_lr_scale=0.1),
    *strengths("adam", "l2", 1e-4, beta_lr_scale=0.1),
)


def get_config(arg: str | None = None) -> ConfigDict:
    tasks = {"cifar100": GRID, "renderings": rescaled_for_short_runs(GRID)}
    return paper_sweep("table_s3", arg, tasks=tasks)
