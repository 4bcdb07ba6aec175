"""Entering of runs into the records that are committed with the source."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from pathlib import Path
from typing import TypeVar

from sparsity_jax.errors import UserError
from sparsity_jax.storage.io import write_atomically

Entry = TypeVar("Entry")


def enter(
    new: Sequence[Entry],
    path: Path,
    *,
    decode: Callable[[str], Sequence[Entry]],
    encode: Callable[[Sequence[Entry]], str],
    identity: Callable[[Entry], Hashable],
) -> int:
    """Append entries to a record, each identity once; returns how many are new.

    Args:
      new: what to enter.
      path: of the record; it need not be there yet.
      decode: reads the content of a record.
      encode: its inverse.
      identity: what no two entries of a record share.

    Raises:
      UserError: the file cannot be written, as in an installed package; nothing has changed.
    """
    there = decode(path.read_text(encoding="utf-8")) if path.exists() else ()
    merged = {identity(entry): entry for entry in there}
    for entry in new:
        merged.setdefault(identity(entry), entry)
    if len(merged) > len(there):
        try:
            write_atomically(path, encode(tuple(merged.values())).encode())
        except OSError as error:
            raise UserError(
                f"{path} cannot be written ({error.strerror or error}); enter runs from a checkout "
                "of the source that you may write to"
            ) from None
    return len(merged) - len(there)
