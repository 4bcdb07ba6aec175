"""Tensors of somebody's file: vectors are read, of anything larger the shape."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import jax
import numpy as np

from sparsity_jax.errors import UserError

Tensors = dict[str, Any]  # name -> numpy vector, or jax.ShapeDtypeStruct of anything larger

MAX_VECTOR = 2**20  # elements; the widest norm in use is far below
MAX_HEADER = 2**26  # bytes of names and shapes


def vector_or_shape(
    shape: tuple[int, ...], dtype: Any, read: Callable[[int], bytes]
) -> np.ndarray | jax.ShapeDtypeStruct:
    """A vector read through `read(bytes)`, or the shape of anything larger.

    Raises:
      UserError: sizes that are not sizes, or fewer bytes than the shape needs.
    """
    if any(not isinstance(n, int) or n < 0 for n in shape):
        raise UserError(f"a tensor claims the shape {shape}")
    size = math.prod(shape)
    if len(shape) > 1 or size > MAX_VECTOR:
        return jax.ShapeDtypeStruct(shape, dtype)
    wanted = size * np.dtype(dtype).itemsize
    content = read(wanted)
    if len(content) != wanted:
        raise UserError("a tensor has fewer bytes than its shape needs: the file is truncated")
    return np.frombuffer(content, dtype).reshape(shape)
