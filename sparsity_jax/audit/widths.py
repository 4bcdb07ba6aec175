"""Widths of kernels: how many channels go in and come out, in either layout."""

from __future__ import annotations

import re

from sparsity_jax.audit.tensors import Path
from sparsity_jax.audit.words import CHANNELS_FIRST, Module

_TRANSPOSED = re.compile(r"transpose|deconv|convt|upconv", re.IGNORECASE)
_DEPTHWISE = re.compile(r"depthwise|dwconv|dw_?conv|conv_?dw", re.IGNORECASE)


def own_shape(module: Module, stack: tuple[int, ...] = ()) -> tuple[int, ...]:
    """Shape of a layer's kernel without the axes along which layers are stacked; () if none is.

    Example:
      >>> own_shape(Module())
      ()
    """
    if module.kernel is None or module.kernel.shape[: len(stack)] != stack:
        return ()
    return module.kernel.shape[len(stack) :]


def is_convolution(module: Module, stack: tuple[int, ...] = ()) -> bool:
    """Whether a layer's kernel has a spatial axis."""
    return len(own_shape(module, stack)) >= 3


def gives(path: Path, module: Module, channels: int, stack: tuple[int, ...] = ()) -> bool:
    """Whether a layer has so many outputs, by its layout and its name.

    Example:
      >>> gives(('conv',), Module(), 16)
      False
    """
    shape = own_shape(module, stack)
    if len(shape) < 2:
        return False
    convolution, name = len(shape) >= 3, "/".join(path)
    if convolution and _TRANSPOSED.search(name):
        return channels in shape[:2] if module.layout == CHANNELS_FIRST else channels in shape[-2:]
    if module.layout == CHANNELS_FIRST:
        return shape[0] == channels
    if "kernel" not in module.leaves or (shape[-1] < 4 and _DEPTHWISE.search(name)):
        return shape[-1] * shape[-2] == channels
    return shape[-1] == channels


def may_give(module: Module, channels: int, stack: tuple[int, ...] = ()) -> bool:
    """Whether a layer has so many outputs if it may be transposed: (in, out, k, k) in PyTorch."""
    shape = own_shape(module, stack)
    if len(shape) < 3:
        return bool(shape) and shape[0 if module.layout == CHANNELS_FIRST else -1] == channels
    return channels in (shape[:2] if module.layout == CHANNELS_FIRST else shape[-2:])


def takes(module: Module, channels: int, stack: tuple[int, ...] = ()) -> bool:
    """Whether a layer may have so many inputs; grouped kernels show those of a group only."""
    shape = own_shape(module, stack)
    if len(shape) < 2:
        return False
    first = module.layout == CHANNELS_FIRST
    inputs, outputs = (shape[1], shape[0]) if first else (shape[-2], shape[-1])
    if inputs == channels:
        return True
    groups = channels // inputs if inputs and channels % inputs == 0 else 0
    return len(shape) >= 3 and groups > 1 and outputs % groups == 0 and (inputs == 1 or groups > 7)


def outputs(module: Module) -> int:
    """Count the outputs of a layer, unless it is transposed."""
    shape = own_shape(module)
    if not shape:
        return 0
    if module.layout == CHANNELS_FIRST:
        return shape[0]
    return shape[-1] if "kernel" in module.leaves else shape[-1] * shape[-2]
