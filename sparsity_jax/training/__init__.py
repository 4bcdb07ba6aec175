"""Training of a run: its state, its step, its evaluation."""

from sparsity_jax.training.evaluate import Score, evaluate
from sparsity_jax.training.input_pipeline import StreamingDataset
from sparsity_jax.training.state import (
    DeviceDataset,
    Hparams,
    ProgramConfig,
    TrainState,
    init_state,
    make_hparams,
    make_program_config,
)
from sparsity_jax.training.step import train_steps

__all__ = [
    "DeviceDataset",
    "Hparams",
    "ProgramConfig",
    "Score",
    "StreamingDataset",
    "TrainState",
    "evaluate",
    "init_state",
    "make_hparams",
    "make_program_config",
    "train_steps",
]
