"""Larger batches and harder tasks keep more selective filters.

Reproduces: Figure 5 (Sec. 3): universality of C4 ... C7, batch 40 and 160 on CIFAR10 and CIFAR100,
  40 and 120 on TinyImageNet (the larger sizes are not in the text), Adam + L2 1e-4.
Command: python -m sparsity_jax.main
  --config=configs/figure5.py[:cifar10|cifar100|tiny_imagenet|renderings]
Runs: 12 x 406,250 + 4 x 1,000,000 steps; :cifar10 6 x 406,250; :cifar100 6 x 406,250;
  :tiny_imagenet 4 x 1,000,000; :renderings 4 x 40,000. All runs are Table 3's and 4's. In
  miniature give --config.scale=0.125, a shortened run.
Time: 2 CPU cores, estimated from the time of a step: 57 days; :cifar10 8 days; :cifar100 8 days;
  :tiny_imagenet 41 days; :renderings 27 min. H200, TPU v5e-8: not measured.
Expect: more selective filters alive with the larger batch; % inactive by Tables 3 and 4: CIFAR10 70
  and 61, CIFAR100 46 and 29, TinyImageNet 48 and 26.
"""

from ml_collections import ConfigDict

from sparsity_jax.config.paper_tasks import paper_sweep, product, rescaled_for_short_runs, strengths

CIFAR = product(strengths("adam", "l2", 1e-4), "batch_size", (40, 160))
TINY = product(strengths("adam", "l2", 1e-4), "batch_size", (40, 120))
HARDER = product(CIFAR, "renderings.background", ("clean", "cluttered"))


def get_config(arg: str | None = None) -> ConfigDict:
    tasks = {
        "cifar10": CIFAR,
        "cifar100": CIFAR,
        "tiny_imagenet": TINY,
        "renderings": rescaled_for_short_runs(HARDER),
    }
    return paper_sweep("figure5", arg, tasks=tasks)
