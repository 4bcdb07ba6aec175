"""The paper's networks as plans: BasicNet and VGG with BatchNorm, at any width.

Layer sizes follow the paper (Fig. 1, Sec. 2.1 and 5; Tables 6 to 10); BasicNet's pooling positions
are not published and default to 2x2 max pooling after C1, C3, C5, as in VGG before each doubling.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from sparsity_jax.errors import UserError
from sparsity_jax.models.plans import Conv, HeadPool, Plan

BASICNET_FILTERS = (64, 128, 128, 256, 256, 512, 512)

_VGG_STAGES = {  # filters of each stage; a 2x2 max pool ends a stage
    "VGG-11": ((64,), (128,), (256,) * 2, (512,) * 2, (512,) * 2),
    "VGG-13": ((64,) * 2, (128,) * 2, (256,) * 2, (512,) * 2, (512,) * 2),
    "VGG-16": ((64,) * 2, (128,) * 2, (256,) * 3, (512,) * 3, (512,) * 3),
    "VGG-19": ((64,) * 2, (128,) * 2, (256,) * 4, (512,) * 4, (512,) * 4),
}

NETWORKS = ("BasicNet", *_VGG_STAGES)


def parse_width(width: str | float) -> tuple[int, float]:
    """Read a width: a multiplier of every layer, or the paper's 'FIRST-FACTORx' (Table 6).

    Args:
      width: such as 0.25, '0.25' or '64-0.5x'.

    Returns:
      (filters of the first layer, factor of all other layers).

    Raises:
      UserError: the text is neither, or a factor is 0 or above 16.

    Example:
      >>> parse_width('64-0.5x'), parse_width('0.25')
      ((64, 0.5), (16, 0.25))
    """
    text = str(width)
    first, dash, factor = text.removesuffix("x").partition("-")
    try:
        pair = (int(first), float(factor)) if dash else (round(64 * float(text)), float(text))
    except ValueError:
        pair = (0, 0.0)
    if not (pair[0] >= 1 and 0.0 < pair[1] <= 16.0):
        raise UserError(
            f"width={text!r} is not valid; give a multiplier such as 0.25 or the paper's "
            "64-1x, 64-0.5x, 32-0.25x"
        )
    return pair


def _widened(filters: Sequence[int], width: str | float) -> list[int]:
    first, factor = parse_width(width)
    return [first, *(max(1, round(count * factor)) for count in filters[1:])]


def basicnet(
    *,
    classes: int,
    input_shape: tuple[int, int, int],
    width: str | float = "64-1x",
    pool_after: Sequence[int] = (1, 3, 5),
    negative_slope: float = 0.0,
) -> Plan:
    """BasicNet of Fig. 1: seven convolutions (5x5, then 3x3) and a head that fits the classes.

    Heads (Sec. 2.1 and 4): up to 199 classes, global average pool and one hidden layer of 256
    (CIFAR, ObjectNet3D); up to 999, global average pool, 512, 256 (TinyImageNet); from 1,000 on,
    average pool 5x5 stride 4, 4096, 2048 (ImageNet).

    Args:
      classes: outputs.
      input_shape: (height, width, channels).
      width: as `parse_width` reads it.
      pool_after: numbers of the convolutions that pooling follows.
      negative_slope: of the leaky ReLU; 0 is the ReLU.

    Raises:
      UserError: a pooling position outside 1 ... 7, an unreadable width, or too small images.

    Example:
      >>> basicnet(classes=10, input_shape=(32, 32, 3)).filters
      1856
    """
    wrong = [place for place in pool_after if place not in range(1, 8)]
    if wrong:
        raise UserError(f"pool_after={wrong[0]} is not a layer of BasicNet; valid are 1 to 7")
    convs = tuple(
        Conv(filters, kernel=5 if place == 1 else 3, pool=place in pool_after)
        for place, filters in enumerate(_widened(BASICNET_FILTERS, width), start=1)
    )
    head_pool: HeadPool = "global"
    dense: tuple[int, ...] = (256,)
    if classes >= 1000:
        head_pool, dense = (5, 4), (4096, 2048)
    elif classes >= 200:
        dense = (512, 256)
    return Plan("BasicNet", convs, input_shape, head_pool, dense, classes, negative_slope)


def vgg(
    name: str,
    *,
    classes: int,
    input_shape: tuple[int, int, int],
    width: str | float = "64-1x",
    negative_slope: float = 0.0,
) -> Plan:
    """VGG-11/13/16/19 with BatchNorm and the paper's heads (Sec. 5.2).

    Every stage ends in a 2x2 max pool and the last map is flattened: 512 for CIFAR, (512, 256) for
    TinyImageNet, (4096, 4096) for ImageNet (without dropout, which is a setting of training).
    VGG-19 is that of Network Slimming: four pools, global average, one linear layer.

    Args:
      name: one of NETWORKS but BasicNet.
      classes: outputs.
      input_shape: (height, width, channels).
      width: as `parse_width` reads it.
      negative_slope: of the leaky ReLU; 0 is the ReLU.

    Example:
      >>> vgg('VGG-11', classes=10, input_shape=(32, 32, 3)).filters
      2752
    """
    stages = _VGG_STAGES[name]
    slim = name == "VGG-19"
    ends = [i for i, stage in enumerate(stages) for _ in stage]
    lasts = [place == len(stage) for stage in stages for place in range(1, len(stage) + 1)]
    widths = _widened([filters for stage in stages for filters in stage], width)
    convs = tuple(
        Conv(filters, pool=last and not (slim and stage == len(stages) - 1))
        for filters, last, stage in zip(widths, lasts, ends, strict=True)
    )
    dense: tuple[int, ...] = (512,)
    if slim:
        dense = ()
    elif classes >= 1000:
        dense = (4096, 4096)
    elif classes >= 200:
        dense = (512, 256)
    head_pool = "global" if slim else "flatten"
    return Plan(name, convs, input_shape, head_pool, dense, classes, negative_slope)


def make_plan(
    network: str,
    *,
    classes: int,
    input_shape: tuple[int, int, int],
    width: str | float = "64-1x",
    pool_after: Sequence[int] = (1, 3, 5),
    pool: str = "max2",
    stride_2: Sequence[int] = (),
    negative_slope: float = 0.0,
) -> Plan:
    """Plan of a network by name.

    Args:
      network: one of NETWORKS.
      classes: outputs.
      input_shape: (height, width, channels).
      width: as `parse_width` reads it.
      pool_after: BasicNet's pooling positions; VGG has its own.
      pool: how both pool: one of plans.POOLS.
      stride_2: numbers of the convolutions that have stride 2.
      negative_slope: of the leaky ReLU; 0 is the ReLU.

    Raises:
      UserError: an unknown network (the known ones are named), or sizes that do not fit.

    Example:
      >>> make_plan('VGG-16', classes=100, input_shape=(32, 32, 3)).filters
      4224
    """
    if network not in NETWORKS:
        raise UserError(f"network={network!r} is not known; valid are {', '.join(NETWORKS)}")
    if network == "BasicNet":
        plan = basicnet(
            classes=classes,
            input_shape=input_shape,
            width=width,
            pool_after=pool_after,
            negative_slope=negative_slope,
        )
    else:
        plan = vgg(
            network,
            classes=classes,
            input_shape=input_shape,
            width=width,
            negative_slope=negative_slope,
        )
    return _strided(dataclasses.replace(plan, pool_kind=pool), stride_2)


def _strided(plan: Plan, stride_2: Sequence[int]) -> Plan:
    """The plan with stride 2 in the convolutions of these numbers."""
    for place in stride_2:
        if place not in range(1, len(plan.convs) + 1):
            raise UserError(
                f"stride_2={place} is not a layer of {plan.name}; valid are 1 to {len(plan.convs)}"
            )
    convs = tuple(
        dataclasses.replace(conv, stride=2 if place in stride_2 else 1)
        for place, conv in enumerate(plan.convs, start=1)
    )
    return dataclasses.replace(plan, convs=convs)
