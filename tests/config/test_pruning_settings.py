"""The config's words on pruning: names in the variant, and refusals before any training."""

import pytest

from sparsity_jax.config import default_config
from sparsity_jax.config.sweep import expand
from sparsity_jax.errors import UserError


def one(**fields):
    config = default_config()
    config.data = "folder:somewhere"
    config.update_from_flattened_dict(fields)
    (run,) = expand(config)
    return run


@pytest.mark.parametrize(
    ("fields", "variant"),
    [
        ({"prune_mode": "exact"}, "prune=exact"),
        ({"finetune_epochs": 2.5}, "finetune=2.5"),
        ({"criterion": "l1", "prune_fraction": 0.5}, "baseline=l1_0.5"),
        (
            {"criterion": "l1", "prune_fraction": 0.5, "prune_layers": ("C1", "C5")},
            "baseline=l1_0.5_C1-C5",
        ),
        ({"criterion": "slimming", "prune_fraction": 0.7}, "baseline=slimming_0.7"),
        ({"prune_fraction": 0.7, "latency_seconds": 0.0}, ""),
    ],
)
def test_variants_tell_prunings_apart(fields, variant):
    assert one(**fields).variant == variant


def test_fine_tuning_counts_epochs_as_training_does():
    run = one(finetune_epochs=10.0, scale=0.5, batch_size=80)
    assert run.finetune_steps(50_000) == 5 * 1_250
    assert one().finetune_steps(50_000) == 0


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"criterion": "magnitude"}, "gamma, l1, slimming"),
        ({"prune_mode": "zero"}, "author, exact"),
        ({"prune_fraction": 1.0}, "below 1"),
        ({"prune_fraction": float("nan")}, "below 1"),
        ({"finetune_epochs": -1.0}, "at least 0"),
        ({"latency_seconds": float("inf")}, "at least 0"),
        ({"criterion": "l1", "prune_mode": "exact"}, "prune_mode='author'"),
        ({"criterion": "l1", "prune_layers": ("C8",)}, "C1, C2, C3, C4, C5, C6, C7"),
        ({"prune_layers": ("C1",)}, "'l1' alone"),
    ],
)
def test_what_cannot_be_pruned_is_refused_with_what_can(fields, said):
    with pytest.raises(UserError, match=said):
        one(**fields)


def test_a_sweep_does_not_hide_a_mistyped_base():
    config = default_config()
    config.optimizer = "lion"
    config.sweep = ({"optimizer": "adam"},)
    with pytest.raises(UserError, match="adagrad"):
        expand(config)


def test_vgg_has_the_layers_of_table_7():
    layers = ("C1", *(f"C{i}" for i in range(8, 14)))
    assert one(network="VGG-16", criterion="l1", prune_layers=layers).prune_layers == layers
