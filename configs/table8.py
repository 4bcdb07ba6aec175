"""VGG-16 on TinyImageNet and ImageNet, before and after pruning.

Reproduces: Table 8 (Sec. 5.2): VGG-16, Adam + L2 1e-4, batch 20 and 40 on TinyImageNet, 40 on
  ImageNet.
Command: python -m sparsity_jax.main
  --config=configs/table8.py[:tiny_imagenet|imagenet2012|renderings]
Runs: 4 x 1,000,000 + 1 x 1,601,450 steps; :tiny_imagenet 4 x 1,000,000; :imagenet2012 1 x
  1,601,450; :renderings 2 x 40,000. In miniature give --config.scale=0.125, a shortened run.
Time: 2 CPU cores, estimated from the time of a step: 206 days; :tiny_imagenet 27 days;
  :imagenet2012 179 days; :renderings 25 min. H200, TPU v5e-8: not measured.
Expect: features pruned of 4,224: 3,016 and 2,571 on TinyImageNet (45.1 and 46.7 % error before and
  after), 292 on ImageNet (29.93 % before, 29.91 % after).
"""

from ml_collections import ConfigDict

from sparsity_jax.config.paper_tasks import paper_sweep, product, rescaled_for_short_runs, strengths

TINY = product(strengths("adam", "l2", 1e-4), "batch_size", (20, 40))
FULL = strengths("adam", "l2", 1e-4, batch_size=40)


def get_config(arg: str | None = None) -> ConfigDict:
    tasks = {
        "tiny_imagenet": TINY,
        "imagenet2012": FULL,
        "renderings": rescaled_for_short_runs(TINY),
    }
    return paper_sweep("table8", arg, tasks=tasks, network="VGG-16")
