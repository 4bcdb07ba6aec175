"""One run of a grid: the values it trains with, its length, its name."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from sparsity_jax.config import naming
from sparsity_jax.config.fields import above, at_least, fields_of, finite, setting
from sparsity_jax.config.paper_schedule import paper_schedule
from sparsity_jax.data.augment import AUGMENTATIONS
from sparsity_jax.models import NETWORKS
from sparsity_jax.models.networks import parse_width
from sparsity_jax.models.plans import POOLS
from sparsity_jax.optimizers import OPTIMIZERS, REGULARIZERS, WD_MODES, default_learning_rate
from sparsity_jax.optimizers.schedules import drops_in_steps

FULL_WIDTH = "64-1x"


@dataclasses.dataclass(frozen=True)
class Renderings:
    """The built-in data set."""

    classes: int = setting(10, "kinds of objects, 2 to 30")
    size: int = setting(32, "pixels along a side")
    background: str = setting(
        "clean", "cluttered: the same views before clutter", choices=("clean", "cluttered")
    )
    train_views: int = setting(10_000, "training images")
    test_views: int = setting(2_000, "test images")
    seed: int = setting(0, "of their randomness")


def _width_problem(width: str) -> str:
    parse_width(width)  # raises
    return ""


def _drops_problem(drops: tuple[tuple[float, float], ...]) -> str:
    epochs = [epoch for epoch, _ in drops]
    return "" if epochs == sorted(epochs) else "(epoch, multiplier) pairs in order of epochs"


def _fraction_problem(fraction: float) -> str:
    return "" if 0 <= fraction < 1 else "0 or more, and below 1"


def default_augment(data: str) -> str:
    """Augmentation of a data set in the paper: crops on ImageNet, flips elsewhere (Sec. 5).

    Example:
      >>> default_augment("imagenet2012"), default_augment("cifar10")
      ('crop', 'flip')
    """
    return "crop" if data == "imagenet2012" else "flip"


def _own_rate(config: Mapping[str, Any]) -> float:
    return default_learning_rate(config["optimizer"])


def _own_augment(config: Mapping[str, Any]) -> str:
    return default_augment(config["data"])


def _augment_text(run: RunConfig) -> str:
    """'augment=crop', or with its width 'augment=pad_crop4'."""
    if run.augment == default_augment(run.data):
        return ""
    return f"augment={run.augment}{run.pad if run.augment == 'pad_crop' else ''}"


def _drops_text(run: RunConfig) -> str:
    """'drops=250-0.1' where the paper's schedule has others; its length is in the steps."""
    paper = paper_schedule(run.data, run.network)
    if paper is None or run.drops == paper.drops:
        return ""
    return "drops=" + ("_".join(f"{at:g}-{factor:g}" for at, factor in run.drops) or "none")


def _reference_text(run: RunConfig) -> str:
    """'reference_batch=4000' where the paper's schedule has another."""
    paper = paper_schedule(run.data, run.network)
    usual = paper is None or run.reference_batch == paper.reference_batch
    return "" if usual else f"reference_batch={run.reference_batch}"


def _gamma_l1_text(run: RunConfig) -> str:
    return f"gamma_l1={naming.strength_text(run.gamma_l1)}" if run.gamma_l1 else ""


def _baseline_text(run: RunConfig) -> str:
    """'baseline=l1_0.5', and the layers if not all of them: 'baseline=l1_0.5_C1-C8'."""
    if run.criterion == "gamma":
        return ""
    layers = ["-".join(run.prune_layers)] if run.prune_layers else []
    return "_".join([f"baseline={run.criterion}", f"{run.prune_fraction:g}", *layers])


def _background_text(run: RunConfig) -> str:
    source, _, rest = run.data.partition(":")
    if run.data == "renderings":
        return f"bg={dict(run.renderings)['background']}"
    return f"bg={rest or 'clean'}" if source == "objectnet3d" else ""


