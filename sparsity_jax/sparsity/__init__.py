"""Measurements of filters: pure functions of the variables of any Flax model."""

from sparsity_jax.sparsity.activation import activation_sparsity
from sparsity_jax.sparsity.filters import FilterSparsity
from sparsity_jax.sparsity.gamma import gamma_sparsity, inactive_gamma
from sparsity_jax.sparsity.universality import Universality, universality

__all__ = [
    "FilterSparsity",
    "Universality",
    "activation_sparsity",
    "gamma_sparsity",
    "inactive_gamma",
    "universality",
]
