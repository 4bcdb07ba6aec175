"""SLURM script that trains the shares as a job array.

Not by submitit: it submits pickled functions by itself, hands out no script to read and to pipe,
watches them through SLURM's accounting, and tries again only after a time limit, not after a crash.
"""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass

from sparsity_jax.launch.retrying import STOPPED, WRONG_INPUT

_SECONDS_TO_STOP = 120  # for the compiled call to end and a checkpoint to be committed


@dataclass(frozen=True)
class Resources:
    """Resources that one share asks of SLURM; None leaves it to the cluster.

    Args:
        name: of the job.
        time: limit in SLURM's notation, such as `4:00:00`; a share that needs longer is requeued.
        partition: where to queue.
        gpus: for each share.
        cpus: for each share.
        mem: for each share, such as `16G`.
    """

    name: str
    time: str | None = None
    partition: str | None = None
    gpus: int | None = None
    cpus: int | None = None
    mem: str | None = None


def script(command: Sequence[str], shares: int, retries: int, ask: Resources) -> str:
    """An sbatch script with one array task per share.

    SIGTERM reaches the command before the time limit; then, and when its node is lost or taken
    away, the task is queued again. After a crash it is tried again on the spot.

    Args:
        command: a program that trains one share; it runs where sbatch is called.
        shares: how many.
        retries: how often a share that crashes is started again.
        ask: what each needs.

    Example:
        >>> print(script(["train"], 4, 2, Resources("table1")).splitlines()[2])
        #SBATCH --array=0-3
    """
    lines = [f"#SBATCH {option}" for option in _options(shares, ask)]
    quoted, final = shlex.join(command), "|".join(map(str, (0, WRONG_INPUT, *STOPPED)))
    return f"""#!/bin/bash
{chr(10).join(lines)}
# The same job again goes on where this one stopped.

asked=  # why the share was asked to stop: at the time limit, or by whoever cancels the job
trap 'noticed=1; asked=limit; kill -TERM "$share"' USR1
trap 'noticed=1; asked=${{asked:-cancelled}}; kill -TERM "$share"' TERM

code=143
for (( try = 0; try <= {retries}; try++ )); do
  [[ -n $asked ]] && break
  {quoted} --share="$SLURM_ARRAY_TASK_ID/{shares}" &
  share=$!
  [[ -n $asked ]] && kill -TERM "$share"  # the signal came before it had a name
  code=
  while true; do
    noticed=
    wait "$share" 2>/dev/null; ended=$?
    [[ -n $code && $ended == 127 ]] && break  # it had been waited for; a signal came just then
    code=$ended
    [[ -z $noticed ]] && break  # else a signal ended the wait, perhaps not the share
  done
  case $code in {final}) break ;; esac
done

if [[ $asked == limit && $code != 0 ]]; then
  scontrol requeue "${{SLURM_ARRAY_JOB_ID}}_$SLURM_ARRAY_TASK_ID"
fi
exit "$code"
"""


def _options(shares: int, ask: Resources) -> list[str]:
    given = {
        "job-name": ask.name,
        "array": f"0-{shares - 1}",
        "ntasks": 1,
        "time": ask.time,
        "partition": ask.partition,
        "gpus": ask.gpus,
        "cpus-per-task": ask.cpus,
        "mem": ask.mem,
        "signal": f"B:USR1@{_SECONDS_TO_STOP}",
        "open-mode": "append",
    }
    options = [f"--{name}={value}" for name, value in given.items() if value is not None]
    return [*options, "--requeue"]
