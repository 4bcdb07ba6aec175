"""How a run is trained: its state, its step, its evaluation."""

from sparsity_jax.training.evaluate import Score, evaluate
from sparsity_jax.training.state import (
    Corpus,
    Hypers,
    Setup,
    State,
    init_state,
    make_hypers,
    make_setup,
)
from sparsity_jax.training.step import advance
from sparsity_jax.training.streamed import StreamedCorpus

__all__ = [
    "Corpus",
    "Hypers",
    "Score",
    "Setup",
    "State",
    "StreamedCorpus",
    "advance",
    "evaluate",
    "init_state",
    "make_hypers",
    "make_setup",
]