@dataclasses.dataclass(frozen=True)
class RunConfig:
    """One run of the grid, with every value settled and checked; `config.sweep.expand` makes them.

    Then `learning_rate` and `augment` are never None, and `renderings` is a sorted tuple of pairs
    so that runs can be compared, hashed and grouped by their data. The defaults are the paper's
    (Sec. 2.1 and 5). Fields stand in the order in which they enter names.
    """

    data: str = setting("renderings", "data set; `python -m sparsity_jax.data --help` lists them")
    renderings: tuple[tuple[str, Any], ...] = setting((), "the built-in data", nested=Renderings)
    resize: int = setting(
        0,
        "folder:PATH: pixels along each side; 0: as stored",
        check=at_least(0),
        variant="resize={}",
    )
    test_fraction: float = setting(
        0.0,
        "folder:PATH without a test split: part of each class that is held out",
        check=_fraction_problem,
        variant="test_fraction={:g}",
    )
    network: str = setting("BasicNet", "what is trained", choices=NETWORKS)
    width: str = setting(
        FULL_WIDTH,
        "a multiplier such as 0.25, or the paper's 64-0.5x, 32-0.25x",
        check=_width_problem,
        variant="width={}",
    )
    negative_slope: float = setting(
        0.0, "of the ReLU; above 0 it is leaky", check=at_least(0), variant="leaky_relu_{:g}"
    )
    optimizer: str = setting("adam", "update rule", choices=OPTIMIZERS)
    learning_rate: float = setting(
        None,
        "base rate; None: the optimizer's own",
        check=above(0),
        unset=_own_rate,
        variant="lr={:g}",
    )
    regularizer: str = setting(
        "l2", "l2: strength * theta joins the gradient; wd: decoupled", choices=REGULARIZERS
    )
    strength: float = setting(1e-4, "of the regularizer", check=at_least(0))
    wd_mode: str = setting(
        "schedule",
        "wd follows the schedule; constant: never drops; lr: AdamW",
        choices=WD_MODES,
        variant="wd_mode={}",
    )
    beta_init: float = setting(0.0, "initial beta", check=finite, variant="beta_init={}")
    gamma_lr_scale: float = setting(
        1.0, "times the learning rate, for gamma", check=at_least(0), variant="gamma_lr_scale={:g}"
    )
    beta_lr_scale: float = setting(
        1.0, "times the learning rate, for beta", check=at_least(0), variant="beta_lr_scale={:g}"
    )
    pool_after: tuple[int, ...] = setting(
        (1, 3, 5), "BasicNet's pools, which the paper does not publish", variant="pool={}"
    )
    pool: str = setting(
        "max2",
        "max2: 2x2, stride 2; max3: 3x3; max3_padded: 'same'; avg2: average",
        choices=POOLS,
        variant="pooling={}",
    )
    stride_2: tuple[int, ...] = setting(
        (), "convolutions with stride 2, such as (1,)", variant="stride={}"
    )
    norm_parts: int = setting(
        1, "parts of a batch, each normalised alone", check=at_least(1), variant="norm_parts={}"
    )
    dropout: float = setting(
        0.0, "share of hidden dense units dropped", check=_fraction_problem, variant="dropout={:g}"
    )
    batch_size: int = setting(40, "images a step", check=at_least(1))
    reference_batch: int = setting(
        40,
        "an epoch is N // reference_batch steps at every batch size",
        check=at_least(1),
        variant=_reference_text,
    )
    epochs: float = setting(325.0, "length of training", check=above(0))
    drops: tuple[tuple[float, float], ...] = setting(
        ((250.0, 0.1),),
        "(epoch, multiple of the base rate from there on) pairs",
        check=_drops_problem,
        variant=_drops_text,
    )
    scale: float = setting(1.0, "multiplies every duration", check=above(0))
    evaluations: int = setting(0, "how many a run has; 0: one an epoch", check=at_least(0))
    flip: bool = setting(True, "random horizontal flips", variant="flip=off")
    augment: str = setting(
        None,
        "crops are 7/8 of each side; None: crop for imagenet2012, else flip",
        choices=AUGMENTATIONS,
        unset=_own_augment,
        variant=_augment_text,
    )
    pad: int = setting(4, "pad_crop: black pixels around an image", check=at_least(1))
    precision: str = setting(
        "float32",
        "of activations and products; norms stay float32",
        choices=("float32", "bfloat16"),
        variant="precision={}",
    )
    gamma_l1: float = setting(
        0.0,
        "strength of an L1 penalty on gamma (Network Slimming)",
        check=at_least(0),
        variant=_gamma_l1_text,
    )
    criterion: str = setting(
        "gamma",
        "which filters go: |gamma| < 1e-3, or a baseline",
        choices=("gamma", "l1", "slimming"),
        variant=_baseline_text,
    )
    prune_fraction: float = setting(
        0.5, "baselines: share of filters that goes, by layer in l1", check=_fraction_problem
    )
    prune_layers: tuple[str, ...] = setting((), "l1: the layers cut, such as ('C1',); (): all")
    prune_mode: str = setting(
        "author",
        "author drops beta; exact folds act(beta) into what follows",
        choices=("author", "exact"),
        variant="prune={}",
    )
    finetune_epochs: float = setting(
        0.0,
        "trained on after pruning, at the last learning rate",
        check=at_least(0),
        variant="finetune={:g}",
    )
    record_activity: bool = setting(
        True, "keep, over time, how often each filter fires and what moves its gamma"
    )
    prune_during_training: bool = setting(
        False,
        "cut filters that died, so that they stop costing time (Adam, Adamax, RMSprop with L2)",
    )
    prune_patience: int = setting(
        3,
        "evaluations in a row with gamma and beta below 1e-30 before a filter is cut",
        check=at_least(1),
    )
    prune_least_gain: float = setting(
        0.05, "share of multiply-adds that a cut must save", check=_fraction_problem
    )
    latency_seconds: float = setting(
        3.0, "spent on timing each run's networks; 0: not timed", check=at_least(0)
    )
    seed: int = 0  # from `seeds`
    labels: tuple[str, ...] = ()  # what else tells it from other runs of its grid

    @property
    def variant(self) -> str:
        """Differences of the run from the paper's default, in the words of its tables."""
        return "+".join(self._variant_parts())

    @property
    def name(self) -> str:
        """The run's name, and that of its folder: 'adam_l2_1e-03_b40_bg=clean_seed0'."""
        decay = [] if self.regularizer == "none" else [naming.strength_text(self.strength)]
        parts = [self.optimizer, self.regularizer, *decay, f"b{self.batch_size}"]
        others = [label for label in self.labels if label not in naming.of_variant(self.labels)]
        return "_".join([*parts, *others, *self._variant_parts(), f"seed{self.seed}"])

    def _variant_parts(self) -> list[str]:
        known = fields_of(RunConfig).items()
        parts = [naming.variant_part(self, name, field) for name, field in known]
        parts.append(_background_text(self))
        return [part for part in (*parts, *naming.of_variant(self.labels)) if part]

    def steps(self, train_size: int) -> int:
        """Training steps on `train_size` images: epochs are counted at the reference batch.

        The paper holds iterations fixed when it varies the batch size (Sec. 3): 325 epochs of
        50,000 images are 406,250 steps at every batch size.
        """
        return max(1, round(self.epochs * self.scale * (train_size // self.reference_batch)))

    def finetune_steps(self, train_size: int) -> int:
        """Steps of training after pruning, counted as `steps` are; 0 if none were asked for."""
        steps = self.finetune_epochs * self.scale * (train_size // self.reference_batch)
        return max(1, round(steps)) if self.finetune_epochs else 0

    def drop_steps(self, train_size: int) -> tuple[tuple[int, float], ...]:
        """The schedule's (step, multiplier) pairs on `train_size` images."""
        steps_per_epoch = train_size // self.reference_batch
        return drops_in_steps(self.drops, steps_per_epoch=steps_per_epoch, scale=self.scale)
