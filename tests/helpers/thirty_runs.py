"""Train ten strengths with three seeds each, a few steps, into the working directory.

Run in a process of its own, to see what it compiles: python tests/helpers/thirty_runs.py
"""

from pathlib import Path

from small_grid import get_config

from sparsity_jax import data
from sparsity_jax.config.sweep import expand
from sparsity_jax.training import DeviceDataset
from sparsity_jax.training.grouping import groups
from sparsity_jax.training.run import make_run
from sparsity_jax.training.trainer import train_group


def main() -> None:
    config = get_config()
    config.seeds, config.epochs, config.drops, config.evaluations = 3, 2.0, (), 1
    config.sweep = tuple({"strength": 10.0**-power} for power in range(1, 11))
    dataset = data.load("renderings", renderings=config.renderings.to_dict())
    on_device = DeviceDataset.of(dataset)
    runs = [make_run(run, dataset, on_device, Path()) for run in expand(config)]
    for group in groups(runs, most=5):
        train_group(group)


if __name__ == "__main__":
    main()
