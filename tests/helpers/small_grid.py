"""The grid of tests that train: two runs of 80 steps on 96 small pictures.

As a config: `--config=tests/helpers/small_grid.py`, or `:wide` for two runs of two optimizers.
"""

from ml_collections import ConfigDict

from sparsity_jax.config.base import default_config


def get_config(arg: str | None = None) -> ConfigDict:
    config = default_config()
    config.name = "small_grid"
    config.renderings.update(classes=3, size=8, train_views=96, test_views=24)
    config.width = "0.0625"
    config.pool_after = (1, 3)
    config.epochs = 40.0
    config.drops = ((30.0, 0.1),)
    config.evaluations = 3
    config.strength = 0.05
    config.latency_seconds = 0.0
    if arg == "wide":
        config.sweep = ({}, {"optimizer": "sgd"})
    else:
        config.seeds = 2
    return config
