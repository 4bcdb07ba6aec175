"""Pruning: criteria choose filters, surgery removes them, cost counts the gain."""

from sparsity_jax.pruning.cost import Cost, cost, params_pruned_pct
from sparsity_jax.pruning.criteria import keep_active, keep_by, without_empty_layers
from sparsity_jax.pruning.fold import FoldError, fold_constants, fold_error
from sparsity_jax.pruning.generic import PrunedModel, prune_model
from sparsity_jax.pruning.latency import Latency, compare_latency
from sparsity_jax.pruning.narrowing import cut_program, narrow
from sparsity_jax.pruning.shrink import shrink_state
from sparsity_jax.pruning.surgery import prune, prune_like, prune_opt_state, zero

__all__ = [
    "Cost",
    "FoldError",
    "Latency",
    "PrunedModel",
    "compare_latency",
    "cost",
    "cut_program",
    "fold_constants",
    "fold_error",
    "keep_active",
    "keep_by",
    "narrow",
    "params_pruned_pct",
    "prune",
    "prune_like",
    "prune_model",
    "prune_opt_state",
    "shrink_state",
    "without_empty_layers",
    "zero",
]
