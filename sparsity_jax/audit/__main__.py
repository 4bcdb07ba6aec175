"""Audit of somebody's checkpoint: the filters of a trained network that are dead.

  python -m sparsity_jax.audit FILE_OR_DIR [--threshold=1e-3] [--json] [--html=FILE]

Reads Orbax checkpoints, .safetensors, PyTorch's .pt, .pth, .bin and .ckpt (no code in them is run),
Flax's .msgpack and .npz, in one file or in shards. Finds the BatchNorm layers by their tensors and
says what was read, what was left out, and which filters have a vanished scale.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from sparsity_jax.audit.counting import Audit, Layer, count
from sparsity_jax.audit.formats import guarded, open_source
from sparsity_jax.audit.presenting import as_json, as_page, as_text
from sparsity_jax.errors import UserError, user_path
from sparsity_jax.storage.io import write_atomically


def audit(path: Path, threshold: float = 1e-3) -> tuple[Layer, ...]:
    """Find the dead filters of a checkpoint, layer by layer.

    dead = |gamma| < threshold     (Sec. 2.1)

    Raises:
      UserError: unreadable or hostile file, no BatchNorm, NaN gammas, missing statistics.

    Example:
      >>> [(layer.name, layer.dead) for layer in audit(Path('resnet.pt'))]  # doctest: +SKIP
      [('bn1', 3), ('layer1/0/bn1', 0)]
    """
    return full_audit(path, threshold).layers


def full_audit(path: Path, threshold: float = 1e-3) -> Audit:
    """Audit a checkpoint: what was read, what was left out, and the layers.

    Raises:
      UserError: as for `audit`.

    Example:
      >>> full_audit(Path('resnet.pt')).read  # doctest: +SKIP
      "PyTorch file, 'state_dict'"
    """
    source = open_source(path)
    return guarded(path, lambda: count(source, threshold))


def main(arguments: Sequence[str]) -> int:
    """Run the command line; returns the exit code: 0, or 2 for wrong input."""
    try:
        options = _parse(arguments)
        path = user_path(options.path)
        found = full_audit(path, options.threshold)
        if options.html:
            _write(user_path(options.html), as_page(found, path.name))
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    _print(json.dumps(as_json(found)) if options.json else as_text(found))
    return 0


def _print(text: str) -> None:
    """Print; whoever reads may stop reading."""
    try:
        print(text, flush=True)
    except BrokenPipeError:
        # What is still buffered must not be flushed into the closed pipe at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _write(path: Path, content: str) -> None:
    try:
        write_atomically(path, content.encode())
    except OSError as error:
        reason = error.strerror or error
        raise UserError(
            f"cannot write {path}: {reason}; give a file in a writable folder"
        ) from None


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise UserError(f"{message}; usage: {' '.join(self.format_usage().split()[1:])}")


def _parse(arguments: Sequence[str]) -> argparse.Namespace:
    parser = _Parser(
        prog="python -m sparsity_jax.audit",
        description=__doc__,
        allow_abbrev=False,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("path", metavar="FILE_OR_DIR")
    parser.add_argument("--threshold", type=float, default=1e-3, help="largest dead |gamma|")
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    parser.add_argument("--html", metavar="FILE", help="write a page with a picture")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
