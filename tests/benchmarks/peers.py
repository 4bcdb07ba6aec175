"""How are PyTorch's columns had, from a process of their own?"""

from __future__ import annotations

import contextlib
import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jax
from timing import Column, NotMeasuredError
from workload import BATCH

from sparsity_jax.models import Plan

EAGER, COMPILED = "PyTorch eager", "torch.compile"
PROGRAM = Path(__file__).with_name("torch_peer.py")


class Torch:
    """PyTorch in another process; where it is missing, its columns say so when they are called.

    Attributes:
      version: what answered, or None.
    """

    def __init__(self, process: subprocess.Popen[str] | None, reason: str) -> None:
        self._process, self._reason = process, reason
        self.version: str | None = None
        if process is not None:
            try:
                self.version = self._reply()["version"]
            except NotMeasuredError as error:
                self._process, self._reason = None, str(error)

    def columns(self, plan: Plan, *, images: int) -> dict[str, Column]:
        """Eager and compiled, on that many images of noise, where JAX's default device is."""
        return {
            name: self._column(name, {"plan": plan.to_dict(), "images": images, "batch": BATCH})
            for name in (EAGER, COMPILED)
        }

    def _column(self, name: str, order: dict[str, Any]) -> Column:
        built = False

        def column(count: int) -> float:
            nonlocal built
            if not built:
                self._ask({**order, "name": name, "compiled": name == COMPILED})
                built = True
            return self._ask({"name": name, "steps": count})["seconds"]

        return column

    def _ask(self, order: dict[str, Any]) -> dict[str, Any]:
        if self._process is None or self._process.stdin is None:
            raise NotMeasuredError(self._reason)
        with contextlib.suppress(BrokenPipeError):  # then there is no reply either
            print(json.dumps(order), file=self._process.stdin, flush=True)
        return self._reply()

    def _reply(self) -> dict[str, Any]:
        line = self._process.stdout.readline() if self._process and self._process.stdout else ""
        reply = json.loads(line) if line else {"failed": "PyTorch's process ended"}
        if "failed" in reply:
            raise NotMeasuredError(reply["failed"])
        return reply


@contextlib.contextmanager
def torch_process(python: str) -> Iterator[Torch]:
    """PyTorch under that interpreter, on the kind of device that JAX uses, until the end."""
    device = "cuda" if jax.default_backend() == "gpu" else "cpu"
    try:
        process = subprocess.Popen(
            [python, str(PROGRAM), device], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
    except OSError:
        yield Torch(None, "PyTorch is not installed")
        return
    with process:  # closes its stdin, which ends it, and waits
        yield Torch(process, "")
