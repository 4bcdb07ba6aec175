"""Progress of a grid that several processes train: one bar, or a plain line every few seconds."""

from __future__ import annotations

import sys
import time
from collections.abc import Collection, Mapping
from typing import TextIO

from tqdm import tqdm

from sparsity_jax.training.progress import LINE_EVERY, Status, time_left

_SHOWN = 4  # runs that one line names


class GridProgress:
    """Steps done of all runs, what runs, time left; a line for every run that ends.

    Args:
      steps: place of a group of runs -> steps of all its runs.
      processes: how many train them.
      runs: number of runs of the grid.
      finished: number of those that were finished before.
    """

    def __init__(
        self, steps: Mapping[str, int], *, processes: int, runs: int, finished: int
    ) -> None:
        self._steps, self._runs, self._finished = steps, runs, finished
        self._total = sum(steps.values())
        self._done = dict.fromkeys(steps, 0)
        self._first: dict[str, int] = {}  # steps of earlier starts take no time now
        self._running: dict[str, Status] = {}
        self._began = self._shown = time.monotonic()
        self._bar = None
        label = f"{len(steps)} of {runs} runs" if finished else f"{runs} runs"
        if sys.stdout.isatty():
            self._bar = tqdm(
                total=self._total, desc=f"{label}, {processes} at once", unit="step",
                file=sys.stdout, dynamic_ncols=True,
            )  # fmt: skip
        else:
            print(f"{label}, {processes} at once: {self._total:,} steps", flush=True)

    def at(self, status: Status) -> None:
        """Show how far a group is."""
        if status.place not in self._steps:
            return  # a pruned network that is trained on
        done = round(self._steps[status.place] * status.step / status.total)
        self._first.setdefault(status.place, done)
        self._done[status.place] = done
        self._running[status.place] = status
        self._show()

    def tick(self) -> None:
        """Show that time passes, where lines are printed: a bar stays in sight."""
        if self._bar is None:
            self._show()

    def finished(self, place: str, names: Collection[str]) -> None:
        """Show that a group's runs are finished."""
        self._finished += len(names)
        self._done[place] = self._steps[place]
        status = self._running.pop(place, None)
        seen = status.latest if status else {}
        latest = ", ".join(f"{name} {value}" for name, value in seen.items())
        self.say(f"[{place}] {', '.join(names)}: finished{', ' + latest if latest else ''}")
        self._show(now=self._bar is not None)

    def lost(self, place: str) -> None:
        """Show no longer that a group runs."""
        self._running.pop(place, None)

    def say(self, line: str, file: TextIO | None = None) -> None:
        """Print a line, by default on standard output, above the bar."""
        if self._bar is None:
            print(line, flush=True, file=file)
        else:
            self._bar.write(line, file=file or sys.stdout)

    def close(self) -> None:
        """Leave the bar as it is."""
        if self._bar is not None:
            self._bar.close()

    def _show(self, *, now: bool = False) -> None:
        done = sum(self._done.values())
        if self._bar is not None:
            said = f"{self._finished}/{self._runs} finished{self._losses()}"
            self._bar.set_postfix_str(said, refresh=now)
            self._bar.update(done - self._bar.n)
            return
        moment = time.monotonic()
        if moment - self._shown < LINE_EVERY:
            return
        self._shown = moment
        left = time_left(
            done - sum(self._first.values()), self._total - done, seconds=moment - self._began
        )
        print(
            f"{self._finished}/{self._runs} runs finished, {done:,}/{self._total:,} steps, "
            f"{left} left{self._places()}",
            flush=True,
        )

    def _losses(self) -> str:
        losses = [status.latest.get("loss") for status in self._running.values()]
        known = [loss for loss in losses if loss]
        if not known:
            return ""
        return f", loss {' '.join(known[:_SHOWN])}{' …' if len(known) > _SHOWN else ''}"

    def _places(self) -> str:
        shown = [
            f"[{place}] {100 * each.step // each.total} %" for place, each in self._running.items()
        ]
        if not shown:
            return ""
        more = f" and {len(shown) - _SHOWN} more" if len(shown) > _SHOWN else ""
        return f"; {', '.join(shown[:_SHOWN])}{more}"
