"""Does a long run need more and more memory?

Resident memory of one long run is looked at every second, with an evaluation every few seconds and
a checkpoint every five; the last fifth of the time is compared with the second fifth (the first
one fills caches).
"""

import statistics
import time
from pathlib import Path

import lives

LONG = ("--config.epochs=1000000", "--config.drops=()", "--config.evaluations=6000")
ALLOWED = 0.02  # growth between the two fifths


def run_trial(seconds: float, *, folder: Path) -> dict[str, float]:
    """Watch a run for so many seconds.

    Returns:
      'seconds', 'first' and 'last' (MB, medians of the second and the last fifth), 'growth'.
    """
    folder.mkdir(parents=True, exist_ok=True)

    child = lives.start(folder / "soak", *LONG, checkpoint_seconds=5.0)
    sizes: list[float] = []
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        time.sleep(1.0)
        assert child.poll() is None, lives.log_of(folder / "soak").read_text()
        sizes.append(_resident_mb(child.pid))
    child.kill()
    child.wait()
    fifth = len(sizes) // 5
    first, last = (statistics.median(part) for part in (sizes[fifth : 2 * fifth], sizes[-fifth:]))
    return {"seconds": seconds, "first": first, "last": last, "growth": last / first - 1}


def _resident_mb(pid: int) -> float:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS")) / 1024
