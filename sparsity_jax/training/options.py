"""Options of a group's training: how it is computed and kept; none of them changes its result."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import jax

from sparsity_jax.distributed import determinism, graphs
from sparsity_jax.storage.trackers import check_tracker
from sparsity_jax.training.population import MemberMapping, choose_mapping, split_batch
from sparsity_jax.training.run import Run

_CHECKPOINT_SECONDS = {"cpu": 60.0}
_CHECKPOINT_SECONDS_ELSEWHERE = 300.0  # an accelerator waits while its state is fetched


@dataclasses.dataclass(frozen=True)
class TrainOptions:
    """Options of a group's training; none of them changes the result.

    Attributes:
      member_map: 'unroll', 'vmap', 'map', 'hybrid'; None: the fastest here.
      device_map: 'shard_map' or 'pmap'.
      split: what devices divide: the 'members' of a group, or the 'batch' of one run.
      checkpoint_seconds: by the clock, at least so long between checkpoints; None: 60 on a CPU, 300
        elsewhere.
      tracker: where evaluations are sent; None: nowhere.
    """

    member_map: str | None = None
    device_map: str = "shard_map"
    split: str = "members"
    checkpoint_seconds: float | None = None
    tracker: str | None = None

    @classmethod
    def of(cls, config: Mapping[str, Any]) -> TrainOptions:
        """Take them from a resolved config.

        Raises:
          UserError: the config asks for deterministic kernels, and this process cannot have them;
            or for a tracker that is not installed.
        """
        check_tracker(config["tracker"])
        if config["deterministic"]:
            determinism.check()
        graphs.allow(config["graphs"])
        return cls(**{field.name: config[field.name] for field in dataclasses.fields(cls)})

    @property
    def seconds_between_checkpoints(self) -> float:
        """As asked for, or what is usual on this backend."""
        if self.checkpoint_seconds is not None:
            return self.checkpoint_seconds
        return _CHECKPOINT_SECONDS.get(jax.default_backend(), _CHECKPOINT_SECONDS_ELSEWHERE)

    def mapping(self, runs: Sequence[Run]) -> MemberMapping:
        """Choose where the members of a group go."""
        if self.split == "batch":
            return split_batch(runs[0].config.batch_size)
        return choose_mapping(
            len(runs),
            kind=self.member_map,
            device_map=self.device_map,
            devices=jax.local_device_count(),
        )
