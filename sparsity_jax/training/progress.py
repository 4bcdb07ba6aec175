"""Progress of training: a bar on a terminal, plain lines elsewhere, or told to another process."""

from __future__ import annotations

import contextlib
import contextvars
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from types import TracebackType
from typing import NamedTuple

from tqdm import tqdm

from sparsity_jax.data.progress import LINE_EVERY, Heartbeat
from sparsity_jax.storage.history import Evaluation


class Status(NamedTuple):
    """State of a run or a group of runs while it trains.

    Attributes:
      place: which runs of how many; empty while a pruned network is trained on.
      name: of the run.
      step: steps done.
      total: steps of all.
      latest: what was seen last: loss, test error, sparsity.
    """

    place: str
    name: str
    step: int
    total: int
    latest: dict[str, str]


_listener: contextvars.ContextVar[Callable[[Status], None]] = contextvars.ContextVar("listener")


@contextlib.contextmanager
def telling(listener: Callable[[Status], None]) -> Iterator[None]:
    """Show nothing while this lasts: tell the listener instead."""
    token = _listener.set(listener)
    try:
        yield
    finally:
        _listener.reset(token)


class Progress:
    """Progress of a run or a group of runs: steps done, time left, loss, test error, sparsity.

    Example:
      >>> with Progress('adam_seed0', total=6000, place='1/4') as progress:  # doctest: +SKIP
      ...     progress.at(50, loss=2.1)
    """

    def __init__(self, name: str, *, total: int, start: int = 0, place: str = "") -> None:
        self._label = f"[{place}] {name}" if place else name
        self._of = place, name
        self._total, self._start = total, start
        self._began = self._shown = time.monotonic()
        self._latest: dict[str, str] = {}
        self._step = start
        self._bar = None
        self._beats = Heartbeat(self._repeat)
        self._tell = _listener.get(None)
        if self._tell is not None:
            self._tell(Status(*self._of, start, total, {}))
        elif sys.stdout.isatty():
            self._bar = tqdm(
                total=total,
                initial=start,
                desc=self._label,
                unit="step",
                file=sys.stdout,
                dynamic_ncols=True,
            )
        else:
            print(f"{self._label}: {total:,} steps" + (f" from {start:,}" if start else ""))

    def __enter__(self) -> Progress:
        if self._tell is None:
            self._beats.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None
    ) -> None:
        if self._tell is None:
            self._beats.__exit__()
        if self._bar is not None:
            self._bar.close()

    def at(self, step: int, *, loss: float) -> None:
        """Show that `step` steps are done and what the training loss is."""
        self._latest["loss"] = f"{loss:.3f}"
        self._show(step)

    def evaluated(self, *evaluations: Evaluation) -> None:
        """Show an evaluation of each run; mean test error and sparsity stay until the next."""
        if not evaluations:
            return  # another process evaluates
        step = evaluations[0].step
        error = statistics.fmean(each.test_error for each in evaluations)
        sparsity = statistics.fmean(each.sparsity_gamma for each in evaluations)
        self._latest["test error"] = f"{error:.1f} %"
        self._latest["sparsity"] = f"{sparsity:.1f} %"
        self._show(step, final=step == self._total)

    def _repeat(self) -> None:
        """Show that time passes while steps are compiled or the test images are seen."""
        if self._bar is not None:
            self._bar.refresh()
        else:
            self._show(self._step)

    def _show(self, step: int, *, final: bool = False) -> None:
        self._step = step
        if self._tell is not None:
            self._tell(Status(*self._of, step, self._total, dict(self._latest)))
            return
        if self._bar is not None:
            self._bar.set_postfix(self._latest, refresh=False)
            self._bar.update(step - self._bar.n)
            return
        now = time.monotonic()
        if now - self._shown < LINE_EVERY and not final:
            return
        self._shown = now
        said = [f"{name} {value}" for name, value in self._latest.items()]
        begun = f"{self._left(step, now)} left" if said else f"compiling, {now - self._began:.0f} s"
        print(", ".join([f"{self._label}: {step:,}/{self._total:,}", *said, begun]), flush=True)

    def _left(self, step: int, now: float) -> str:
        return time_left(step - self._start, self._total - step, seconds=now - self._began)


class Stage:
    """Part of the work without steps to count, while it lasts.

    Attributes:
      note: how far it is, where that is known.
    """

    def __init__(self, doing: str, *, quiet: bool = False) -> None:
        self._doing, self._quiet, self.note = doing, quiet, ""
        self._silent = False
        self._began = time.monotonic()
        if sys.stdout.isatty() and not quiet:
            print(f"{doing} …", end="\r", flush=True)

    @property
    def seconds(self) -> float:
        """Time that it has taken so far."""
        return time.monotonic() - self._began

    def beat(self) -> None:
        """Print how long it has taken, as long as it lasts."""
        if self._silent:
            return
        note = f", {self.note}" if self.note else ""
        tqdm.write(f"{self._doing}{note}, {self.seconds:.0f} s so far")  # above a bar, if any
        sys.stdout.flush()

    @contextlib.contextmanager
    def silent(self) -> Iterator[None]:
        """Leave the lines to a part that shows its own progress."""
        self._silent = True
        try:
            yield
        finally:
            self._silent = False

    def end(self) -> None:
        """Print how long it took."""
        if not self._quiet or self.seconds >= LINE_EVERY:
            print(f"{self._doing}: {self.seconds:.1f} s", flush=True)


@contextlib.contextmanager
def stage(doing: str, *, quiet: bool = False) -> Iterator[Stage]:
    """Say how long a part of the work takes: a line at its end, one every few seconds until then.

    Args:
      doing: what, as a line begins with it.
      quiet: say nothing of what takes less than `LINE_EVERY` seconds.

    Example:
      >>> with stage("drawing"):  # doctest: +SKIP
      ...     build(workdir)
      drawing: 7.5 s
    """
    shown = Stage(doing, quiet=quiet)
    with Heartbeat(shown.beat):
        yield shown
    shown.end()


def time_left(done: int, left: int, *, seconds: float) -> str:
    """Time that the steps left will take, as it reads, when so many took these seconds.

    Example:
      >>> time_left(10, 30, seconds=20.0), time_left(0, 30, seconds=0.0)
      ('01:00', '?')
    """
    return tqdm.format_interval(seconds / done * left) if done > 0 else "?"
