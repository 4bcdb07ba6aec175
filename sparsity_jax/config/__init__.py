"""What can be set: fields and their checks, grids of runs, names."""

from sparsity_jax.config.base import default_config

__all__ = ["default_config"]
