"""Settings: fields and their checks, sweeps of runs, names."""

from sparsity_jax.config.base import default_config

__all__ = ["default_config"]
