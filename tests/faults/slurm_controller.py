"""A SLURM of one node without accounting, and a grid that it stops at its time limit.

    python tests/faults/slurm_controller.py

Needs slurmctld, slurmd and munged (Debian: `apt-get install slurm-wlm munge`). It trains the tiny
grid once in one process and once as an array of two tasks by `sparsity_jax.launch slurm`, with a
limit so short that SLURM stops each task, which then queues itself again, and compares all results.
"""

import argparse
import contextlib
import getpass
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "scontrol")
SHARES = 2
LIMIT = "3:00"  # the signal comes two minutes before it, or up to half a minute earlier still
EPOCHS = 30_000.0  # of three steps: about a minute a run on quiet cores, longer than a first stint
_SYSTEM_PATH = "/usr/sbin:/sbin"
_START_SECONDS = 30.0
_FINAL = {"COMPLETED", "FAILED", "CANCELLED", "TIMEOUT", "NODE_FAIL", "OUT_OF_MEMORY"}
_CONFIG = """\
ClusterName=trial
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={control_port}
SlurmdPort={node_port}
SlurmUser={user}
SlurmdUser={user}
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
ProctrackType=proctrack/pgid
TaskPlugin=task/none
MpiDefault=none
MailProg=/bin/true
ReturnToService=2
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
SlurmdParameters=config_overrides
AccountingStorageType=accounting_storage/none
JobAcctGatherType=jobacct_gather/none
NodeName={host} NodeAddr=127.0.0.1 CPUs={cpus} State=UNKNOWN
PartitionName=trial Nodes=ALL Default=YES MaxTime=INFINITE State=UP
"""


def missing() -> list[str]:
    """The programs of SLURM that this machine lacks."""
    return [name for name in PROGRAMS if shutil.which(name, path=_path()) is None]


@dataclass(frozen=True)
class Cluster:
    """A running SLURM.

    Args:
        folder: holds its configuration, state and logs.
        environment: with which its commands find it.
    """

    folder: Path
    environment: dict[str, str]

    def ask(self, *command: str, text: str = "") -> str:
        """Run one of SLURM's commands and return what it prints."""
        ran = subprocess.run(
            command,
            input=text,
            env=self.environment,
            cwd=self.folder,
            capture_output=True,
            text=True,
            check=False,
        )
        if ran.returncode:
            raise RuntimeError(f"{' '.join(command)}: {ran.stderr.strip()}")
        return ran.stdout

    def submit(self, script: str) -> str:
        """Queue a script; returns the number of its job."""
        return self.ask("sbatch", "--parsable", text=script).strip()

    def tasks(self, job: str) -> list[dict[str, str]]:
        """The fields of every task of a job array, such as JobState, Restarts and ExitCode."""
        lines = self.ask("scontrol", "--oneliner", "show", "job", job).splitlines()
        pairs = [[word.partition("=") for word in line.split()] for line in lines if line]
        return [{name: value for name, _, value in words} for words in pairs]

    def finish(self, job: str, seconds: float) -> list[dict[str, str]]:
        """Wait until no task of a job waits or runs; their fields then."""
        deadline = time.monotonic() + seconds
        while True:
            tasks = self.tasks(job)
            if {task["JobState"] for task in tasks} <= _FINAL:
                return tasks
            if time.monotonic() > deadline:
                raise TimeoutError(f"after {seconds:.0f} s: {tasks}")
            time.sleep(0.5)


@contextlib.contextmanager
def cluster(folder: Path) -> Iterator[Cluster]:
    """A SLURM of this machine alone, with all its files in an empty folder; ended on the way out.

    Raises:
        TimeoutError: it did not come up; the message ends with its logs.
    """
    environment = {**os.environ, "PATH": _path(), "SLURM_CONF": str(folder / "slurm.conf")}
    _write_config(folder)
    socket_ = folder / "munge.socket"
    munge = ["munged", "--foreground", "--force", f"--socket={socket_}"]
    munge += [f"--{name}-file={folder}/munge.{name}" for name in ("key", "pid", "log", "seed")]
    with contextlib.ExitStack() as daemons:

        def start(*command: str) -> None:
            log = daemons.enter_context((folder / f"{command[0]}.out").open("wb"))
            process = subprocess.Popen(command, env=environment, stdout=log, stderr=log)
            daemons.callback(_end, process)

        start(*munge)
        _wait_for(socket_.exists, folder)
        start("slurmctld", "-D")
        start("slurmd", "-D", "-N", _host())
        up = Cluster(folder, environment)
        _wait_for(lambda: _is_idle(up), folder)
        yield up


