"""The seven optimizers of the paper, each with no regularizer, L2 or weight decay."""

from sparsity_jax.optimizers.regularized import REGULARIZERS, WD_MODES, make_optimizer
from sparsity_jax.optimizers.table import OPTIMIZERS, default_learning_rate
from sparsity_jax.optimizers.vanishing import vanishing_limit

__all__ = [
    "OPTIMIZERS",
    "REGULARIZERS",
    "WD_MODES",
    "default_learning_rate",
    "make_optimizer",
    "vanishing_limit",
]
