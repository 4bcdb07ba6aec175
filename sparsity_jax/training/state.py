"""A run in parts: what fixes its program (`ProgramConfig`), its numbers, its `TrainState`.

`ProgramConfig` is static: it is hashed, and two runs with equal ones share one compiled program.
`Hparams` are leaves that the program takes as arguments: ten strengths times three seeds compile
once. `TrainState` is everything that changes; with the other two it determines the rest of the run,
because all randomness is a function of the seed and the step.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax.core import Tracer
from jax.typing import ArrayLike

from sparsity_jax.config.run_config import RunConfig
from sparsity_jax.data import Dataset
from sparsity_jax.errors import UserError
from sparsity_jax.models import Plan
from sparsity_jax.models.convnet import init
from sparsity_jax.optimizers import make_optimizer
from sparsity_jax.optimizers.schedules import step_schedule
from sparsity_jax.storage.io import array_digest
from sparsity_jax.training.activity import no_activity

Params = dict[str, Any]


@dataclasses.dataclass(frozen=True)
class ProgramConfig:
    """Static settings that decide the compiled program of a run."""

    plan: Plan
    optimizer: str
    regularizer: str
    wd_mode: str
    batch_size: int
    drops: tuple[tuple[int, float], ...]
    flip: bool
    augment: str = "flip"  # one of data.augment.AUGMENTATIONS
    pad: int = 0  # of pad_crop
    norm_parts: int = 1  # parts of a batch that BatchNorm normalises each by itself
    dropout: float = 0.0  # share of the hidden dense units that are set to zero in a step
    slimming: bool = False  # with an L1 penalty on gamma; without one, its word is left out
    precision: str = "float32"  # of activations and products; parameters are float32 always
    activity: bool = False  # the step watches every filter: `training.activity`
    by_member: bool = False  # members that are batched convolve one by one; set by their mapping


class Hparams(NamedTuple):
    """The numbers of a run, as scalars that are traced."""

    learning_rate: jax.Array
    strength: jax.Array
    gamma_lr_scale: jax.Array
    beta_lr_scale: jax.Array
    beta_init: jax.Array
    seed: jax.Array
    gamma_l1: ArrayLike = 0.0


class TrainState(NamedTuple):
    """Everything that training changes.

    `loss_sum` adds the batch losses (without the regularizer) since the last evaluation, `activity`
    what every filter did since then; () where the program does not watch them.
    """

    step: jax.Array
    params: Params
    batch_stats: Params
    opt_state: Any
    loss_sum: jax.Array
    activity: Any = ()

    @property
    def variables(self) -> dict[str, Params]:
        """Return the network's variables: params and batch_stats."""
        return {"params": self.params, "batch_stats": self.batch_stats}


def make_program_config(run: RunConfig, plan: Plan, train_size: int) -> ProgramConfig:
    """The program of a run. No regularizer is L2 at strength 0, so that both share a program."""
    if run.dropout and not plan.dense:
        raise UserError(
            f"config.dropout={run.dropout:g} acts on hidden dense layers, and {plan.name} has none "
            "on these data; give 0"
        )
    decoupled = run.regularizer == "wd"
    return ProgramConfig(
        plan=plan,
        optimizer=run.optimizer,
        regularizer="wd" if decoupled else "l2",
        wd_mode=run.wd_mode if decoupled else "schedule",
        batch_size=run.batch_size,
        drops=run.drop_steps(train_size),
        flip=run.flip,
        augment=run.augment,
        pad=run.pad if run.augment == "pad_crop" else 0,
        norm_parts=run.norm_parts,
        dropout=run.dropout,
        activity=run.record_activity,
        slimming=run.gamma_l1 > 0,
        precision=run.precision,
    )


def make_hparams(run: RunConfig) -> Hparams:
    """The traced numbers of a run (a run without regularizer has strength 0)."""
    names = [name for name in Hparams._fields if name != "seed"]
    return Hparams(
        **{name: jnp.float32(getattr(run, name)) for name in names},
        seed=jnp.uint32(run.seed),
    )


