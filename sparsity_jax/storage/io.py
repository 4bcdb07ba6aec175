"""Which files does a run, or a whole workdir, leave behind, and how are they encoded?

`config.json` (what was asked), `measure.npz` (gamma, beta, masks of one run) and `pruned.json`
(what pruning bought). The encoders and decoders are pure; `read_*` and `write_*` put files around
them. Every file is replaced whole, so that a reader never meets half of one.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from sparsity_jax.errors import UserError


def write_atomically(path: Path, content: bytes) -> None:
    """Replaces the file at `path` with `content`; a reader sees the old file or the new one.

    The content is on the disk before its name is: not even a power failure leaves a half.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with temporary.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def plain(value: Any) -> Any:
    """`value` as JSON knows it: arrays and tuples become lists, NaN and infinity null."""
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, np.ndarray):
        return plain(value.tolist())
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, np.generic):
        return plain(value.item())
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value if value is None or isinstance(value, str | int | bool) else str(value)


def number(value: Any) -> float:
    """A JSON or CSV number; null and the empty cell are NaN."""
    return math.nan if value is None or value == "" else float(value)


def _read_json(path: Path) -> dict[str, Any]:
    try:
        raw = json.loads(path.read_text())
    except (ValueError, UnicodeDecodeError) as error:
        raise UserError(f"{path} is not valid JSON ({error}); delete it and run again") from None
    if not isinstance(raw, dict):
        raise UserError(f"{path} must hold a JSON object; delete it and run again")
    return raw


def bytes_digest(content: bytes) -> str:
    """BLAKE2b of bytes, as 32 hexadecimal digits."""
    return hashlib.blake2b(content, digest_size=16).hexdigest()


def array_digest(array: np.ndarray) -> str:
    """Of an array's dtype, shape and content."""
    about = f"{array.dtype}{array.shape}".encode()
    return bytes_digest(about + np.ascontiguousarray(array).tobytes())


def json_digest(value: Any) -> str:
    """Of what JSON would hold of a value, whatever the order of its keys.

    Example:
      >>> json_digest({'a': 1, 'b': (2, 3)}) == json_digest({'b': [2, 3], 'a': 1})
      True
    """
    return bytes_digest(json.dumps(plain(value), sort_keys=True).encode())


def file_digest(path: Path) -> str:
    """Of a file's content.

    Raises:
      OSError: it cannot be read.
    """
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=16)).hexdigest()
