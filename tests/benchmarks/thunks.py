"""What does a GPU do in a call of a compiled program, as XLA's list of thunks says?

A thunk is one thing that the host launches: a kernel, a convolution, a copy; or a graph of them
(`kCommandBuffer`), or a loop (`kWhile`). XLA writes the list to its dump folder.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

LINE = re.compile(r"^(?P<indent> *)(?:(?P<number>\d+): k(?P<kind>\w+)|(?P<part>condition|body):)")
HOLDERS = ("CommandBuffer", "While", "Conditional", "Sequential")
LIST = "*.thunk_sequence_after_thunk_passes.txt"


class Thunk(NamedTuple):
    """One thunk, and what it lies in: kinds of the graphs, loops and parts of loops around it."""

    kind: str
    around: tuple[str, ...]


class Launches(NamedTuple):
    """What a program's list of thunks adds up to.

    Attributes:
      step: kernels, convolutions, products and copies of a turn of the loop.
      call: the same outside of the loop, once a call.
      graphs: graphs in the whole list.
      outside: what is launched by itself, outside of any graph, in a turn of the loop.
      waits: whether the host waits at every turn, for a loop outside of graphs that is `traced`.
    """

    step: int
    call: int
    graphs: int
    outside: int
    waits: bool


def thunks(text: str) -> Iterator[Thunk]:
    """Every thunk of a list, in order.

    What lies in a graph or a loop is indented by four; a loop's 'body:' by two, and its
    'condition:', which comes first, not at all.
    """
    around: list[tuple[int, str]] = []  # (indentation, kind), outermost first
    for line in text.splitlines():
        if (found := LINE.match(line)) is None:
            continue
        depth, part = len(found["indent"]), found["part"]
        if part == "condition":
            around.append((around[-1][0] + 1, part))
            continue
        while around and around[-1][0] >= (depth - 1 if part else depth):
            around.pop()
        if part:
            around.append((depth, part))
            continue
        yield Thunk(found["kind"], tuple(kind for _, kind in around))
        if found["kind"] in HOLDERS:
            around.append((depth, found["kind"]))


def count(text: str, *, traced: bool) -> Launches:
    """Add up a list of thunks.

    Args:
      text: the list.
      traced: the loop's number of turns is not known to the compiler.
    """
    every = list(thunks(text))
    work = [each for each in every if each.kind not in HOLDERS]
    step = [each for each in work if "body" in each.around]
    loops = [each for each in every if each.kind == "While"]
    return Launches(
        step=len(step),
        call=sum("body" not in each.around and "condition" not in each.around for each in work),
        graphs=sum(each.kind == "CommandBuffer" for each in every),
        outside=sum("CommandBuffer" not in each.around for each in step),
        waits=traced and any("CommandBuffer" not in loop.around for loop in loops),
    )


def read(folder: Path) -> str:
    """The list with the most thunks in a dump folder: that of the training steps."""
    lists = [path.read_text() for path in folder.glob(LIST)]
    return max(lists, key=len, default="")