def build_optimizer(program: ProgramConfig, hparams: Hparams) -> optax.GradientTransformation:
    """The run's optimizer; cheap to build, and built inside the compiled step."""
    return make_optimizer(
        program.optimizer,
        hparams.learning_rate,
        program.regularizer,
        hparams.strength,
        schedule=step_schedule(program.drops),
        gamma_lr_scale=hparams.gamma_lr_scale,
        beta_lr_scale=hparams.beta_lr_scale,
        wd_mode=program.wd_mode,
        gamma_l1=jnp.asarray(hparams.gamma_l1) if program.slimming else None,
    )


def init_state(program: ProgramConfig, hparams: Hparams) -> TrainState:
    """The state before the first step: Xavier weights, gamma 1, beta `hparams.beta_init`.

    Example:
      >>> state = init_state(program, hparams)  # doctest: +SKIP
      >>> int(state.step), float(state.params['C1']['norm']['scale'][0])  # doctest: +SKIP
      (0, 1.0)
    """
    variables = _init_variables(program.plan, hparams)
    params = _with_beta(variables["params"], hparams.beta_init)
    return TrainState(
        step=jnp.int32(0),
        params=params,
        batch_stats=variables["batch_stats"],
        opt_state=build_optimizer(program, hparams).init(params),
        loss_sum=jnp.float32(0),
        activity=no_activity(program.plan) if program.activity else (),
    )


def _init_variables(plan: Plan, hparams: Hparams) -> Params:
    """`convnet.init` from the run's seed, outside other programs as a program of its own."""
    if isinstance(hparams.seed, Tracer):
        return _drawn(plan, hparams)
    return _compiled_init(jax.default_backend())(plan, hparams)


@functools.cache
def _compiled_init(backend: str) -> Callable[[Plan, Hparams], Params]:
    """The program runs once: at its full level a CPU's compiler would take 8 seconds, not 1."""
    options = {"xla_backend_optimization_level": "1"} if backend == "cpu" else {}
    return jax.jit(_drawn, static_argnums=0, compiler_options=options)


def _drawn(plan: Plan, hparams: Hparams) -> Params:
    return init(plan, random_key(hparams, "init"))


def _with_beta(params: Mapping[str, Any], beta: jax.Array) -> Params:
    """The parameters with every BatchNorm's beta (the bias beside a scale) set to `beta`."""
    changed: Params = {
        name: _with_beta(leaf, beta) if isinstance(leaf, Mapping) else leaf
        for name, leaf in params.items()
    }
    if "scale" in changed and "bias" in changed:
        changed["bias"] = jnp.full_like(changed["bias"], beta)
    return changed


_STREAMS = ("init", "order", "flip", "crop", "dropout")


def random_key(hparams: Hparams, stream: str) -> jax.Array:
    """The key of one of the run's random streams: a function of its seed and nothing else."""
    return jax.random.fold_in(jax.random.key(hparams.seed), _STREAMS.index(stream))


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True, eq=False)
class DeviceDataset:
    """A data set as it lives on the device: uint8 images, labels, normalisation constants."""

    train_images: jax.Array
    train_labels: jax.Array
    test_images: jax.Array
    test_labels: jax.Array
    mean: jax.Array
    std: jax.Array

    @property
    def train_size(self) -> int:
        """Number of training images."""
        return len(self.train_labels)

    @functools.cached_property
    def fingerprint(self) -> tuple[str, ...]:
        """Digests of every array, in the order of the fields; equal for equal data."""
        arrays = (getattr(self, field.name) for field in dataclasses.fields(self))
        return tuple(array_digest(np.asarray(array)) for array in arrays)

    @classmethod
    def of(cls, dataset: Dataset) -> DeviceDataset:
        """Put a data set on the default device."""
        names = [field.name for field in dataclasses.fields(cls)]
        return cls(*(jax.device_put(getattr(dataset, name)) for name in names))


@functools.partial(jax.jit, static_argnames="size")
def epoch_order(hparams: Hparams, epoch: int | jax.Array, *, size: int) -> jax.Array:
    """The order (size,) in which an epoch sees the training images: a function of seed, epoch."""
    key = jax.random.fold_in(random_key(hparams, "order"), epoch)
    return jax.random.permutation(key, size)
