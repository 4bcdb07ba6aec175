"""Progress of training: a bar on a terminal, plain lines elsewhere."""

from __future__ import annotations

import math
import statistics
import sys
import time
from types import TracebackType

from tqdm import tqdm

from sparsity_jax.storage.history import Evaluation

LINE_EVERY = 5.0  # seconds between plain lines


class Progress:
    """Progress of a run or a group of runs: steps done, time left, loss, test error, sparsity.

    Example:
      >>> with Progress('adam_seed0', total=6000, place='1/4') as progress:  # doctest: +SKIP
      ...     progress.at(50, loss=2.1)
    """

    def __init__(self, name: str, *, total: int, start: int = 0, place: str = "") -> None:
        self._label = f"[{place}] {name}" if place else name
        self._total, self._start = total, start
        self._began = self._shown = time.monotonic()
        self._latest: dict[str, str] = {}
        self._bar = None
        if sys.stdout.isatty():
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
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None
    ) -> None:
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

    def _show(self, step: int, *, final: bool = False) -> None:
        if self._bar is not None:
            self._bar.set_postfix(self._latest, refresh=False)
            self._bar.update(step - self._bar.n)
            return
        now = time.monotonic()
        if now - self._shown < LINE_EVERY and not final:
            return
        self._shown = now
        said = ", ".join(f"{name} {value}" for name, value in self._latest.items())
        print(
            f"{self._label}: {step:,}/{self._total:,}, {said}, {self._left(step, now)} left",
            flush=True,
        )

    def _left(self, step: int, now: float) -> str:
        done = step - self._start
        seconds = (now - self._began) / done * (self._total - step) if done else math.inf
        return "?" if math.isinf(seconds) else tqdm.format_interval(seconds)
