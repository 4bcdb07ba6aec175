"""Shards: the part of the groups of runs that one process trains.

Several processes can train the runs of one config into one workdir: each takes every N-th group.
What a run computes does not depend on who trains it, so that any number of processes ends with the
same results.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple, TypeVar

from sparsity_jax.errors import UserError

Group = TypeVar("Group")


class Shard(NamedTuple):
    """Part `index` (from 0) of `count` equal ones.

    Example:
      >>> Shard(1, 3).of("abcde"), str(Shard(1, 3))
      (['b', 'e'], '1/3')
    """

    index: int = 0
    count: int = 1

    def of(self, groups: Iterable[Group]) -> list[Group]:
        """Return the groups of this shard; they are dealt out in turn."""
        return [group for i, group in enumerate(groups) if i % self.count == self.index]

    def __str__(self) -> str:
        return f"{self.index}/{self.count}"


WHOLE = Shard()


def parse_shard(text: str, *, flag: str = "--share") -> Shard:
    """Read a shard as it is written on a command line.

    Raises:
      UserError: anything but I/N with 0 <= I < N.

    Example:
      >>> parse_shard("2/8")
      Shard(index=2, count=8)
    """
    index, _, count = text.partition("/")
    if index.isascii() and index.isdigit() and count.isascii() and count.isdigit():
        shard = Shard(int(index), int(count))
        if shard.index < shard.count:
            return shard
    raise UserError(f"{flag}={text} is not I/N with I from 0 to N - 1, such as {flag}=0/4")
