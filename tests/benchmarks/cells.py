"""How does a row of the table read?"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from timing import OUT_OF_TIME, Timed

HEADER = ("where", "work", "ours", "peer", "times as fast", "goal")


@dataclasses.dataclass(frozen=True)
class Goal:
    """At least so many times as fast as the fastest of these columns."""

    least: float
    against: tuple[str, ...]
    called: str = ""

    def judge(self, found: Timed, ours: str) -> tuple[str, str]:
        """The ratio and the goal as they are printed."""
        peer = found.fastest(*self.against)
        wanted = f"≥ {self.least:g}×{self.called and ' ' + self.called}"
        if peer is None:
            return "not measured", wanted
        ratio = found.median(peer) / found.median(ours)
        return f"{ratio:.2f}×", f"{wanted}: {verdict(ratio >= self.least)}"


@dataclasses.dataclass
class Row:
    """A row that was measured.

    Attributes:
      ours, peer, ratio, goal: cells.
      times: milliseconds per step of every column, one number a round.
      details: lines for below the table.
      complete: nothing was left out for want of time.
    """

    ours: str
    peer: str = "–"
    ratio: str = "–"
    goal: str = "–"
    times: dict[str, list[float]] = dataclasses.field(default_factory=dict)
    details: list[str] = dataclasses.field(default_factory=list)
    complete: bool = True


def compared(
    found: Timed, *, ours: str, peers: Sequence[str], goals: Sequence[Goal], rate: bool = False
) -> Row:
    """The row of our column beside its peers'; with `rate`, in steps per second too."""
    judged = [goal.judge(found, ours) for goal in goals]
    return Row(
        ours=cell(found, ours, rate=rate),
        peer=_peers(found, peers, rate=rate),
        ratio="; ".join(dict.fromkeys(ratio for ratio, _ in judged)),
        goal="; ".join(goal for _, goal in judged),
        times=found.times,
        complete=OUT_OF_TIME not in found.absent.values(),
    )


def _peers(found: Timed, peers: Sequence[str], *, rate: bool) -> str:
    """Every peer's cell; those that are alike (not measured, for one reason) share one."""
    cells: dict[str, list[str]] = {}
    for name in peers:
        cells.setdefault(cell(found, name, rate=rate), []).append(name)
    return "; ".join(f"{', '.join(names)} {text}" for text, names in cells.items())


def cell(found: Timed, column: str, *, rate: bool = False) -> str:
    """Median and minimum of a column, or why there are none."""
    if column not in found.times:
        return f"not measured: {found.absent.get(column, 'not asked for')}"
    median = found.median(column)
    text = f"{median:.3g} ms ({min(found.times[column]):.3g})"
    return f"{text}, {1e3 / median:,.0f} steps/s" if rate else text


def verdict(met: bool) -> str:
    """How a goal fared."""
    return "met" if met else "missed"


def table(rows: Sequence[Sequence[str]]) -> str:
    """Markdown."""
    lines = [HEADER, ["---"] * len(HEADER), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)
