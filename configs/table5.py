"""On ImageNet the sparsity of BasicNet vanishes.

Reproduces: Table 5 (Sec. 5.1): BasicNet on ImageNet, Adam (learning rate 1e-4) + L2 1e-4, batch 64
  and 256.
Command: python -m sparsity_jax.main --config=configs/table5.py[:imagenet2012|renderings]
Runs: 2 x 800,720 steps; :imagenet2012 2 x 800,720; :renderings 2 x 40,000. In miniature give
  --config.scale=0.125, a shortened run.
Time: 2 CPU cores, estimated from the time of a step: 400 days; :imagenet2012 400 days; :renderings
  21 min. H200, TPU v5e-8: not measured.
Expect: 0.2 and 0.0 % inactive at 38.0 and 32.9 % test error (top 5: 15.9 and 12.5 %).
"""

from ml_collections import ConfigDict

from sparsity_jax.config.paper_tasks import paper_sweep, product, rescaled_for_short_runs, strengths

GRID = product(strengths("adam", "l2", 1e-4), "batch_size", (64, 256))


def get_config(arg: str | None = None) -> ConfigDict:
    tasks = {"imagenet2012": GRID, "renderings": rescaled_for_short_runs(GRID)}
    return paper_sweep("table5", arg, tasks=tasks)
