"""Files replaced whole, plain JSON, and digests: what every kept file is made with.

Data caches and exported models write their files themselves: they stand on lower floors, and a
cache is too large to be held as bytes.
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
    """Replace a file whole: a reader sees the old one or the new one.

    The content is on the disk before its name is: not even a power failure leaves a half.

    Raises:
      OSError: it cannot be written; the old one is as it was.
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
    """Turn a value into what JSON knows: arrays and tuples into lists, NaN and infinity into null.

    Example:
      >>> plain({'a': (np.float32(0.5), math.nan)})
      {'a': [0.5, None]}
    """
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
    """Read a JSON or CSV number; null and the empty cell are NaN.

    Example:
      >>> number('2.5'), number(None), number('')
      (2.5, nan, nan)
    """
    return math.nan if value is None or value == "" else float(value)


def write_json(path: Path, value: Any, *, indent: int = 2) -> None:
    """Replace a file by the JSON of a plain value, ending in a newline."""
    write_atomically(path, (json.dumps(value, indent=indent) + "\n").encode())


def read_object(path: Path) -> dict[str, Any]:
    """Read a JSON file that holds an object.

    Raises:
      UserError: it holds something else; names the file.
      OSError: it cannot be read.
    """
    try:
        raw = json.loads(path.read_text())
    except (ValueError, UnicodeDecodeError) as error:
        raise UserError(f"{path} is not valid JSON ({error}); delete it and run again") from None
    if not isinstance(raw, dict):
        raise UserError(f"{path} must hold a JSON object; delete it and run again")
    return raw


def signed(content: Mapping[str, Any]) -> dict[str, Any]:
    """Put a digest before the content of a JSON object."""
    return {"digest": json_digest(content), **content}


def verified(value: Any) -> dict[str, Any]:
    """Take the digest off what `signed` returned, once it was compared.

    Raises:
      ValueError: it is not what was signed.

    Example:
      >>> verified(signed({'a': 1}))
      {'a': 1}
    """
    content = dict(value) if isinstance(value, Mapping) else {}
    digest = content.pop("digest", None)
    if digest is None or digest != json_digest(content):
        raise ValueError("not what was written")
    return content


def bytes_digest(content: bytes) -> str:
    """Compute the BLAKE2b digest of bytes, as 32 hexadecimal digits.

    Example:
      >>> len(bytes_digest(b'abc'))
      32
    """
    return hashlib.blake2b(content, digest_size=16).hexdigest()


def array_digest(array: np.ndarray) -> str:
    """Compute the digest of an array's dtype, shape and content.

    Example:
      >>> array_digest(np.zeros(4)) == array_digest(np.zeros((2, 2)))
      False
    """
    digest = hashlib.blake2b(f"{array.dtype}{array.shape}".encode(), digest_size=16)
    digest.update(np.ascontiguousarray(array).reshape(-1).view(np.uint8).data)  # GB: no copy
    return digest.hexdigest()


def json_digest(value: Any) -> str:
    """Compute the digest of what JSON would hold of a value, whatever the order of its keys.

    Example:
      >>> json_digest({'a': 1, 'b': (2, 3)}) == json_digest({'b': [2, 3], 'a': 1})
      True
    """
    return bytes_digest(json.dumps(plain(value), sort_keys=True).encode())


def file_digest(path: Path) -> str:
    """Compute the digest of a file's content.

    Raises:
      OSError: it cannot be read.
    """
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=16)).hexdigest()
