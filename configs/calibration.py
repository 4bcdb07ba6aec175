"""Candidates for what the paper leaves open, compared with its numbers.

Reproduces: nothing by itself; it decides how Table 6's 32-0.25x rows, and then all tables, are run.
Command: python -m sparsity_jax.main --config=configs/calibration.py[:cifar10|cifar100|NAME]
  where NAME is a candidate of sparsity_jax/config/calibration.py: that one on both data sets. Then
  `python -m sparsity_jax.report calibration WORKDIR ...` prints all beside the published numbers.
Runs: 44 x 406,250 steps; :cifar10 22 x 406,250; :cifar100 22 x 406,250; :NAME 2 x 406,250. With
  --config.scale=0.12 a run screens (48,750 steps); scale 1 decides.
Time: one core of a 2.6 GHz Xeon, a run: 25 to 40 min a screening, 2.5 to 6.5 hours at full
  length (1 to 1.5 times as fast on two). All 7 days, :cifar10 4 days, :cifar100 4 days, :NAME 5
  to 13 hours. H200: not measured.
Expect: CIFAR10 / CIFAR100: training loss 0.22 / 0.51, test loss 0.44 / 2.05, test error 13.4 /
  43.4 %, 23 / 0 % inactive.
"""

from ml_collections import ConfigDict

from sparsity_jax.config import default_config
from sparsity_jax.config.calibration import CANDIDATES, DATASETS, WIDTH
from sparsity_jax.errors import UserError


def get_config(arg: str | None = None) -> ConfigDict:
    names = [each.name for each in CANDIDATES]
    if arg not in (None, *DATASETS, *names):
        valid = ", ".join((*DATASETS, *names))
        raise UserError(f"configs/calibration.py:{arg} is not known; valid are {valid}")
    config = default_config()
    config.name = "calibration" if arg is None else f"calibration_{arg}"
    config.data = arg if arg in DATASETS else DATASETS[0]
    config.width = WIDTH
    config.latency_seconds = 0.0
    config.sweep = tuple(
        {"data": dataset, **each.settings}
        for each in CANDIDATES
        for dataset in DATASETS
        if arg in (None, dataset, each.name)
    )
    return config
