"""What is one run of a grid: which values does it train with, how long, and what is it called?"""

from __future__ import annotations

import dataclasses
from typing import Any

from sparsity_jax.config import naming
from sparsity_jax.optimizers import default_learning_rate
from sparsity_jax.optimizers.schedules import drops_in_steps

FULL_WIDTH = "64-1x"


@dataclasses.dataclass(frozen=True)
class RunConfig:
    """One run of the grid, with every value settled and checked.

    Fields are those of `settings.default_config`; `learning_rate` is never None, and `renderings`
    is a sorted tuple of pairs so that runs can be compared, hashed and grouped by their data.
    """

    data: str
    renderings: tuple[tuple[str, Any], ...]
    network: str
    width: str
    pool_after: tuple[int, ...]
    pool: str
    stride_2: tuple[int, ...]
    norm_parts: int
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
    augment: str
    pad: int
    precision: str
    criterion: str
    prune_fraction: float
    prune_layers: tuple[str, ...]
    prune_mode: str
    finetune_epochs: float
    latency_seconds: float
    gamma_l1: float
    seed: int
    labels: tuple[str, ...] = ()  # what else tells it from other runs of its grid

    @property
    def variant(self) -> str:
        """What makes the run differ from the paper's default, in the words of its tables."""
        return "+".join(_variant_parts(self))

    @property
    def name(self) -> str:
        """The run's name, and that of its folder: 'adam_l2_1e-03_b40_bg=clean_seed0'."""
        decay = [] if self.regularizer == "none" else [naming.strength_text(self.strength)]
        parts = [self.optimizer, self.regularizer, *decay, f"b{self.batch_size}"]
        others = [label for label in self.labels if label not in naming.of_variant(self.labels)]
        return "_".join([*parts, *others, *_variant_parts(self), f"seed{self.seed}"])

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


def default_augment(data: str) -> str:
    """How the paper augments a data set: crops on ImageNet, flips elsewhere (Sec. 5).

    Example:
      >>> default_augment("imagenet2012"), default_augment("cifar10")
      ('crop', 'flip')
    """
    return "crop" if data == "imagenet2012" else "flip"


def _variant_parts(run: RunConfig) -> list[str]:
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
        ("" if run.pool == "max2" else f"pooling={run.pool}"),
        ("" if not run.stride_2 else f"stride={'-'.join(map(str, run.stride_2))}"),
        ("" if run.norm_parts == 1 else f"norm_parts={run.norm_parts}"),
        ("" if run.flip else "flip=off"),
        ("" if run.augment == default_augment(run.data) else f"augment={_augment_text(run)}"),
        ("" if run.precision == "float32" else f"precision={run.precision}"),
        ("" if run.gamma_l1 == 0 else f"gamma_l1={naming.strength_text(run.gamma_l1)}"),
        ("" if run.criterion == "gamma" else _baseline(run)),
        ("" if run.prune_mode == "author" else f"prune={run.prune_mode}"),
        ("" if run.finetune_epochs == 0 else f"finetune={run.finetune_epochs:g}"),
    ]
    if run.data == "renderings":
        parts.append(f"bg={dict(run.renderings)['background']}")
    elif run.data.partition(":")[0] == "objectnet3d":
        parts.append(f"bg={run.data.partition(':')[2] or 'clean'}")
    return [part for part in (*parts, *naming.of_variant(run.labels)) if part]


def _augment_text(run: RunConfig) -> str:
    """'crop', or with its width 'pad_crop4'."""
    return f"pad_crop{run.pad}" if run.augment == "pad_crop" else run.augment


def _baseline(run: RunConfig) -> str:
    """'baseline=l1_0.5', and the layers if not all of them: 'baseline=l1_0.5_C1-C8'."""
    layers = [] if not run.prune_layers else ["-".join(run.prune_layers)]
    return "_".join([f"baseline={run.criterion}", f"{run.prune_fraction:g}", *layers])
