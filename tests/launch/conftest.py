"""A command that stands for the training of a share, and what it did."""

import sys
from collections import Counter
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

import pytest

# Does each unit of work once, behind a lock, and can be stopped and started again, as a share does.
# A file says how its next starts end early: an exit code, or -9 for being killed.
PROGRAM = """
import fcntl, os, signal, sys, time
from pathlib import Path

folder, units, seconds = Path(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3])
share = sys.argv[-1].removeprefix("--share=").partition("/")[0]


def note(event, unit="-"):
    with open(folder / "journal", "a") as file:
        file.write(f"{event} {share} {unit} {os.getpid()}\\n")


def stop(signum, frame):
    note("stopped")
    print("stopped by", signum)
    sys.exit(128 + signum)


signal.signal(signal.SIGTERM, stop)
signal.signal(signal.SIGINT, stop)
held = open(folder / f"lock-{share}", "a")
try:
    fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
except BlockingIOError:
    note("refused")
    sys.exit(print("error: the workdir is in use by process 1") or 2)
note("start")
endings = folder / f"endings-{share}"
words = endings.read_text().split() if endings.exists() else []
if words:
    endings.write_text(" ".join(words[1:]))
    print("error: this start ends with", words[0], flush=True)
    if words[0] == "-9":
        os.kill(os.getpid(), signal.SIGKILL)
    sys.exit(int(words[0]))
for unit in range(units):
    if not (folder / f"done-{share}-{unit}").exists():
        note("begin", unit)
        time.sleep(seconds)
        (folder / f"done-{share}-{unit}").touch()
        note("end", unit)
print("all done")
"""


@dataclass(frozen=True)
class Work:
    """The command, and what its processes wrote down."""

    folder: Path

    def command(self, *, units: int = 2, seconds: float = 0.0) -> list[str]:
        program = self.folder / "program.py"
        program.write_text(PROGRAM)
        return [sys.executable, str(program), str(self.folder), str(units), str(seconds)]

    def ends_early(self, share: int, *codes: int) -> None:
        (self.folder / f"endings-{share}").write_text(" ".join(map(str, codes)))

    def events(self, kind: str = "") -> list[list[str]]:
        """What happened, in order: [event, share, unit, process]."""
        lines = (self.folder / "journal").read_text().splitlines()
        return [line.split() for line in lines if kind in ("", line.split()[0])]

    def starts(self) -> Counter:
        return Counter(int(share) for _, share, *_ in self.events("start"))

    def assert_each_unit_was_done_once(self, *, shares: int, units: int) -> None:
        ended = Counter((int(share), int(unit)) for _, share, unit, _ in self.events("end"))
        assert ended == {(share, unit): 1 for share in range(shares) for unit in range(units)}

    def assert_no_two_at_once(self) -> None:
        """After a process of a share begins, no other of that share does anything more."""
        done = [line for line in self.events() if line[0] != "refused"]
        for share in {line[1] for line in done}:
            processes = [
                process for process, _ in groupby(line[3] for line in done if line[1] == share)
            ]
            assert len(processes) == len(set(processes)), share


@pytest.fixture
def work(tmp_path: Path) -> Work:
    (tmp_path / "journal").touch()
    return Work(tmp_path)
