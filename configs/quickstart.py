"""The paper's effect in two minutes: Adam + L2 kills filters, SGD and no regularizer do not.

Reproduces: the contrast of Table 1 (Sec. 2.2, findings 1 to 3), in miniature: ten classes of
  procedural objects rendered 16x16 gray, BasicNet at a quarter of its width, 5,750 steps.
Command: python -m sparsity_jax.main --config=configs/quickstart.py
Runs: 4 x 5,750 steps; about 2 minutes on 2 CPU cores.
"""

from ml_collections import ConfigDict

from sparsity_jax.config import default_config


def get_config(arg: str | None = None) -> ConfigDict:
    config = default_config()
    config.name = "quickstart"
    config.update_from_flattened_dict(
        {
            "renderings.size": 16,
            "renderings.train_views": 5_000,
            "renderings.test_views": 1_000,
        }
    )
    config.width = "0.25"
    config.strength = 1e-3
    config.epochs = 46.0
    config.drops = ((40.0, 0.1),)
    config.evaluations = 23
    config.sweep = (
        {"optimizer": "adam", "regularizer": "l2"},
        {"optimizer": "adam", "regularizer": "wd"},
        {"optimizer": "sgd", "regularizer": "l2"},
        {"optimizer": "adam", "regularizer": "none"},
    )
    return config
