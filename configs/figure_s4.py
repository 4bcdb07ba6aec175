"""Objects before clean and before cluttered backgrounds.

Reproduces: Figure S4 (supplement) shows renderings; the sparsity they lead to is in Sec. 3.
Command: python -m sparsity_jax.main --config=configs/figure_s4.py[:objectnet3d|renderings]
Runs: 2 x 243,750 steps; :objectnet3d 2 x 243,750; :renderings 2 x 40,000. In miniature give
  --config.scale=0.125, a shortened run.
Time: 2 CPU cores, estimated from the time of a step: 2 days; :objectnet3d 2 days; :renderings 5
  min. H200, TPU v5e-8: not measured.
Expect: 70 % inactive before clean, 57 % before cluttered backgrounds (Adam, L2 1e-4 by inference).
  The pictures alone: python -m sparsity_jax.data show renderings.
"""

from ml_collections import ConfigDict

from sparsity_jax.config.paper_tasks import paper_sweep, product, rescaled_for_short_runs, strengths

BACKGROUNDS = ("clean", "cluttered")
BASE = strengths("adam", "l2", 1e-4)
PAPER = product(BASE, "data", tuple(f"objectnet3d:{name}" for name in BACKGROUNDS))
OURS = product(rescaled_for_short_runs(BASE), "renderings.background", BACKGROUNDS)


def get_config(arg: str | None = None) -> ConfigDict:
    tasks = {"objectnet3d": PAPER, "renderings": OURS}
    return paper_sweep("figure_s4", arg, tasks=tasks)
