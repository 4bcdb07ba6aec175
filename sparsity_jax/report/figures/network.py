"""Figure 1: a network as a row of blocks, drawn from its plan."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from itertools import pairwise

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import FancyArrowPatch, Rectangle

from sparsity_jax.models import Plan
from sparsity_jax.report.figures import style

WIDTHS = {"input": 0.8, "conv": 0.85, "pool": 0.36, "dense": 0.85}  # of blocks
GAP = 0.24
LONGEST = 14.0  # width of a line of blocks
LEAST, MOST = 2.0, 3.2  # heights of blocks: for a map of one pixel, and for the image
COLORS = {"input": "#8C8C8C", "conv": "#0072B2", "pool": "#8C8C8C", "dense": "#E69F00"}
HATCHES = {"input": "", "conv": "", "pool": "////", "dense": "...."}
CAPTION = (
    "{name}: {filters:,} filters in {convs} convolutions. Above a block the size of its maps, "
    "below it their number. Every convolution and hidden dense layer is followed by BatchNorm and "
    "{relu}."
)


@dataclasses.dataclass(frozen=True)
class Block:
    """One block: `kind` is a key of WIDTHS, `side` the size of its maps in pixels."""

    kind: str
    text: str
    above: str = ""
    below: str = ""
    side: int = 1


def blocks(plan: Plan) -> list[Block]:
    """The blocks of a network, from the image to the logits.

    Example:
      >>> from sparsity_jax.models import make_plan
      >>> plan = make_plan("BasicNet", classes=10, input_shape=(32, 32, 3))
      >>> [block.text for block in blocks(plan)][:4]
      ['image', 'C1, 5×5', 'max pool 2×2', 'C2, 3×3']
    """
    height, width, channels = plan.input_shape
    return [
        Block("input", "image", f"{height}×{width}", str(channels), height),
        *_convolutions(plan),
        *_head(plan),
    ]


def _convolutions(plan: Plan) -> Iterator[Block]:
    pool = {"max2": "max pool 2×2", "avg2": "average pool 2×2"}.get(plan.pool_kind, "max pool 3×3")
    for name, conv, shape in zip(plan.layer_names, plan.convs, plan.conv_shapes, strict=True):
        stride = f", stride {conv.stride}" if conv.stride > 1 else ""
        text = f"{name}, {conv.kernel}×{conv.kernel}{stride}"
        yield Block("conv", text, f"{shape[0]}×{shape[1]}", f"{conv.filters:,}", shape[0])
        if conv.pool:
            yield Block("pool", pool, side=shape[0])


def _head(plan: Plan) -> Iterator[Block]:
    side = plan.map_shapes[-1][0]
    if plan.head_pool == "global":
        yield Block("pool", "global average", side=side)
    elif plan.head_pool != "flatten":
        window, stride = plan.head_pool
        yield Block("pool", f"average {window}×{window}, /{stride}", side=side)
    for name, width in zip(plan.dense_names, plan.dense_widths[1:], strict=True):
        text = f"{name}, " + ("classes" if name == plan.dense_names[-1] else "dense")
        yield Block("dense", text, below=f"{width:,}")


def _lines(listed: Sequence[Block]) -> list[list[Block]]:
    """The blocks in lines of about equal length, none longer than `LONGEST`."""
    total = sum(WIDTHS[block.kind] + GAP for block in listed)
    count = int(-(-total // LONGEST))
    lines: list[list[Block]] = [[] for _ in range(count)]
    at = 0.0
    for block in listed:
        lines[min(count - 1, int(at / total * count))].append(block)
        at += WIDTHS[block.kind] + GAP
    return lines


def caption(plan: Plan) -> str:
    """Caption of the figure."""
    relu = f"leaky ReLU (slope {plan.negative_slope:g})" if plan.negative_slope else "ReLU"
    return CAPTION.format(name=plan.name, filters=plan.filters, convs=len(plan.convs), relu=relu)


@style.themed
def network_diagram(plan: Plan, *, theme: style.Theme = style.LIGHT) -> Figure:
    """The network's blocks in a line, or in several where they are many.

    A block is the higher the larger its maps are. Blue:
    convolutions; hatched: pooling; dotted: dense layers.
    """
    lines = _lines(blocks(plan))
    figure = style.figure(style.PAGE, 0.1 + 1.55 * len(lines))
    panels = figure.subplots(len(lines), 1, squeeze=False)[:, 0]
    for axes, line in zip(panels, lines, strict=True):
        _line(axes, line, plan.input_shape[0], theme, goes_on=line is not lines[-1])
    return figure


def _line(
    axes: Axes, line: Sequence[Block], largest: int, theme: style.Theme, *, goes_on: bool
) -> None:
    places, at = [], 0.0
    for block in line:
        width = WIDTHS[block.kind]
        places.append((at, at + width))
        _block(axes, block, at, LEAST + (MOST - LEAST) * (block.side / largest) ** 0.5, theme)
        at += width + GAP
    places += [(at, at)] * goes_on
    for (_, end), (start, _) in pairwise(places):
        arrow = FancyArrowPatch(
            (end, 0),
            (start, 0),
            arrowstyle="-|>",
            mutation_scale=4,
            color=theme.ink,
            linewidth=0.7,
            shrinkA=0,
            shrinkB=0,
        )
        axes.add_patch(arrow)
    axes.set_xlim(-0.1, max(LONGEST, at) + 0.1)
    axes.set_ylim(-MOST / 2 - 0.7, MOST / 2 + 0.6)
    axes.set_axis_off()


def _block(axes: Axes, block: Block, left: float, height: float, theme: style.Theme) -> None:
    width, color = WIDTHS[block.kind], COLORS[block.kind]
    box = {"xy": (left, -height / 2), "width": width, "height": height}
    axes.add_patch(
        Rectangle(
            **box,
            facecolor=color,
            alpha=0.25,
            hatch=HATCHES[block.kind],
            edgecolor=theme.face,
            linewidth=0,
        )
    )
    axes.add_patch(Rectangle(**box, facecolor="none", edgecolor=theme.ink, linewidth=0.8))
    middle = left + width / 2
    small = 5.6 if block.kind == "pool" else 6.6
    axes.text(middle, 0, block.text, rotation=90, ha="center", va="center", fontsize=small)
    axes.text(middle, height / 2 + 0.1, block.above, ha="center", va="bottom", fontsize=6.2)
    axes.text(
        middle,
        -height / 2 - 0.12,
        block.below,
        ha="center",
        va="top",
        fontsize=7,
        fontweight="bold",
    )
