"""How long does the report of 200 runs x 325 epochs take to build, how much memory, and to open?

    python tests/benchmarks/report.py [--runs=200] [--epochs=325] [--rounds=3] [--workdir=DIR]

The workdir is made up: seven optimizers with L2 and weight decay of five strengths, three seeds,
the full BasicNet's 1,856 filters; with --workdir, an existing one is measured and only its report
is written anew. Every build is a process of its own, timed from before the first import of the
report until the page is written. Opening is from navigation to the end of the page's load event,
in headless Chromium; it is left out where Chromium or playwright is missing. Printed are medians,
and the processor's time, which hardly feels what else runs.
"""

from __future__ import annotations

import argparse
import itertools
import json
import shutil
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))
sys.path.insert(0, str(Path(__file__).parents[1] / "helpers"))

import fake_workdir

ROOT = Path(__file__).parents[2]
FILTERS = (64, 128, 128, 256, 256, 512, 512)
OPTIMIZERS = ("adam", "sgd", "amsgrad", "adamax", "rmsprop", "adadelta", "adagrad")
STRENGTHS = (1e-2, 2e-3, 1e-3, 5e-4, 1e-4)
BUILD = """
import json, resource, sys, time
from pathlib import Path
start = time.perf_counter()
from sparsity_jax import report
imported = time.perf_counter() - start
page = report.build(Path(sys.argv[1]))
mine = resource.getrusage(resource.RUSAGE_SELF)
print(json.dumps({
    "seconds": time.perf_counter() - start, "of them to import": imported,
    "processor seconds": mine.ru_utime + mine.ru_stime,
    "MB": mine.ru_maxrss / 1024, "MB page": page.stat().st_size / 1e6,
}))
"""
LOADED = "performance.getEntriesByType('navigation')[0].loadEventEnd / 1000"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=200)
    parser.add_argument("--epochs", type=int, default=325)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--workdir", type=Path, help="measure this one instead")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        workdir = options.workdir or Path(folder)
        if options.workdir is None:
            fake_workdir.write(
                workdir, fakes(options.runs), evaluations=options.epochs, filters=FILTERS
            )
        built = [build(workdir) for _ in range(options.rounds)]
        for name in built[0]:
            print(f"build: {name:18}{statistics.median(each[name] for each in built):8.2f}")
        opened = open_page(workdir / "report.html", options.rounds)
        if opened:
            print(f"open: seconds{statistics.median(opened):14.2f}")


def fakes(count: int) -> tuple[fake_workdir.Fake, ...]:
    """So many runs of different kinds, sparser the stronger their regularizer."""
    kinds = itertools.product(OPTIMIZERS, ("l2", "wd"), enumerate(STRENGTHS), range(3))
    made = [
        fake_workdir.Fake(name, kind, strength, max(0.0, share - 0.15 * rank), seed=seed)
        for name, kind, (rank, strength), seed in kinds
        for share in [0.2 if name == "sgd" else 0.8 if kind == "l2" else 0.6]
    ]
    if count > len(made):
        raise SystemExit(f"--runs={count} is more than {len(made)}")
    return tuple(made[:count])


def build(workdir: Path) -> dict[str, float]:
    """Seconds, megabytes at the peak and the page's size of one build."""
    done = subprocess.run(
        [sys.executable, "-c", BUILD, str(workdir.resolve())],
        cwd=ROOT, check=True, capture_output=True, text=True,
    )  # fmt: skip
    return json.loads(done.stdout.splitlines()[-1])


def open_page(page: Path, rounds: int) -> list[float]:
    """Seconds until Chromium has loaded the page, each time in a new browser; [] without one."""
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        chromium = None
    if chromium is None:
        print("open: not measured, needs chromium and playwright")
        return []
    found = []
    with sync_playwright() as playwright:
        for _ in range(rounds):
            browser = playwright.chromium.launch(
                executable_path=chromium, args=["--no-sandbox", "--disable-gpu"]
            )
            tab = browser.new_page()
            tab.goto(page.resolve().as_uri(), wait_until="load")
            found.append(float(tab.evaluate(LOADED)))
            browser.close()
    return found


if __name__ == "__main__":
    main()
