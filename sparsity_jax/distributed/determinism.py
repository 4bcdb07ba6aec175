"""Deterministic GPU execution, by a flag that XLA must have before JAX finds devices.

CPUs and TPUs repeat a compiled program's results anyhow. On a GPU some kernels add in whatever
order their threads come, and which kernels are taken is decided by timing them at compilation; the
flag excludes the former and turns off the latter, at a cost in speed. The training step holds no
scatter and no select-and-scatter, for which XLA's repeatable forms are slow or missing.
"""

from __future__ import annotations

import os

import jax

from sparsity_jax.errors import UserError

FLAG = "--xla_gpu_deterministic_ops=true"


def demand() -> None:
    """Make every program that this process compiles repeatable; call it before anything of JAX."""
    if FLAG not in _flags():
        os.environ["XLA_FLAGS"] = " ".join([*_flags(), FLAG])


def check() -> None:
    """Refuse to go on where `demand` was not heard: nothing would tell.

    Raises:
      UserError: this process computes on a GPU, and XLA was not given the flag.
    """
    if jax.default_backend() == "gpu" and FLAG not in _flags():
        raise UserError(
            f"config.deterministic=True came after JAX had found its GPU; set XLA_FLAGS={FLAG} "
            "before Python starts"
        )


def _flags() -> list[str]:
    return os.environ.get("XLA_FLAGS", "").split()