def _write_config(folder: Path) -> None:
    folder.chmod(0o755)
    for name in ("state", "spool"):
        (folder / name).mkdir()
    key = folder / "munge.key"
    key.write_bytes(os.urandom(128))
    key.chmod(0o600)
    ports = [_free_port(), _free_port()]
    (folder / "slurm.conf").write_text(
        _CONFIG.format(
            host=_host(),
            user=getpass.getuser(),
            folder=folder,
            cpus=max(SHARES, os.cpu_count() or 1),
            control_port=ports[0],
            node_port=ports[1],
        )
    )
    (folder / "cgroup.conf").write_text("CgroupAutomount=no\n")


def _is_idle(up: Cluster) -> bool:
    try:
        return up.ask("sinfo", "--noheader", "--format=%t").strip() == "idle"
    except RuntimeError:  # the controller does not answer yet
        return False


def _wait_for(ready, folder: Path) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while not ready():
        if time.monotonic() > deadline:
            logs = [path.read_text(errors="replace")[-500:] for path in folder.glob("*.out")]
            raise TimeoutError("SLURM did not come up: " + " | ".join(logs))
        time.sleep(0.1)


def _end(process: subprocess.Popen) -> None:
    process.terminate()
    try:
        process.wait(10)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _path() -> str:
    return f"{os.environ.get('PATH', '')}{os.pathsep}{_SYSTEM_PATH}"


def _host() -> str:
    return socket.gethostname().partition(".")[0]


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def trial(folder: Path, epochs: float) -> tuple[list[int], list[str]]:
    """The grid by one process and by SLURM.

    Args:
        folder: an empty one.
        epochs: of a run.

    Returns:
        How often each task was stopped and queued again, and the results that differ.
    """
    import tiny

    root = Path(__file__).parents[2]
    paths = filter(None, [str(root), os.environ.get("PYTHONPATH")])
    os.environ["PYTHONPATH"] = os.pathsep.join(paths)
    os.environ["SPARSITY_JAX_DATA"] = str(folder / "data")
    flags = [f"--config={tiny.__file__}", f"--config.epochs={epochs}"]
    train = [sys.executable, "-m", "sparsity_jax.main", *flags, f"--workdir={folder / 'whole'}"]
    subprocess.run(train, check=True, stdout=subprocess.DEVNULL)
    launch = [sys.executable, "-m", "sparsity_jax.launch", "slurm", f"--shares={SHARES}"]
    launch += [f"--time={LIMIT}", "--cpus=1", "--", *flags, f"--workdir={folder / 'parts'}"]
    script = subprocess.run(launch, check=True, capture_output=True, text=True).stdout
    (folder / "slurm").mkdir()
    with cluster(folder / "slurm") as slurm:
        tasks = slurm.finish(slurm.submit(script), seconds=3600.0)
    assert {(task["JobState"], task["ExitCode"]) for task in tasks} == {("COMPLETED", "0:0")}, tasks
    differing = tiny.differing(folder / "parts", tiny.results(folder / "whole"))
    return [int(task["Restarts"]) for task in tasks], differing


def main() -> int:
    """Run the trial; exit code 0 when it was met."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--epochs", type=float, default=EPOCHS, help=f"of a run ({EPOCHS:g})")
    epochs = parser.parse_args().epochs
    if lacking := missing():
        print(f"not tried: {', '.join(lacking)} not installed (apt-get install slurm-wlm munge)")
        return 2
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        restarts, differing = trial(Path(folder), epochs)
    print(f"tasks queued again at their time limit: {restarts} times")
    print(f"results that differ from those of one process: {differing or 'none'}")
    print(f"{time.monotonic() - began:.0f} s")
    return 0 if min(restarts) > 0 and not differing else 1


if __name__ == "__main__":
    sys.exit(main())
