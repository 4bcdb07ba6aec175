"""Tensors of somebody's file: names and shapes first, the few vectors that count on request."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Hashable, Iterable
from typing import Any

import ml_dtypes
import numpy as np

from sparsity_jax.errors import UserError

Path = tuple[str, ...]

MAX_VECTOR = 2**20  # elements; the widest norm in use is far below
MAX_HEADER = 2**26  # bytes of names and shapes
MAX_TENSORS = 10**6


@dataclasses.dataclass(frozen=True)
class Tensor:
    """A tensor as its file describes it.

    Attributes:
      shape: its axes.
      root: how many leading parts of its path name the mapping that holds it, not the network.
      storage: equal for two names of the same memory; None where the format cannot say.
    """

    shape: tuple[int, ...]
    root: int = 0
    storage: Hashable = None


@dataclasses.dataclass(frozen=True)
class Source:
    """Tensors that a reader found in a file or folder.

    Attributes:
      what: the format in the user's words, such as 'PyTorch file'.
      tensors: path -> tensor, in the file's order.
      read: reads some of them, none with more than `MAX_VECTOR` elements.
      left_out: (name, why) of what the reader passed over.
    """

    what: str
    tensors: dict[Path, Tensor]
    read: Callable[[Iterable[Path]], dict[Path, np.ndarray]]
    left_out: tuple[tuple[str, str], ...] = ()


def checked_shape(shape: Iterable[Any]) -> tuple[int, ...]:
    """Return a shape whose sizes are sizes.

    Raises:
      UserError: they are not.

    Example:
      >>> checked_shape([3, 4])
      (3, 4)
    """
    sizes = tuple(shape)
    if any(type(n) is not int or n < 0 for n in sizes):
        raise UserError(f"a tensor claims the shape {str(sizes)[:80]}")
    return sizes


def from_bytes(content: bytes, dtype: Any, shape: tuple[int, ...]) -> np.ndarray:
    """Make an array of exactly as many bytes as its shape needs; two-byte voids are bfloat16.

    Raises:
      UserError: there are fewer.

    Example:
      >>> from_bytes(b'ab', np.uint8, (2,))
      array([97, 98], dtype=uint8)
    """
    dtype = np.dtype(dtype)
    if len(content) != math.prod(shape) * dtype.itemsize:
        raise UserError("a tensor has fewer bytes than its shape needs: the file is truncated")
    if dtype.kind == "V" and dtype.itemsize == 2 and dtype.names is None:
        dtype = np.dtype(ml_dtypes.bfloat16)  # as np.savez writes it
    return np.frombuffer(content, dtype).reshape(shape)


def shown(path: Path) -> str:
    """Join a path for printing; whatever its names hold, it stays on one line.

    Example:
      >>> shown(('layer1', '0', 'bn1')), shown(('a', chr(10)))
      ('layer1/0/bn1', 'a/?')
    """
    name = "/".join(path) or "(top)"
    return name if name.isprintable() else "".join(c if c.isprintable() else "?" for c in name)


def split_name(name: str, separator: str) -> Path:
    """Cut a name at its separators, or where JAX's own key paths are.

    Example:
      >>> split_name("state.params['C1']['scale']", '.'), split_name('bn/gamma:0', '/')
      (('state', 'params', 'C1', 'scale'), ('bn', 'gamma:0'))
    """
    if "[" in name and "]" in name:
        name = name.replace("['", "\0").replace("']", "\0").replace("[", "\0").replace("]", "\0")
        return tuple(part for part in name.replace(".", "\0").split("\0") if part)
    parts = name.split(separator)
    if separator == "/" and "." in parts[-1]:  # a state dict inside a folder of names
        parts[-1:] = parts[-1].split(".")
    return tuple(part for part in parts if part)


def separator_of(names: Iterable[str]) -> str:
    """Return what cuts a file's names into parts: '/' if any name has one, else '.'."""
    return "/" if any("/" in name for name in names) else "."
