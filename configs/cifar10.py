"""BasicNet on CIFAR-10 with the paper's default training: Adam, L2 1e-4, batch 40, 325 epochs.

Reproduces: Table 1, CIFAR10, Adam, L2 1e-4: 70 % of the filters inactive, 10.5 % test error
  (mean of three seeds).
Command: python -m sparsity_jax.main --config=configs/cifar10.py --config.data=folder:PATH
  where PATH is a folder or archive with train/<class>/*, test/<class>/*.
Runs: 1 x 406,250 steps; give --config.seeds=3 for the paper's mean, --config.scale=0.015 and
  --config.width=0.25 for a look on a CPU (6,000 steps).
"""

from ml_collections import ConfigDict

from sparsity_jax.config import default_config


def get_config(arg: str | None = None) -> ConfigDict:
    config = default_config()
    config.name = "cifar10"
    config.data = "cifar10"
    return config
