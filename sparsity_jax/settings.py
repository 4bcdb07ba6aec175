"""What can be set, and which runs do a config's base and grid stand for?

A config is one base run plus a grid: `config.sweep` is a tuple of dicts, each overriding fields of
the base (dotted names reach into `renderings`), and `config.seeds` repeats every one of them. All
user input is checked here, once, before anything is computed.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from typing import Any

from ml_collections import ConfigDict, config_dict

from sparsity_jax import naming
from sparsity_jax.data.stream import DEVICE_BYTES
from sparsity_jax.errors import UserError
from sparsity_jax.optimizers import default_learning_rate
from sparsity_jax.runs import FULL_WIDTH, Run, default_augment
from sparsity_jax.validation import (
    at_least,
    check_names,
    check_numbers,
    check_pruning,
    check_shapes,
)

MOST_SEEDS = 1_000


def default_config() -> ConfigDict:
    """The paper's default run (Sec. 2.1 and 5): BasicNet, Adam, L2 1e-4, batch 40, 325 epochs.

    Returns:
      A locked ConfigDict; its comments are the documentation of every field.
    """
    config = ConfigDict()
    config.name = "run"  # names the default workdir, runs/<name>
    config.data = "renderings"  # what to train on; `python -m sparsity_jax.data --help` lists them
    config.data_dir = config_dict.placeholder(str)  # prepared data; default ~/.cache/sparsity_jax
    config.renderings = ConfigDict(  # only read when data is 'renderings'
        {
            "classes": 10,
            "size": 32,
            "background": "clean",  # or 'cluttered': the same views in front of clutter
            "train_views": 10_000,
            "test_views": 2_000,
            "seed": 0,
        }
    )
    config.network = "BasicNet"
    config.width = FULL_WIDTH  # a multiplier ('0.25') or the paper's 64-0.5x, 32-0.25x
    config.pool_after = (1, 3, 5)  # BasicNet's pools; the paper does not publish them
    config.pool = "max2"  # 2x2 stride 2; max3: 3x3 stride 2; max3_padded: 'same'; avg2: 2x2 average
    config.stride_2 = ()  # convolutions with stride 2, such as (1,)
    config.norm_parts = 1  # parts of a batch that BatchNorm normalises each by itself
    config.negative_slope = 0.0  # above 0: leaky ReLU
    config.optimizer = "adam"
    config.learning_rate = config_dict.placeholder(float)  # default: the optimizer's own
    config.regularizer = "l2"  # l2: strength * theta joins the gradient; wd: decoupled; none
    config.strength = 1e-4
    config.wd_mode = "schedule"  # wd follows the schedule; 'constant' never drops; 'lr' is AdamW
    config.gamma_lr_scale = 1.0
    config.beta_lr_scale = 1.0
    config.beta_init = 0.0
    config.batch_size = 40
    config.reference_batch = 40  # epochs count N // reference_batch steps, whatever the batch size
    config.epochs = 325.0
    config.drops = ((250.0, 0.1),)  # from this epoch on, this multiple of the base learning rate
    config.scale = 1.0  # multiplies every duration
    config.evaluations = 0  # how many evaluations a run has; 0: one an epoch
    config.flip = True  # random horizontal flips
    config.augment = config_dict.placeholder(str)  # flip, crop (7/8 of each side), resized_crop,
    #                                   pad_crop; default: crop for imagenet2012, else flip
    config.pad = 4  # pad_crop: black pixels around an image, of which a crop of its size is cut
    config.device_bytes = DEVICE_BYTES  # sets with more training pixels stream; same results
    config.precision = "float32"  # or 'bfloat16': activations and products; norms stay float32
    config.members = 0  # runs that train in one program at most; 0: as many as is fast and fits
    config.member_map = config_dict.placeholder(str)  # unroll, vmap, map; default: the fastest
    config.split = "members"  # what devices divide: a grid's members, or the 'batch' of each run
    config.device_map = "shard_map"  # how members go to devices; or 'pmap', the same bits
    config.criterion = "gamma"  # which filters go: |gamma| < 1e-3; or a baseline: l1, slimming
    config.prune_fraction = 0.5  # baselines only: the share of filters that goes, by layer in l1
    config.prune_layers = ()  # l1 only: names such as 'C1'; the others stay whole; (): all layers
    config.prune_mode = "author"  # drops beta; 'exact' folds act(beta) into the layers that follow
    config.finetune_epochs = 0.0  # train on after pruning, at the run's last learning rate
    config.latency_seconds = 3.0  # spent on timing each run's networks; 0: not timed
    config.gamma_l1 = 0.0  # strength of an L1 penalty on gamma while training (Network Slimming)
    config.checkpoint_seconds = 60.0  # between checkpoints; a kill loses no more training than that
    config.deterministic = False  # on GPUs, only kernels that repeat bit for bit; slower
    config.store = config_dict.placeholder(str)  # folder of finished runs that grids share
    config.seeds = 1  # repeat every run with seeds 0 ... seeds - 1
    config.sweep = ()  # dicts of overrides, one a run
    config.lock()
    return config


def expand(config: ConfigDict) -> tuple[Run, ...]:
    """The runs of a config: its sweep (or its base alone) times its seeds, in order, each once.

    Raises:
      UserError: an unknown field, or a value that cannot be trained with; valid ones are named.

    Example:
      >>> config = default_config()
      >>> config.sweep = ({'optimizer': 'adam'}, {'optimizer': 'sgd', 'strength': 1e-3})
      >>> [run.name for run in expand(config)]
      ['adam_l2_1e-04_b40_bg=clean_seed0', 'sgd_l2_1e-03_b40_bg=clean_seed0']
    """
    _check_fields(config)
    base = config.to_dict()
    check_shapes(base, default_config().to_dict())
    check_names(base)  # a typing error on the command line, which a sweep might hide
    at_least("seeds", base["seeds"], 1)
    if base["seeds"] > MOST_SEEDS:
        raise UserError(f"config.seeds={base['seeds']} is more than {MOST_SEEDS:,}, the most")
    runs = [_settle(member, seed) for member in _members(config) for seed in range(base["seeds"])]
    return _told_apart(tuple(dict.fromkeys(runs)))


def _told_apart(runs: tuple[Run, ...]) -> tuple[Run, ...]:
    """The runs, with labels where two would have one name: such as data=cifar10."""
    settings = [dataclasses.asdict(run) | {"renderings": dict(run.renderings)} for run in runs]
    found = naming.labels([run.name for run in runs], settings)
    runs = tuple(
        dataclasses.replace(run, labels=labels) for run, labels in zip(runs, found, strict=True)
    )
    if len({run.name for run in runs}) < len(runs):
        raise UserError("config.sweep holds runs whose names cannot be told apart; split it in two")
    return runs


def _check_fields(config: ConfigDict) -> None:
    known = set(default_config().keys())
    for field in config:
        if field not in known:
            raise UserError(f"config.{field} is not a field; valid are {', '.join(sorted(known))}")
    missing = known - set(config.keys())
    if missing:
        raise UserError(f"config.{min(missing)} is missing; start from settings.default_config()")


def _members(config: ConfigDict) -> Iterable[dict[str, Any]]:
    """The base with each entry of the sweep applied, as plain dicts."""
    for overrides in config.to_dict()["sweep"] or ({},):
        if not isinstance(overrides, Mapping):
            raise UserError(f"config.sweep holds {overrides!r}; it must be a tuple of dicts")
        member = config.copy_and_resolve_references()
        try:
            member.update_from_flattened_dict(dict(overrides))
        except (KeyError, AttributeError, TypeError, ValueError) as error:
            reason = str(error).strip("'\"").splitlines()[0]
            raise UserError(f"config.sweep entry {dict(overrides)}: {reason}") from None
        yield member.to_dict()


def _settle(config: dict[str, Any], seed: int) -> Run:
    """One member of the grid as a checked `Run`."""
    check_shapes(config, default_config().to_dict())
    check_names(config)
    check_numbers(config)
    check_pruning(config)
    none = config["regularizer"] == "none"
    rate = config["learning_rate"]
    fields: dict[str, Any] = {f.name: config.get(f.name) for f in dataclasses.fields(Run)}
    fields |= {
        "renderings": tuple(sorted(config["renderings"].items()))
        if config["data"] == "renderings"
        else (),
        "width": str(config["width"]),
        "pool_after": tuple(config["pool_after"]),
        "stride_2": tuple(config["stride_2"]),
        "prune_layers": tuple(config["prune_layers"]),
        "learning_rate": default_learning_rate(config["optimizer"]) if rate is None else rate,
        "augment": config["augment"] or default_augment(config["data"]),
        "strength": 0.0 if none else float(config["strength"]),
        "epochs": float(config["epochs"]),
        "drops": tuple((float(at), float(multiplier)) for at, multiplier in config["drops"]),
        "seed": seed,
        "labels": (),
    }
    return Run(**fields)
