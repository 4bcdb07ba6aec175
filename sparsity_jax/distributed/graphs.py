"""Whole calls as one GPU graph, by options of XLA that every call of the training step takes.

XLA cuts a step into small graphs around its convolutions and its loop by default, and waits for the
host at every turn of a loop whose length is traced. With convolutions and loops among the kinds of
operations that a graph may hold, a call of many steps is one graph; scheduled 'CONCURRENT', what
does not depend on each other (a kernel gradient and the next input gradient, members of a group)
may overlap. Neither changes a result.
"""

from __future__ import annotations

import os
from collections.abc import Sequence

import jax

Options = tuple[tuple[str, str], ...]

KINDS = (
    "FUSION", "CUBLAS", "CUBLASLT", "CUSTOM_CALL", "CUDNN", "DYNAMIC_SLICE_FUSION",
    "CONVOLUTION", "WHILE", "CONDITIONAL",
)  # fmt: skip
_switch = {"on": True}


def allow(allowed: bool) -> None:
    """Switch the options on or off in this process, for what is compiled from now on."""
    _switch["on"] = allowed


def graph_options(kinds: Sequence[str] = KINDS, mode: str = "CONCURRENT") -> Options:
    """The options that let graphs hold these kinds of operations, scheduled in this mode.

    Args:
      kinds: as XLA names its commands.
      mode: 'CONCURRENT', 'LHS' (in the order that the latency-hiding scheduler gave) or
        'SERIALIZE'.

    Example:
      >>> graph_options(("FUSION", "WHILE"), "LHS")[0]
      ('xla_gpu_enable_command_buffer', 'FUSION,WHILE')
    """
    return (
        ("xla_gpu_enable_command_buffer", ",".join(kinds)),
        ("xla_gpu_command_buffer_scheduling_mode", mode),
    )


def compiler_options() -> Options:
    """(name, value) pairs for `jax.jit(compiler_options=dict(...))`; none where there is no GPU.

    An option that stands in XLA_FLAGS is left to it.

    Example:
      >>> jax.default_backend(), compiler_options()
      ('cpu', ())
    """
    if jax.default_backend() != "gpu" or not _switch["on"]:
        return ()
    flags = os.environ.get("XLA_FLAGS", "")
    return tuple((name, value) for name, value in graph_options() if f"--{name}=" not in flags)


def described() -> str:
    """The options in one line, as the doctor prints them.

    Example:
      >>> described()
      'compiler options of a training step: none (they are for GPUs)'
    """
    said = ", ".join(f"{name}={value}" for name, value in compiler_options())
    if not said:
        gpu = jax.default_backend() == "gpu"
        said = "none (XLA_FLAGS or config.graphs)" if gpu else "none (they are for GPUs)"
    return f"compiler options of a training step: {said}"
