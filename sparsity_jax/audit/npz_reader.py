"""Tensors of an .npz file: the headers of its arrays, and the vectors that are asked for."""

from __future__ import annotations

import math
import zipfile
from collections.abc import Iterable
from pathlib import Path as File
from typing import Any, NamedTuple

import numpy as np
from numpy.lib import format as npy

from sparsity_jax.audit.tensors import (
    Path,
    Source,
    Tensor,
    checked_shape,
    from_bytes,
    separator_of,
    split_name,
)
from sparsity_jax.errors import UserError


class _Header(NamedTuple):
    shape: tuple[int, ...]
    dtype: Any
    fortran: bool


def read_npz(file: File) -> Source:
    """List the arrays of an .npz file.

    Raises:
      UserError: one of them is pickled.
    """
    with zipfile.ZipFile(file) as archive:
        arrays = {name: name.removesuffix(".npy") for name in archive.namelist()}
        separator = separator_of(arrays.values())
        members = {split_name(name, separator): member for member, name in arrays.items()}
        tensors = {}
        for path, member in members.items():
            with archive.open(member) as opened:
                tensors[path] = Tensor(_header(opened, member).shape)

    def read(paths: Iterable[Path]) -> dict[Path, np.ndarray]:
        with zipfile.ZipFile(file) as archive:
            return {path: _read(archive, members[path]) for path in paths}

    return Source("npz file", tensors, read)


def _header(opened: Any, member: str) -> _Header:
    major, _ = npy.read_magic(opened)
    read = npy.read_array_header_1_0 if major == 1 else npy.read_array_header_2_0
    shape, fortran, dtype = read(opened)
    if dtype.hasobject:
        raise UserError(f"array {member} is pickled; valid are plain numbers")
    return _Header(checked_shape(shape), dtype, fortran)


def _read(archive: zipfile.ZipFile, member: str) -> np.ndarray:
    with archive.open(member) as opened:
        shape, dtype, fortran = _header(opened, member)
        content = opened.read(math.prod(shape) * dtype.itemsize)
        array = from_bytes(content, dtype, shape[::-1] if fortran else shape)
    return array.T if fortran else array
