"""Which values of a config make sense? Every answer but yes is a `UserError` with what is valid."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from sparsity_jax.data.augment import AUGMENTATIONS
from sparsity_jax.errors import UserError
from sparsity_jax.models import NETWORKS, make_plan
from sparsity_jax.models.networks import parse_width
from sparsity_jax.models.plans import POOLS
from sparsity_jax.optimizers import OPTIMIZERS, REGULARIZERS, WD_MODES

CRITERIA = ("gamma", "l1", "slimming")
PRUNE_MODES = ("author", "exact")
PRECISIONS = ("float32", "bfloat16")
MEMBER_MAPS = ("unroll", "vmap", "map")
DEVICE_MAPS = ("shard_map", "pmap")
SPLITS = ("members", "batch")


def check_shapes(config: Mapping[str, Any], default: Mapping[str, Any]) -> None:
    """Raise UserError for nested values of another form than the default's, or without a value."""
    for field, usual in default.items():
        if config[field] is None and usual is not None:
            raise UserError(f"config.{field}=None must have a value; its default is {usual!r}")
    if not isinstance(config["data"], str):
        raise UserError(f"config.data={config['data']!r} must be a word, such as 'renderings'")
    for field in ("sweep", "pool_after", "stride_2", "prune_layers", "drops"):
        if not isinstance(config[field], list | tuple):
            raise UserError(f"config.{field}={config[field]!r} must be a tuple")
    if not isinstance(config["renderings"], Mapping):
        raise UserError(f"config.renderings={config['renderings']!r} must be a dict")
    missing = set(default["renderings"]) - set(config["renderings"])
    if missing:
        raise UserError(f"config.renderings lacks {min(missing)}")
    for field, kind, form in (
        ("pool_after", int, "layer numbers, such as (1, 3, 5)"),
        ("stride_2", int, "layer numbers, such as (1,)"),
        ("prune_layers", str, "layer names, such as ('C1',)"),
        ("drops", list | tuple, "(epoch, multiplier) pairs"),
    ):
        if not all(isinstance(item, kind) for item in config[field]):
            raise UserError(f"config.{field}={config[field]!r} must hold {form}")
    numbers = [number for drop in config["drops"] for number in drop]
    if not all(isinstance(number, int | float) for number in numbers):
        raise UserError(f"config.drops={config['drops']!r} must hold (epoch, multiplier) pairs")


def check_names(config: Mapping[str, Any]) -> None:
    """Raise UserError for a word that is not on its list, or a width that cannot be read."""
    for field, valid in (
        ("network", NETWORKS),
        ("pool", POOLS),
        ("optimizer", tuple(OPTIMIZERS)),
        ("regularizer", tuple(REGULARIZERS)),
        ("wd_mode", tuple(WD_MODES)),
        ("criterion", CRITERIA),
        ("prune_mode", PRUNE_MODES),
        ("precision", PRECISIONS),
        ("device_map", DEVICE_MAPS),
        ("split", SPLITS),
    ):
        if config[field] not in valid:
            raise UserError(
                f"config.{field}={config[field]!r} is not known; valid are {', '.join(valid)}"
            )
    for field, valid in (("augment", AUGMENTATIONS), ("member_map", MEMBER_MAPS)):
        if config[field] not in (None, *valid):
            raise UserError(
                f"config.{field}={config[field]!r} is not known; valid are {', '.join(valid)}"
            )
    parse_width(config["width"])


def check_numbers(config: Mapping[str, Any]) -> None:
    """Raise UserError for a number outside its range, or drops out of order."""
    for field in (
        "strength",
        "negative_slope",
        "gamma_lr_scale",
        "beta_lr_scale",
        "evaluations",
        "device_bytes",
        "members",
        "checkpoint_seconds",
    ):
        at_least(field, config[field], 0)
    for field in ("batch_size", "reference_batch", "norm_parts", "pad"):
        at_least(field, config[field], 1)
    if config["batch_size"] % config["norm_parts"]:
        raise UserError(
            f"config.norm_parts={config['norm_parts']} does not divide "
            f"config.batch_size={config['batch_size']}; give 1 or another divisor"
        )
    for field in ("epochs", "scale", "learning_rate"):
        value = config[field]
        number = isinstance(value, int | float) and math.isfinite(value)
        if value is not None and not (number and value > 0):
            raise UserError(f"config.{field}={value} must be a number above 0")
    if not math.isfinite(config["beta_init"]):
        raise UserError(f"config.beta_init={config['beta_init']} must be a finite number")
    places = [drop[0] for drop in config["drops"] if len(drop) == 2]
    if len(places) != len(config["drops"]) or places != sorted(places):
        raise UserError(
            f"config.drops={config['drops']} must be (epoch, multiplier) pairs in order of epochs"
        )


def check_pruning(config: Mapping[str, Any]) -> None:
    """Raise UserError for pruning that cannot be done: before training, not after it."""
    for field in ("finetune_epochs", "latency_seconds", "gamma_l1"):
        at_least(field, config[field], 0)
    if not 0 <= config["prune_fraction"] < 1:
        raise UserError(
            f"config.prune_fraction={config['prune_fraction']} must be 0 or more, and below 1"
        )
    if config["criterion"] == "l1" and config["prune_mode"] == "exact":
        raise UserError(
            "config.prune_mode='exact' needs filters whose answer is constant; criterion 'l1' "
            "drops others, prune them with prune_mode='author'"
        )
    if layers := config["prune_layers"]:
        if config["criterion"] != "l1":
            raise UserError("config.prune_layers is for criterion 'l1' alone; give ()")
        valid = make_plan(config["network"], classes=10, input_shape=(64, 64, 3)).layer_names
        for name in layers:
            if name not in valid:
                raise UserError(f"config.prune_layers names {name!r}; valid are {', '.join(valid)}")


def at_least(field: str, value: float, least: int) -> None:
    """Raise UserError unless the value is a finite number of at least `least`."""
    if not (isinstance(value, int | float) and math.isfinite(value) and value >= least):
        raise UserError(f"config.{field}={value} must be a number of at least {least}")
