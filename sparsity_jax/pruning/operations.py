"""Primitive operations: their kinds, and the shapes that they work on."""

from __future__ import annotations

from typing import Any

import numpy as np
from jax.extend import core


def named(primitives: str) -> frozenset[str]:
    """A set of primitives by their names.

    Example:
      >>> sorted(named("mul add"))
      ['add', 'mul']
    """
    return frozenset(primitives.split())


ELEMENTWISE = named(
    """abs acos acosh add and asin asinh atan atan2 atanh cbrt ceil clamp convert_element_type copy
    copy_p cos cosh div eq erf erf_inv erfc exp exp2 expm1 floor ge gt integer_pow is_finite le log
    log1p logistic lt max min mul ne neg nextafter not optimization_barrier or pow reduce_precision
    rem round rsqrt select_n shift_left shift_right_logical sign sin sinh sqrt square stop_gradient
    sub tan tanh xor"""
)
WINDOWS = named(
    """cummax cummin cumprod cumsum reduce_window_max reduce_window_min reduce_window_sum"""
)
REDUCTIONS = named("reduce_and reduce_max reduce_min reduce_or reduce_prod reduce_sum")


def shape(atom: Any) -> tuple[int, ...]:
    """Shape of an operand or result."""
    return tuple(int(n) if isinstance(n, int | np.integer) else n for n in atom.aval.shape)


def dtype(atom: Any) -> Any:
    """Type of the numbers of an operand or result."""
    return atom.aval.dtype


def is_depthwise(operation: core.JaxprEqn) -> bool:
    """Whether a convolution has one group for each channel that it receives."""
    spec = operation.params["dimension_numbers"].lhs_spec
    groups = operation.params["feature_group_count"]
    return groups > 1 and groups == shape(operation.invars[0])[spec[1]]
