"""VGG-11 on ImageNet, beside Network Slimming.

Reproduces: Table 9 (Sec. 5.2): VGG-11, Adam (learning rate 1e-4) + L2 1e-4 at batch 60 and 90, and
  a baseline.
Command: python -m sparsity_jax.main --config=configs/table9.py[:imagenet2012|renderings]
Runs: 3 x 1,281,120 steps; :imagenet2012 3 x 1,281,120; :renderings 3 x 40,000. In miniature give
  --config.scale=0.125, a shortened run.
Time: 2 CPU cores, estimated from the time of a step: 330 days; :imagenet2012 330 days; :renderings
  39 min. H200, TPU v5e-8: not measured.
Expect: 140 features pruned at batch 60, 71 at batch 90; all else of Table 9 is not in the published
  text available to us. The text names Li et al. in one place and Network Slimming in another;
  Network Slimming reports this network, so that is our baseline, and its numbers are our choice.
"""

from ml_collections import ConfigDict

from sparsity_jax.config.paper_tasks import paper_sweep, product, rescaled_for_short_runs, strengths

GRID = product(strengths("adam", "l2", 1e-4), "batch_size", (60, 90))
# Network Slimming: an L1 penalty on gamma while SGD trains (at its own learning rate, not at the
# 1e-4 of the Adam runs), then half of the filters goes.
SLIMMING = strengths(
    "sgd",
    "l2",
    1e-4,
    learning_rate=0.1,
    gamma_l1=1e-5,
    criterion="slimming",
    prune_fraction=0.5,
    finetune_epochs=60.0,
)


def get_config(arg: str | None = None) -> ConfigDict:
    tasks = {
        "imagenet2012": (*GRID, *SLIMMING),
        "renderings": (*rescaled_for_short_runs(GRID), *SLIMMING),
    }
    return paper_sweep("table9", arg, tasks=tasks, network="VGG-11")
