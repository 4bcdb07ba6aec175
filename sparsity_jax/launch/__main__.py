"""Train a grid in shares: python -m sparsity_jax.launch BACKEND --shares=N ... -- FLAGS OF MAIN."""

from __future__ import annotations

import argparse
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

from sparsity_jax.distributed import preemption
from sparsity_jax.errors import UserError, user_path
from sparsity_jax.launch import child, jobset, local, ray_cluster, retrying, slurm

_EXAMPLES = """\
What follows -- goes to python -m sparsity_jax.main; --workdir there must be one that all shares
reach. The same line again goes on where it stopped; the share that ends last writes the report.

examples:
  python -m sparsity_jax.launch local --shares=4 --at-once=2 -- \\
      --config=configs/table1.py:renderings --workdir=runs/table1 --config.scale=0.1
  python -m sparsity_jax.launch ray --shares=8 --address=auto --gpus-per-share=1 -- \\
      --config=configs/table1.py --workdir=/shared/table1
  python -m sparsity_jax.launch slurm --shares=8 --time=4:00:00 --gpus=1 --cpus=8 --mem=32G -- \\
      --config=configs/table1.py --workdir=/shared/table1 | sbatch
  python -m sparsity_jax.launch jobset --shares=8 --image=IMAGE --claim=CLAIM -- \\
      --config=configs/table1.py --workdir=/shared/table1 | kubectl apply -f -
"""
_MAIN = "sparsity_jax.main"
_REFUSED = {  # flags of main that do not go with shares
    "share": "the launcher gives it",
    "overwrite": "every retry would start anew; remove the workdir",
    "coordinator": "shares do not know of each other",
    "process": "shares do not know of each other",
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line.

    Returns:
        0 when every share ended well or a file was printed; else the first bad exit code; 2 for
        wrong input; 130 or 143 when stopped.
    """
    words = list(sys.argv[1:] if arguments is None else arguments)
    cut = words.index("--") if "--" in words else len(words)
    options = _parser().parse_args(words[:cut])
    try:
        return _launch(options, words[cut + 1 :])
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except OSError as error:  # the disk, not the code
        print(f"error: {error.filename or 'a file'}: {error.strerror or error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt as error:
        print("interrupted; the same command again goes on", file=sys.stderr)
        return preemption.exit_code(error)


def _launch(options: argparse.Namespace, flags: Sequence[str]) -> int:
    workdir = _workdir(flags)
    python = "python" if options.backend == "jobset" else sys.executable
    command = [python, "-m", _MAIN, *flags]
    if options.backend in ("slurm", "jobset"):
        print(_emit(options, command, workdir), end="")
        return 0
    logs = user_path(workdir) / "logs"
    codes = _backend(options, logs).submit(command, options.shares, options.retries)
    return _verdict(codes, logs, command)


def _backend(options: argparse.Namespace, logs: Path) -> retrying.Backend:
    if options.backend == "local":
        return local.Local(logs, options.at_once or local.usual_at_once())
    return ray_cluster.RayCluster(
        logs, options.address, cpus=options.cpus_per_share, gpus=options.gpus_per_share
    )


def _emit(options: argparse.Namespace, command: Sequence[str], workdir: Path) -> str:
    name = options.name or workdir.name.lower().replace("_", "-").replace(".", "-")
    if options.backend == "slurm":
        wants = ("time", "partition", "gpus", "cpus", "mem")
        ask = slurm.Resources(name, **{want: getattr(options, want) for want in wants})
        return slurm.script(command, options.shares, options.retries, ask)
    if not workdir.is_absolute():
        raise UserError(f"--workdir={workdir} is not absolute; give one where the claim is mounted")
    mount = options.mount or str(workdir.parent)
    if not workdir.is_relative_to(mount) or mount == "/":
        raise UserError(f"--workdir={workdir} is not below --mount={mount}, where the claim is")
    wants = ("image", "claim", "accelerator", "topology", "tpus")
    ask = jobset.Resources(name, mount=mount, **{want: getattr(options, want) for want in wants})
    return jobset.manifest(command, options.shares, options.retries, ask)


def _verdict(codes: Sequence[int], logs: Path, command: Sequence[str]) -> int:
    bad = [(share, code) for share, code in enumerate(codes) if code != 0]
    if not bad:
        return 0
    share, code = bad[0]
    log = child.log_path(logs, share, len(codes))
    told = f"error: share {share} of {len(codes)} {retrying.meaning(code)}; {log} ends: "
    print(told + (child.last_line(log) or "(empty)"), file=sys.stderr)
    if code != retrying.WRONG_INPUT:
        each = shlex.join(child.share_command(command, share, len(codes)))
        print(f"to go on, the same command again, or by hand: {each}", file=sys.stderr)
    return code if code > 0 else 128 - code


def _workdir(flags: Sequence[str]) -> Path:
    """The --workdir among the flags of main, which must be there; refuses what shares cannot do."""
    if not flags:
        raise UserError("nothing to train; after -- give the flags of main, such as --config=...")
    found = None
    for flag, following in zip(flags, [*flags[1:], ""], strict=True):
        name, given, value = flag.lstrip("-").partition("=")
        if flag.startswith("-") and name == "workdir":
            found = value if given else following
        if flag.startswith("-") and name in _REFUSED:
            raise UserError(f"--{name} is not valid after --: {_REFUSED[name]}")
    if not found:
        raise UserError("--workdir is missing after --: the shares meet there")
    return Path(found)


def _positive(text: str) -> int:
    if not (text.isascii() and text.isdigit() and int(text) > 0):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number from 1")
    return int(text)


def _count(text: str) -> int:
    return 0 if text == "0" else _positive(text)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m sparsity_jax.launch",
        usage="%(prog)s BACKEND --shares=N [--retries=2] [options] -- FLAGS OF sparsity_jax.main",
        description="Train a grid with many processes, each one share of its groups.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    backends = parser.add_subparsers(dest="backend", metavar="BACKEND", required=True)
    for name, help_, options in (
        ("local", "processes on this machine", _local_options),
        ("ray", "tasks on a Ray cluster (pip install 'sparsity_jax[ray]')", _ray_options),
        ("slurm", "print an sbatch script: a job array", _slurm_options),
        ("jobset", "print a JobSet for Google Kubernetes Engine with TPUs", _jobset_options),
    ):
        usage = f"python -m sparsity_jax.launch {name} --shares=N [options] -- FLAGS OF MAIN"
        backend = backends.add_parser(name, help=help_, description=help_, usage=usage)
        backend.add_argument("--shares", type=_positive, required=True, help="how many parts")
        backend.add_argument("--retries", type=_count, default=2, help="per share (default 2)")
        options(backend)
    return parser


def _local_options(parser: argparse.ArgumentParser) -> None:
    help_ = "shares at the same time (default: one per four cores; 1 where an accelerator is)"
    parser.add_argument("--at-once", "--at_once", type=_positive, help=help_)


def _ray_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--address", help="of the cluster, or auto (default: Ray on this machine)")
    parser.add_argument(
        "--cpus-per-share", "--cpus_per_share", type=float, default=1.0, help="default 1"
    )
    parser.add_argument(
        "--gpus-per-share",
        "--gpus_per_share",
        type=float,
        default=0.0,
        help="default 0: it sees none",
    )


def _slurm_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--name", help="of the job (default: the workdir's)")
    parser.add_argument("--time", help="limit, such as 4:00:00; then the share is queued again")
    parser.add_argument("--partition", help="where to queue")
    parser.add_argument("--gpus", type=_positive, help="per share")
    parser.add_argument("--cpus", type=_positive, help="per share")
    parser.add_argument("--mem", help="per share, such as 32G")


def _jobset_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--name", help="of the JobSet (default: the workdir's)")
    parser.add_argument("--image", required=True, help="with sparsity_jax[tpu] and the configs")
    parser.add_argument("--claim", required=True, help="PersistentVolumeClaim for the workdir")
    parser.add_argument("--mount", help="where the claim is mounted (default: above the workdir)")
    parser.add_argument("--accelerator", default=jobset.V5E, help=f"default {jobset.V5E}")
    parser.add_argument("--topology", default="2x2", help="of a share's slice (default 2x2)")
    parser.add_argument("--tpus", type=_positive, default=4, help="chips on its host (default 4)")


if __name__ == "__main__":
    sys.exit(main())
