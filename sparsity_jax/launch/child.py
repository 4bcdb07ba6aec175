"""Process of one share, which ends when its parent dies.

The kernel ends it: run as a program, this file asks for that signal and then becomes the command.
Asking in the parent, between fork and exec, is unsafe where the parent has threads. The file is run
by its path, before anything is installed in `sys.path`, so it imports nothing of this package.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

_SET_PARENT_DEATH_SIGNAL = 1  # PR_SET_PDEATHSIG of Linux
_TAIL_BYTES = 4096
_THIS_FILE = str(Path(__file__).absolute())


def share_command(command: Sequence[str], share: int, shares: int) -> list[str]:
    """The command of one share.

    Example:
        >>> share_command(["train"], 0, 4)
        ['train', '--share=0/4']
    """
    return [*command, f"--share={share}/{shares}"]


def log_path(folder: Path, share: int, shares: int) -> Path:
    """Path of a share's output."""
    return folder / f"share-{share}-of-{shares}.log"


def start(
    command: Sequence[str],
    log: Path,
    *,
    when_orphaned: signal.Signals,
    folder: str | None = None,
) -> subprocess.Popen[bytes]:
    """Start a command that does not outlive the calling thread; its output is added to a log.

    It leads a process group of its own, so that Ctrl-C reaches only whoever hands it on.

    Args:
        command: the program and its arguments.
        log: a file; its folder is made when missing.
        when_orphaned: the signal that the command gets when this thread dies. Linux only: elsewhere
            it goes on alone.
        folder: its working directory, if not this process's.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    tied = [sys.executable, "-I", _THIS_FILE, str(int(when_orphaned)), str(os.getpid()), *command]
    with log.open("ab") as file:
        file.write(f"--- {time.strftime('%F %T')}  {shlex.join(command)}\n".encode())
        file.flush()
        return subprocess.Popen(
            tied,
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=subprocess.STDOUT,
            cwd=folder,
            env={**os.environ, "PYTHONUNBUFFERED": "1"},
            start_new_session=True,
        )


def last_line(log: Path) -> str:
    """Last line that a command wrote; empty if it wrote none since it began."""
    try:
        with log.open("rb") as file:
            file.seek(max(0, log.stat().st_size - _TAIL_BYTES))
            tail = file.read().decode(errors="replace")
    except OSError:
        return ""
    said = [line.strip() for line in tail.splitlines() if line.strip()]
    return said[-1] if said and not said[-1].startswith("--- ") else ""


def _become(signum: int, parent: int, command: list[str]) -> None:
    """Ask to be sent `signum` when the parent dies, then become the command."""
    with contextlib.suppress(AttributeError, OSError):  # not Linux
        ctypes.CDLL(None, use_errno=True).prctl(_SET_PARENT_DEATH_SIGNAL, signum)
    if os.getppid() != parent:  # it died before we asked
        sys.exit(128 + signum)
    os.execvp(command[0], command)


if __name__ == "__main__":
    _become(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3:])
