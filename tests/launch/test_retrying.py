"""Which shares run again, and how many at once."""

from collections import Counter, deque

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sparsity_jax.launch.retrying import STOPPED, Ended, finish, meaning

CODES = st.sampled_from([0, 1, 2, 3, -9, 130, 143])


class Scripted:
    """A pool whose shares end with the codes that are written down for them."""

    def __init__(self, scripts: list[list[int]], room: int) -> None:
        self.scripts, self.room = [deque(script) for script in scripts], room
        self.running: deque[int] = deque()
        self.starts: Counter[int] = Counter()

    def start(self, share: int) -> str:
        self.running.append(share)
        assert len(self.running) <= self.room
        assert len(set(self.running)) == len(self.running)
        self.starts[share] += 1
        return "somewhere"

    def poll(self) -> Ended:
        share = self.running.popleft()
        return Ended(share, self.scripts[share].popleft(), "its last words")

    def stop(self, signum: int) -> None:
        raise AssertionError(signum)


def last_needed(script: list[int], retries: int, final: tuple[int, ...]) -> int:
    """The number of the start whose code counts."""
    ends = (i for i, code in enumerate(script[: retries + 1]) if code in (0, 2, *final))
    return next(ends, retries)


@given(
    scripts=st.lists(st.lists(CODES, min_size=4, max_size=4), min_size=1, max_size=5),
    retries=st.integers(0, 3),
    room=st.integers(1, 3),
    final=st.sampled_from([(), STOPPED]),
)
def test_what_crashes_is_tried_again_and_nothing_else(scripts, retries, room, final):
    pool = Scripted(scripts, room)
    codes = finish(pool, len(scripts), retries, final=final)
    lasts = [last_needed(script, retries, final) for script in scripts]
    assert codes == [script[last] for script, last in zip(scripts, lasts, strict=True)]
    assert [pool.starts[i] for i in range(len(scripts))] == [last + 1 for last in lasts]


def test_every_event_is_a_line(capsys):
    assert finish(Scripted([[3, 0], [2], [-9, -9]], room=1), 3, 1) == [0, 2, -9]
    lines = capsys.readouterr().out.splitlines()
    for line in (
        "share 0 of 3: started, somewhere",
        "share 0 of 3: crashed with exit code 3; started again soon, try 2 of 2",
        "share 0 of 3: finished",
        "share 1 of 3: wrong input: its last words",
        "share 2 of 3: killed by SIGKILL: its last words",
    ):
        assert line in lines


@pytest.mark.parametrize(
    ("code", "words"),
    [(0, "finished"), (2, "wrong input"), (130, "stopped"), (143, "stopped"), (-11, "SIGSEGV")],
)
def test_codes_in_words(code, words):
    assert words in meaning(code)
