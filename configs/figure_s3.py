"""The low-gradient regime under every optimizer.

Reproduces: Figure S3 (supplement): Figure 4 for the other adaptive methods with L2.
Command: python -m sparsity_jax.main --config=configs/figure_s3.py[:renderings]
Runs: 7 x 40,000 steps; :renderings 7 x 40,000. In miniature give --config.scale=0.125, a shortened
  run.
Time: 2 CPU cores, estimated from the time of a step: 19 min; :renderings 19 min. H200, TPU v5e-8:
  not measured.
Expect: no number is published. The figure is a simulation that needs no training: the report of
  this config shows it (low_gradient.png), and python -m sparsity_jax.report figure S3 draws it, for
  all seven optimizers with L2 and weight decay. The runs here are its counterpart in training: the
  report's gamma_beta_ridges and filters_alive show how fast gammas fall in them.
"""

from ml_collections import ConfigDict

from sparsity_jax.config.paper_tasks import paper_sweep, strengths

OPTIMIZERS = ("sgd", "adam", "amsgrad", "adamax", "rmsprop", "adadelta", "adagrad")
GRID = tuple(settings for name in OPTIMIZERS for settings in strengths(name, "l2", 1e-3))


def get_config(arg: str | None = None) -> ConfigDict:
    tasks = {"renderings": GRID}
    return paper_sweep("figure_s3", arg, tasks=tasks)
