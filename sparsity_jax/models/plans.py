"""Networks as data: a `Plan` lists the layers, and everything else is read from it.

A pruned network is the same constructor with a smaller plan; a plan is saved beside its weights.
The paper's own networks are listed in `networks`.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import Any

from sparsity_jax.errors import UserError

POOLS = ("max2", "max3", "max3_padded", "avg2")  # window 2 or 3, stride 2
HeadPool = str | tuple[int, int]  # 'global', 'flatten', or (window, stride) of an average pool


@dataclasses.dataclass(frozen=True)
class Conv:
    """Convolution with `filters` outputs, a square `kernel`, a stride, pooling after it or not."""

    filters: int
    kernel: int = 3
    pool: bool = False
    stride: int = 1


@dataclasses.dataclass(frozen=True)
class Plan:
    """Convolutional network with BatchNorm and (leaky) ReLU after every convolution.

    Attributes:
      name: the network's name in results, such as 'BasicNet' or 'VGG-16'.
      convs: the convolutions, first to last; they are called C1 ... CN.
      input_shape: (height, width, channels) of one image.
      head_pool: what stands between the last map and the dense layers: 'global' averages the map,
        'flatten' keeps every position, (window, stride) averages windows and then flattens.
      dense: widths of the hidden dense layers F1 ..., each followed by BatchNorm and ReLU.
      classes: outputs of the last dense layer.
      negative_slope: slope of the ReLU below zero (0 is the plain ReLU; Table S2 uses 0.01, 0.1).
      pool_kind: what pools after a convolution: one of POOLS.

    Example:
      >>> plan = Plan('tiny', (Conv(8, pool=True), Conv(16)), (8, 8, 1), 'global', (), 2)
      >>> plan.filters, plan.conv_params, plan.map_shapes
      (24, 1224, ((4, 4, 8), (4, 4, 16)))
    """

    name: str
    convs: tuple[Conv, ...]
    input_shape: tuple[int, int, int]
    head_pool: HeadPool
    dense: tuple[int, ...]
    classes: int
    negative_slope: float = 0.0
    pool_kind: str = "max2"

    def __post_init__(self) -> None:
        if min(self.map_shapes[-1][:2]) < 1 or min(self.head_map[:2]) < 1:
            h, w, _ = self.input_shape
            raise UserError(
                f"{self.name} pools a {h}x{w} image down to nothing; use larger images, fewer "
                "pooling positions (pool_after) or strides (stride_2), or another head"
            )

    @property
    def layer_names(self) -> tuple[str, ...]:
        """Names of the convolutions: ('C1', ..., 'CN')."""
        return tuple(f"C{i}" for i in range(1, len(self.convs) + 1))

    @property
    def dense_names(self) -> tuple[str, ...]:
        """Names ('F1', ...) of the hidden dense layers, then of the one that gives the logits."""
        return tuple(f"F{i}" for i in range(1, len(self.dense) + 2))

    @property
    def filters(self) -> int:
        """Number of convolution filters: 1,856 for BasicNet, 4,224 for VGG-16."""
        return sum(conv.filters for conv in self.convs)

    @property
    def conv_params(self) -> int:
        """Convolution weights alone, which is what the paper counts: sum of k^2 * in * out."""
        return sum(
            conv.kernel**2 * inputs * conv.filters
            for conv, inputs in zip(self.convs, self.conv_inputs, strict=True)
        )

    @property
    def conv_inputs(self) -> tuple[int, ...]:
        """Input channels of every convolution."""
        return (self.input_shape[2], *(conv.filters for conv in self.convs[:-1]))

    @property
    def map_shapes(self) -> tuple[tuple[int, int, int], ...]:
        """Shapes (height, width, channels) after every convolution and its pooling."""
        return tuple(
            _pooled(shape, self.pool_kind) if conv.pool else shape
            for shape, conv in zip(self.conv_shapes, self.convs, strict=True)
        )

    @property
    def conv_shapes(self) -> tuple[tuple[int, int, int], ...]:
        """Shapes (height, width, filters) that every convolution computes, before pooling."""
        before, shapes = self.input_shape, []
        for conv in self.convs:
            height, width = (-(-side // conv.stride) for side in before[:2])
            shapes.append((height, width, conv.filters))
            before = _pooled(shapes[-1], self.pool_kind) if conv.pool else shapes[-1]
        return tuple(shapes)

    @property
    def head_map(self) -> tuple[int, int, int]:
        """Shape (height, width, channels) that the first dense layer sees, before flattening."""
        height, width, channels = self.map_shapes[-1]
        if self.head_pool == "global":
            return 1, 1, channels
        if self.head_pool == "flatten":
            return height, width, channels
        window, stride = _window(self.head_pool)
        return (height - window) // stride + 1, (width - window) // stride + 1, channels

    @property
    def dense_widths(self) -> tuple[int, ...]:
        """Widths from the first dense layer's inputs to the logits."""
        return (math.prod(self.head_map), *self.dense, self.classes)

    def with_filters(self, filters: Sequence[int]) -> Plan:
        """The same network with other numbers of filters, one per convolution.

        Example:
          >>> plan.with_filters([8, 9]).filters
          17
        """
        convs = tuple(
            dataclasses.replace(conv, filters=int(count))
            for conv, count in zip(self.convs, filters, strict=True)
        )
        return dataclasses.replace(self, convs=convs)

    def to_dict(self) -> dict[str, Any]:
        """Fields as a JSON-ready dict; `from_dict` gives the plan back.

        Example:
          >>> Plan.from_dict(plan.to_dict()) == plan
          True
        """
        return dataclasses.asdict(self)

    @classmethod
    def from_dict(cls, fields: Mapping[str, Any]) -> Plan:
        """Plan that `to_dict` wrote (lists where JSON has no tuples are fine)."""
        head_pool = fields["head_pool"]
        return cls(
            name=fields["name"],
            convs=tuple(Conv(**conv) for conv in fields["convs"]),
            input_shape=_triple(fields["input_shape"]),
            head_pool=head_pool if isinstance(head_pool, str) else _window(head_pool),
            dense=tuple(fields["dense"]),
            classes=fields["classes"],
            negative_slope=fields["negative_slope"],
            pool_kind=fields.get("pool_kind", "max2"),
        )


def _pooled(shape: tuple[int, int, int], kind: str) -> tuple[int, int, int]:
    """(H, W, C) after pooling: sides rounded down; up where padded; (side - 1) // 2 for 3x3."""
    extra = {"max3": -1, "max3_padded": 1}.get(kind, 0)
    height, width, channels = shape
    return (height + extra) // 2, (width + extra) // 2, channels


def _window(head_pool: Any) -> tuple[int, int]:
    window, stride = head_pool
    return int(window), int(stride)


def _triple(shape: Sequence[int]) -> tuple[int, int, int]:
    height, width, channels = shape
    return int(height), int(width), int(channels)
