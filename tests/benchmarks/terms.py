"""How much is measured for the table, on what, and how long may it take?"""

from __future__ import annotations

import dataclasses
import math
import sys
from collections.abc import Mapping
from typing import TypedDict

import jax
from cells import Row
from timing import NotMeasuredError
from workload import BATCH, MINIATURE, Workload, make_workload, plan_of

Found = Mapping[str, Row]  # the rows so far


class Pace(TypedDict):
    """Of the rounds."""

    rounds: int
    seconds: float


@dataclasses.dataclass(frozen=True)
class Terms:
    """What a row is told.

    Attributes:
      quick: everything in miniature, wherever JAX runs; the figures mean nothing.
      torch_python: the interpreter whose PyTorch is the peer.
      deadline: `time.monotonic()` after which nothing more is begun.
    """

    quick: bool = False
    torch_python: str = sys.executable
    deadline: float = math.inf

    @property
    def pace(self) -> Pace:
        """Seven rounds of half a second, or one of three steps."""
        return Pace(rounds=1, seconds=0.0) if self.quick else Pace(rounds=7, seconds=0.5)

    def work(self, network: str, *, images: int) -> Workload:
        """Noise for a network, or the miniature."""
        if self.quick:
            return make_workload(MINIATURE, images=5 * BATCH)
        return make_workload(plan_of(network), images=images)

    def want(self, backend: str) -> None:
        """Go on only where JAX runs on that backend; a miniature runs anywhere.

        Raises:
          NotMeasuredError: it runs elsewhere.
        """
        if self.quick or jax.default_backend() == backend:
            return
        if backend == "gpu":
            raise NotMeasuredError("no NVIDIA GPU")
        raise NotMeasuredError("JAX has a GPU here; measure this with JAX_PLATFORMS=cpu")
