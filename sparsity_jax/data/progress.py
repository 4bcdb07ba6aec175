"""Progress of long work: a bar on a terminal, plain lines every few seconds elsewhere."""

from __future__ import annotations

import contextlib
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

from tqdm import tqdm

LINE_EVERY = 5.0  # seconds between plain lines


class Heartbeat:
    """A thread that calls a function every few seconds, within a `with` statement.

    It speaks for work that cannot tell how far it is: compiling, or a library's own loop.

    Args:
      beat: what to call; when it finds that nobody reads what it prints, no more beats follow.
      every: seconds between calls; None: `LINE_EVERY`.

    Example:
      >>> with Heartbeat(lambda: print("still compiling")):
      ...     pass
    """

    def __init__(self, beat: Callable[[], None], every: float | None = None) -> None:
        self._beat, self._every = beat, LINE_EVERY if every is None else every
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Heartbeat:
        self._thread.start()
        return self

    def __exit__(self, *_: Any) -> None:
        self._ended.set()
        self._thread.join()

    def _run(self) -> None:
        with contextlib.suppress(OSError, ValueError):  # nobody reads, or the stream is closed
            while not self._ended.wait(self._every):
                self._beat()


def still(doing: Callable[[], str], *, shown: bool = True) -> Heartbeat:
    """Make a heartbeat that says on stderr what is done, and for how long so far.

    Args:
      doing: what, whenever a line is due; '' for nothing to say.
      shown: False: say nothing.

    Example:
      >>> with still(lambda: "reading the cache"):
      ...     pass
    """
    began = time.monotonic()

    def beat() -> None:
        if shown and (what := doing()):
            line = f"{what}, {time.monotonic() - began:.0f} s so far"
            tqdm.write(line, file=sys.stderr)  # above a bar, if any
            sys.stderr.flush()

    return Heartbeat(beat)


class Bar:
    """Progress over bytes or images, on stderr; a line at the start where there is no terminal.

    Args:
      label: what is done.
      total: how much there is; None where that is not known.
      unit: of it; 'B' is scaled.
      shown: False: say nothing.

    Example:
      >>> with Bar("decoding", total=2, unit="image", shown=False) as bar:
      ...     bar.update(2)
    """

    def __init__(self, label: str, *, total: int | None, unit: str, shown: bool = True) -> None:
        self._label, self._total, self._unit = label, total, unit
        self._plain = shown and not sys.stderr.isatty()
        self._done, self._shown = 0, time.monotonic()
        self._bar = tqdm(
            desc=label,
            total=total,
            unit=unit,
            unit_scale=unit == "B",
            disable=None if shown else True,  # None: silent where there is no terminal
        )

    def __enter__(self) -> Bar:
        if self._plain:
            print(self._label, file=sys.stderr, flush=True)
        return self

    def __exit__(self, *_: Any) -> None:
        self._bar.close()

    def update(self, more: int) -> None:
        """Show that so much more is done."""
        self._done += more
        self._bar.update(more)
        now = time.monotonic()
        if self._plain and now - self._shown >= LINE_EVERY:
            self._shown = now
            print(f"{self._label}: {self._far()}", file=sys.stderr, flush=True)

    @property
    def done(self) -> int:
        """Amount that is done."""
        return self._done

    def _far(self) -> str:
        if self._unit == "B":
            numbers = [f"{each / 1e6:,.0f}" for each in (self._done, self._total) if each]
            return f"{'/'.join(numbers)} MB"
        numbers = [f"{each:,}" for each in (self._done, self._total) if each is not None]
        return f"{'/'.join(numbers)} {self._unit}s"
