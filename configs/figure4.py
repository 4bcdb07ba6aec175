"""Decay of a parameter that sees next to no gradient.

Reproduces: Figure 4 (Sec. 3.1): one scalar under simulated small gradients, Adam and SGD, L2 and
  weight decay.
Command: python -m sparsity_jax.main --config=configs/figure4.py[:renderings]
Runs: 3 x 40,000 steps; :renderings 3 x 40,000. In miniature give --config.scale=0.125, a shortened
  run.
Time: 2 CPU cores, estimated from the time of a step: 8 min; :renderings 8 min. H200, TPU v5e-8: not
  measured.
Expect: up to a strength of 1e-3 Adam + L2 decays fastest, on the mean over all steps. The figure is
  a simulation that needs no training: the report of this config shows it (low_gradient.png), and
  python -m sparsity_jax.report figure 4 draws it, with --strengths, --phases, --steps and --seed.
  The runs here are its counterpart in training: the report's gamma_beta_ridges and filters_alive
  show how fast gammas fall in them.
"""

from ml_collections import ConfigDict

from sparsity_jax.config.paper_tasks import paper_sweep, strengths

GRID = (
    *strengths("adam", "l2", 1e-3),
    *strengths("adam", "wd", 1e-3),
    *strengths("sgd", "l2", 1e-3),
)


def get_config(arg: str | None = None) -> ConfigDict:
    tasks = {"renderings": GRID}
    return paper_sweep("figure4", arg, tasks=tasks)
