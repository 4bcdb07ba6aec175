"""Is this still what was written? One digest for bytes, arrays and JSON, the same everywhere."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np

from sparsity_jax.storage.artifacts import plain


def of_bytes(content: bytes) -> str:
    """BLAKE2b of bytes, as 32 hexadecimal digits."""
    return hashlib.blake2b(content, digest_size=16).hexdigest()


def of_array(array: np.ndarray) -> str:
    """Of an array's dtype, shape and content."""
    about = f"{array.dtype}{array.shape}".encode()
    return of_bytes(about + np.ascontiguousarray(array).tobytes())


def of_json(value: Any) -> str:
    """Of what JSON would hold of a value, whatever the order of its keys.

    Example:
      >>> of_json({'a': 1, 'b': (2, 3)}) == of_json({'b': [2, 3], 'a': 1})
      True
    """
    return of_bytes(json.dumps(plain(value), sort_keys=True).encode())


def of_file(path: Path) -> str:
    """Of a file's content.

    Raises:
      OSError: it cannot be read.
    """
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=16)).hexdigest()
