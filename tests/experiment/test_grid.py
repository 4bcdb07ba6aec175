"""A grid in several processes: the results of one, and one fate when something happens."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from sparsity_jax.storage.lock import is_held

ROOT = Path(__file__).parents[2]
GRID = f"--config={ROOT / 'tests' / 'helpers' / 'small_grid.py'}"
LONG = ("--config.epochs=200000", "--config.drops=()", "--config.checkpoint_seconds=0")
PATIENCE_SECONDS = 600.0  # on a machine that does much else beside

linux = pytest.mark.skipif(sys.platform != "linux", reason="finds children in Linux's /proc")


def results(workdir: Path) -> dict[str, object]:
    """All that must not depend on the number of processes, checkpoints' leaves included."""
    found: dict[str, object] = {"history": (workdir / "history.jsonl").read_bytes()}
    for path in sorted(workdir.glob("runs/*/*.npz")) + sorted(workdir.glob("runs/*/pruned/*")):
        found[str(path.relative_to(workdir))] = path.read_bytes()
    for folder in workdir.glob("runs/*/checkpoints"):  # older ones are kept by the clock
        last = max((path for path in folder.iterdir() if path.name.isdigit()), key=step_of)
        content = json.loads((last / "metadata" / "metadata").read_text())
        found[folder.parent.name] = last.name, content["leaves"]
    return found


def step_of(checkpoint: Path) -> int:
    return int(checkpoint.name)


def test_results_do_not_depend_on_the_number_of_processes(main, rows, capfd):
    for count in (1, 3):
        assert main(f"--workdir=by{count}", "--config.seeds=3", f"--processes={count}") == 0
        said = capfd.readouterr().out
        assert ("3 runs, " in said) == (count > 1)
    assert rows("by3") == rows("by1")
    assert results(Path("by3")) == results(Path("by1"))
    assert not list(Path("by3").glob("history.*-of-*"))
    assert len(results(Path("by1"))) > 3 * 4


@pytest.mark.parametrize("number", ["0", "-1", "1000", "two", "1.5", ""])
def test_a_number_of_processes_that_cannot_be_is_one_line(main, capsys, number):
    assert main(f"--processes={number}") == 2
    said = capsys.readouterr().err
    assert said.startswith(f"error: --processes={number} is not a number from 1 to ")
    assert said.count("\n") == 1
    assert not Path("runs").exists()


def test_a_divided_batch_stays_in_one_process_and_says_why(main, capsys):
    few = ("--config.epochs=2", "--config.drops=()")
    assert main("--processes=2", "--config.split=batch", *few) == 0
    assert "in one process, not 2: split=batch" in capsys.readouterr().out


class Started:
    """The command in a process of its own, with two workers."""

    def __init__(self, folder: Path, *flags: str) -> None:
        self.workdir, self.log = folder / "grid", folder / "log"
        paths = filter(None, [str(ROOT), os.environ.get("PYTHONPATH")])
        with self.log.open("w") as log:
            self.process = subprocess.Popen(
                [
                    *(sys.executable, "-m", "sparsity_jax.main", GRID, "--processes=2"),
                    *(f"--workdir={self.workdir}", *flags),
                ],
                stdout=subprocess.PIPE,
                stderr=log,
                env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)},
            )

    def workers(self) -> list[int]:
        pid = self.process.pid
        return [int(p) for p in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]

    def saved(self) -> dict[str, int]:
        """Run -> its newest checkpoint."""
        found = [p for p in self.workdir.glob("runs/*/checkpoints/*") if p.name.isdigit()]
        return {
            p.parts[-3]: max(int(q.name) for q in found if q.parts[-3] == p.parts[-3])
            for p in found
        }

    def until_both_train(self) -> None:
        until(lambda: len(self.saved()) == 2)

    def end(self) -> tuple[int, str]:
        """Exit code and what was said on both streams."""
        out, _ = self.process.communicate(timeout=PATIENCE_SECONDS)
        return self.process.returncode, out.decode() + self.log.read_text()


@pytest.fixture
def start(tmp_path) -> Iterator[Callable[..., Started]]:
    started: list[Started] = []

    def begin(*flags: str) -> Started:
        started.append(Started(tmp_path, *flags))
        return started[-1]

    yield begin
    for each in started:
        each.process.kill()
        each.process.wait()
        if each.process.stdout:
            each.process.stdout.close()


def until(true: Callable[[], bool]) -> None:
    """Wait for something that other processes do."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not true():
        assert time.monotonic() < deadline, "it never happened"
        time.sleep(0.05)


@linux
def test_ctrl_c_stops_all_with_checkpoints_and_a_second_one_at_once(start):
    grid = start(*LONG)
    grid.until_both_train()
    before = grid.saved()
    grid.process.send_signal(signal.SIGINT)
    code, said = grid.end()
    assert code == 130
    assert said.count("SIGINT: keeping a checkpoint") == 1
    assert "to go on: python -m sparsity_jax.main" in said
    assert not is_held(grid.workdir)
    stopped = grid.saved()
    assert all(stopped[run] >= step for run, step in before.items())

    grid = start(*LONG)
    until(lambda: all(grid.saved()[run] > step for run, step in stopped.items()))
    for worker in grid.workers():
        os.kill(worker, signal.SIGSTOP)  # one that does not get to its checkpoint
    grid.process.send_signal(signal.SIGINT)
    time.sleep(0.5)
    assert grid.process.poll() is None
    grid.process.send_signal(signal.SIGINT)
    assert grid.end()[0] == -signal.SIGINT
    until(lambda: not is_held(grid.workdir))


@linux
def test_workers_keep_checkpoints_and_end_when_their_parent_is_killed(start):
    grid = start(*LONG)
    grid.until_both_train()
    workers, before = grid.workers(), grid.saved()
    for worker in workers:
        os.kill(worker, signal.SIGSTOP)
    grid.process.kill()
    grid.process.wait()
    assert is_held(grid.workdir)  # as long as a worker lives nobody else writes
    for worker in workers:
        os.kill(worker, signal.SIGCONT)
    until(lambda: not is_held(grid.workdir))  # all have ended
    assert all(grid.saved()[run] >= step for run, step in before.items())


@linux
def test_a_killed_worker_is_told_and_the_same_command_finishes(start):
    short = ("--config.epochs=1000", "--config.drops=()", "--config.checkpoint_seconds=0")
    grid = start(*short)
    grid.until_both_train()
    os.kill(grid.workers()[0], signal.SIGKILL)
    code, said = grid.end()
    assert code == 1
    assert said.count("was killed by SIGKILL; the others go on") == 1
    assert "1 of 2 runs are not finished" in said
    assert len(list(grid.workdir.glob("runs/*/finished.json"))) == 1
    again = start(*short)
    assert again.end()[0] == 0
    assert len(list(grid.workdir.glob("runs/*/finished.json"))) == 2


@linux
def test_workers_stop_when_nobody_reads_what_is_printed(start):
    grid = start(*LONG)
    grid.until_both_train()
    assert grid.process.stdout is not None
    grid.process.stdout.close()
    assert grid.process.wait(PATIENCE_SECONDS) != 0
    assert not is_held(grid.workdir)
    assert "Broken pipe" in grid.log.read_text()
