"""What can be set: the default config, and the runs that a config's base and grid stand for.

A config is one base run plus a grid: `config.sweep` is a tuple of dicts, each overriding fields of
the base (dotted names reach into `renderings`), and `config.seeds` repeats every one of them. All
user input is checked here, once, before anything is computed.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable, Mapping
from typing import Any

from ml_collections import ConfigDict, config_dict

from sparsity_jax.errors import UserError
from sparsity_jax.models import NETWORKS
from sparsity_jax.models.networks import parse_width
from sparsity_jax.optimizers import (
    OPTIMIZERS,
    REGULARIZERS,
    WD_MODES,
    default_learning_rate,
)
from sparsity_jax.optimizers.schedules import drops_in_steps

FULL_WIDTH = "64-1x"


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
    config.pool_after = (1, 3, 5)  # BasicNet's 2x2 max pools; the paper does not publish them
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
    config.seeds = 1  # repeat every run with seeds 0 ... seeds - 1
    config.sweep = ()  # dicts of overrides, one a run
    config.lock()
    return config


@dataclasses.dataclass(frozen=True)
class Run:
    """One run of the grid, with every value settled and checked.

    Fields are those of `default_config`; `learning_rate` is never None, and `renderings` is a
    sorted tuple of pairs so that runs can be compared, hashed and grouped by their data.
    """

    data: str
    renderings: tuple[tuple[str, Any], ...]
    network: str
    width: str
    pool_after: tuple[int, ...]
    negative_slope: float
    optimizer: str
    learning_rate: float
    regularizer: str
    strength: float
    wd_mode: str
    gamma_lr_scale: float
    beta_lr_scale: float
    beta_init: float
    batch_size: int
    reference_batch: int
    epochs: float
    drops: tuple[tuple[float, float], ...]
    scale: float
    evaluations: int
    flip: bool
    seed: int

    @property
    def variant(self) -> str:
        """What makes the run differ from the paper's default, in the words of its tables."""
        return "+".join(_variant_parts(self))

    @property
    def name(self) -> str:
        """The run's name, and that of its folder: 'adam_l2_1e-03_b40_bg=clean_seed0'."""
        decay = [] if self.regularizer == "none" else [strength_text(self.strength)]
        parts = [self.optimizer, self.regularizer, *decay, f"b{self.batch_size}"]
        return "_".join([*parts, *_variant_parts(self), f"seed{self.seed}"])

    def steps(self, train_size: int) -> int:
        """Training steps on `train_size` images: epochs are counted at the reference batch.

        The paper holds iterations fixed when it varies the batch size (Sec. 3): 325 epochs of
        50,000 images are 406,250 steps at every batch size.
        """
        return max(1, round(self.epochs * self.scale * (train_size // self.reference_batch)))

    def drop_steps(self, train_size: int) -> tuple[tuple[int, float], ...]:
        """The schedule's (step, multiplier) pairs on `train_size` images."""
        steps_per_epoch = train_size // self.reference_batch
        return drops_in_steps(self.drops, steps_per_epoch=steps_per_epoch, scale=self.scale)


def strength_text(strength: float) -> str:
    """A strength as the paper's tables print it.

    Example:
      >>> strength_text(0.001), strength_text(0.00015)
      ('1e-03', '1.5e-04')
    """
    for digits in range(17):
        text = f"{strength:.{digits}e}"
        if float(text) == strength:
            return text
    return repr(strength)


def _variant_parts(run: Run) -> list[str]:
    base_rate = default_learning_rate(run.optimizer)
    parts = [
        ("" if run.width == FULL_WIDTH else f"width={run.width}"),
        ("" if run.negative_slope == 0 else f"leaky_relu_{run.negative_slope:g}"),
        ("" if run.learning_rate == base_rate else f"lr={run.learning_rate:g}"),
        ("" if run.wd_mode == "schedule" else f"wd_mode={run.wd_mode}"),
        ("" if run.beta_init == 0 else f"beta_init={run.beta_init}"),
        ("" if run.gamma_lr_scale == 1 else f"gamma_lr_scale={run.gamma_lr_scale:g}"),
        ("" if run.beta_lr_scale == 1 else f"beta_lr_scale={run.beta_lr_scale:g}"),
        ("" if run.pool_after == (1, 3, 5) else f"pool={'-'.join(map(str, run.pool_after))}"),
        ("" if run.flip else "flip=off"),
    ]
    if run.data == "renderings":
        parts.append(f"bg={dict(run.renderings)['background']}")
    return [part for part in parts if part]


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
    _at_least("seeds", base["seeds"], 1)
    runs = [_settle(member, seed) for member in _members(config) for seed in range(base["seeds"])]
    return tuple(dict.fromkeys(runs))


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
    _check_names(config)
    _check_numbers(config)
    none = config["regularizer"] == "none"
    rate = config["learning_rate"]
    fields: dict[str, Any] = {f.name: config.get(f.name) for f in dataclasses.fields(Run)}
    fields |= {
        "renderings": tuple(sorted(config["renderings"].items()))
        if config["data"] == "renderings"
        else (),
        "width": str(config["width"]),
        "pool_after": tuple(config["pool_after"]),
        "learning_rate": default_learning_rate(config["optimizer"]) if rate is None else rate,
        "strength": 0.0 if none else float(config["strength"]),
        "epochs": float(config["epochs"]),
        "drops": tuple((float(at), float(multiplier)) for at, multiplier in config["drops"]),
        "seed": seed,
    }
    return Run(**fields)


def _check_names(config: dict[str, Any]) -> None:
    for field, valid in (
        ("network", NETWORKS),
        ("optimizer", tuple(OPTIMIZERS)),
        ("regularizer", tuple(REGULARIZERS)),
        ("wd_mode", tuple(WD_MODES)),
    ):
        if config[field] not in valid:
            raise UserError(
                f"config.{field}={config[field]!r} is not known; valid are {', '.join(valid)}"
            )
    parse_width(config["width"])


def _check_numbers(config: dict[str, Any]) -> None:
    for field in ("strength", "negative_slope", "gamma_lr_scale", "beta_lr_scale", "evaluations"):
        _at_least(field, config[field], 0)
    for field in ("batch_size", "reference_batch"):
        _at_least(field, config[field], 1)
    for field in ("epochs", "scale", "learning_rate"):
        value = config[field]
        if value is not None and not (math.isfinite(value) and value > 0):
            raise UserError(f"config.{field}={value} must be a number above 0")
    if not math.isfinite(config["beta_init"]):
        raise UserError(f"config.beta_init={config['beta_init']} must be a finite number")
    places = [drop[0] for drop in config["drops"] if len(drop) == 2]
    if len(places) != len(config["drops"]) or places != sorted(places):
        raise UserError(
            f"config.drops={config['drops']} must be (epoch, multiplier) pairs in order of epochs"
        )


def _at_least(field: str, value: float, least: int) -> None:
    if not (math.isfinite(value) and value >= least):
        raise UserError(f"config.{field}={value} must be a number of at least {least}")
