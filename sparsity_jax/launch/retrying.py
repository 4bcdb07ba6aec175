"""Retries: shares that crashed run again a few times, those with wrong input never.

What back ends have in common: a pool starts shares and tells which ended; the rest is here.
"""

from __future__ import annotations

import contextlib
import signal
from collections import Counter, deque
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Protocol

from sparsity_jax.distributed.preemption import Interrupted, noting

WRONG_INPUT = 2
STOPPED = (128 + signal.SIGINT, 128 + signal.SIGTERM)


class Backend(Protocol):
    """Something that runs all shares of a command."""

    def submit(self, command: Sequence[str], shares: int, retries: int) -> list[int]:
        """Run `command --share=I/N` for every I until it ends for good.

        Args:
            command: a program that trains one share; the same again goes on where it stopped.
            shares: how many.
            retries: how often a share that crashes is started again.

        Returns:
            The last exit code of every share; below 0 the signal that killed it.

        Raises:
            Interrupted: this process was asked to stop; no share runs any more.
        """
        ...


@dataclass(frozen=True)
class Ended:
    """A share's process has ended."""

    share: int
    code: int
    said: str  # the last line of its output


class Pool(Protocol):
    """Place where shares run."""

    @property
    def room(self) -> int:
        """Number of shares that run at once."""
        ...

    def start(self, share: int) -> str:
        """Start a share; returns where it runs, or where its output goes."""
        ...

    def poll(self) -> Ended | None:
        """One that has ended, each once; None if none did within a moment."""
        ...

    def stop(self, signum: int) -> None:
        """Hand a signal on to all that run; they keep a checkpoint and end."""
        ...


def finish(pool: Pool, shares: int, retries: int, *, final: Collection[int] = ()) -> list[int]:
    """Run every share in a pool until it ends for good; one line on stdout per event.

    Args:
        pool: where they run.
        shares: how many.
        retries: how often each is started again.
        final: exit codes that are not retried, beside 0 and that of wrong input.

    Returns:
        As `Backend.submit`.

    Raises:
        Interrupted: by SIGINT or SIGTERM, which was handed on to the shares before all had
            finished.
    """
    waiting, tries, running = deque(range(shares)), Counter[int](), 0
    codes: dict[int, int] = {}
    final = {0, WRONG_INPUT, *final}
    with noting() as asked:
        told = 0
        while running or (waiting and not asked):
            while waiting and running < pool.room and not asked:
                share = waiting.popleft()
                tries[share] += 1
                running += 1
                _say(share, shares, f"started, {pool.start(share)}")
            for signum in asked[told:]:
                told += 1
                print(f"{signal.Signals(signum).name}: stopping {running} shares", flush=True)
                pool.stop(signum)
            ended = pool.poll()
            if ended is None:
                continue
            running -= 1
            again = ended.code not in final and tries[ended.share] <= retries and not asked
            _say(ended.share, shares, _event(ended, tries[ended.share], retries, again=again))
            if again:
                waiting.append(ended.share)
            else:
                codes[ended.share] = ended.code
    if asked and (waiting or any(codes.values())):
        raise Interrupted(asked[0])
    return [codes[share] for share in range(shares)]


def meaning(code: int) -> str:
    """An exit code in words.

    Example:
        >>> meaning(-9), meaning(2)
        ('killed by SIGKILL', 'wrong input')
    """
    known = {0: "finished", WRONG_INPUT: "wrong input", **dict.fromkeys(STOPPED, "stopped")}
    if code < 0:
        with contextlib.suppress(ValueError):
            return f"killed by {signal.Signals(-code).name}"
    return known.get(code, f"crashed with exit code {code}")


def _event(ended: Ended, tried: int, retries: int, *, again: bool) -> str:
    text = meaning(ended.code)
    if again:
        return f"{text}; started again soon, try {tried + 1} of {retries + 1}"
    return text if ended.code == 0 else f"{text}: {ended.said or 'it said nothing'}"


def _say(share: int, shares: int, event: str) -> None:
    print(f"share {share} of {shares}: {event}", flush=True)
