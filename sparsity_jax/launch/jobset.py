"""JobSet manifest for Google Kubernetes Engine, each share on a TPU slice of one host."""

from __future__ import annotations

import dataclasses
import json
import math
import re
import shlex
import string
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from sparsity_jax.errors import UserError
from sparsity_jax.launch.retrying import WRONG_INPUT

V5E = "tpu-v5-lite-podslice"
_TEMPLATE = Path(__file__).with_name("jobset.yaml")


@dataclass(frozen=True)
class Resources:
    """Resources that one share asks of the cluster.

    Args:
        name: of the JobSet.
        image: a container with this package, `[tpu]` and the configs.
        claim: a PersistentVolumeClaim that many nodes may write to, such as one on Filestore.
        mount: where the claim is mounted; the workdir lies below it.
        accelerator: the kind of TPU, as GKE labels its nodes.
        topology: of the slice.
        tpus: chips of the slice's one host.
    """

    name: str
    image: str
    claim: str
    mount: str
    accelerator: str = V5E
    topology: str = "2x2"
    tpus: int = 4


def manifest(command: Sequence[str], shares: int, retries: int, ask: Resources) -> str:
    """A JobSet of one indexed Job with one pod per share, for `kubectl apply -f -`.

    A pod that crashes is replaced up to `retries` times, one whose node is taken away always, one
    that ends with the exit code of wrong input never. The other shares go on in each case.

    Args:
        command: a program in the image that trains one share.
        shares: how many.
        retries: how often a share that crashes is started again.
        ask: what each needs.

    Raises:
        UserError: a name that Kubernetes refuses, or a slice of more than one host.

    Example:
        >>> print(manifest(["train"], 4, 2, Resources("t", "img", "c", "/data")).splitlines()[0])
        apiVersion: jobset.x-k8s.io/v1alpha2
    """
    _check(ask)
    line = f'exec {shlex.join(command)} --share="$JOB_COMPLETION_INDEX/{shares}"'
    given = {**dataclasses.asdict(ask), "line": line, "shares": shares, "retries": retries}
    given["wrong_input"] = WRONG_INPUT
    # Every JSON value is one of YAML too, with quotes where they are needed.
    values = {name: json.dumps(value, ensure_ascii=False) for name, value in given.items()}
    return string.Template(_TEMPLATE.read_text()).substitute(values)


def _check(ask: Resources) -> None:
    for flag, name in (("--name", ask.name), ("--claim", ask.claim)):
        if not re.fullmatch(r"[a-z]([-a-z0-9]{0,38}[a-z0-9])?", name):
            raise UserError(
                f"{flag}={name} is not valid; give up to 40 lower-case letters, digits and dashes"
            )
    if not re.fullmatch(r"[1-9]\d*(x[1-9]\d*)+", ask.topology):
        raise UserError(f"--topology={ask.topology} is not valid; give one such as 2x2")
    chips = math.prod(map(int, ask.topology.split("x")))
    if chips != ask.tpus:
        raise UserError(
            f"--topology={ask.topology} has {chips} chips, but --tpus={ask.tpus} are on one host; a"
            " share runs on one host: on v5e 1x1, 2x2 or 2x4 with 1, 4 or 8"
        )
