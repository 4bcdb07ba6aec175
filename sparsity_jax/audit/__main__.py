"""Audit of somebody's checkpoint: the filters of a trained network that are inactive.

  python -m sparsity_jax.audit FILE_OR_DIR [--threshold=1e-3] [--json] [--html=FILE]

Reads Orbax checkpoints, .safetensors, PyTorch .pt and .pth (weights only; no code in them is run)
and .npz, finds the BatchNorm layers by their tensors, and says which filters have a vanished scale.
"""

from __future__ import annotations

import argparse
import dataclasses
import html
import json
import math
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn

from sparsity_jax.audit.names import variables_of
from sparsity_jax.audit.readers import read_tensors
from sparsity_jax.errors import UserError
from sparsity_jax.sparsity.gamma import gamma_sparsity
from sparsity_jax.sparsity.layers import conv_kernels
from sparsity_jax.storage.io import write_atomically


@dataclasses.dataclass(frozen=True)
class Layer:
    """One convolution's norm: its filters, the dead ones, and the weights of their own kernels."""

    name: str
    filters: int
    dead: int
    weights: int
    dead_weights: int


def audit(path: Path, threshold: float = 1e-3) -> tuple[Layer, ...]:
    """Find the dead filters of a checkpoint, layer by layer.

    dead = |gamma| < threshold     (Sec. 2.1)

    Raises:
      UserError: unreadable or hostile file, no BatchNorm, NaN gammas, missing statistics.

    Example:
      >>> [(layer.name, layer.dead) for layer in audit(Path('resnet.pt'))]  # doctest: +SKIP
      [('bn1', 3), ('layer1/0/bn1', 0)]
    """
    tree = variables_of(read_tensors(path))
    found = gamma_sparsity(tree, threshold)
    kernels = conv_kernels(tree)
    layers = []
    for name, mask in found.layers.items():
        kernel, dead = kernels[name], int(mask.sum())
        weights = 0 if kernel is None else math.prod(kernel.shape)
        layers.append(Layer(name, mask.size, dead, weights, weights // mask.size * dead))
    return tuple(layers)


def text(layers: Sequence[Layer]) -> str:
    """The answer as a table with a bar for each layer."""
    width = max(5, *(len(layer.name) for layer in layers))
    lines = [f"{'layer':<{width}}  filters   dead      %"]
    for layer in layers:
        share = layer.dead / layer.filters
        bar = "#" * round(20 * share)
        lines.append(
            f"{layer.name:<{width}}  {layer.filters:7d}  {layer.dead:5d}  {100 * share:5.1f}  {bar}"
        )
    return "\n".join([*lines, _summary(layers)]).replace("  \n", "\n")


def page(layers: Sequence[Layer], title: str) -> str:
    """The answer as a self-contained HTML page with one bar per layer."""
    rows = "".join(
        f"<tr><td>{html.escape(layer.name)}</td><td>{layer.filters}</td><td>{layer.dead}</td>"
        f'<td class="bar"><i style="width:{100 * layer.dead / layer.filters:.1f}%"></i></td>'
        f"<td>{100 * layer.dead / layer.filters:.1f} %</td></tr>"
        for layer in layers
    )
    return (
        '<!doctype html><html lang="en"><meta charset="utf-8">'
        f"<title>Dead filters of {html.escape(title)}</title>"
        "<style>body{font:15px system-ui,sans-serif;margin:2em auto;max-width:48em;padding:0 1em}"
        "table{border-collapse:collapse;width:100%}td,th{padding:.2em .6em;text-align:right}"
        "td:first-child,th:first-child{text-align:left}"
        ".bar{width:45%}.bar{background:#e8edf2;padding:0}i{display:block;height:1em;"
        "background:#b3402e}</style>"
        f"<h1>Dead filters of {html.escape(title)}</h1><p>{html.escape(_summary(layers))}</p>"
        "<table><tr><th>layer</th><th>filters</th><th>dead</th><th>share</th><th></th></tr>"
        f"{rows}</table></html>\n"
    )


def main(arguments: Sequence[str]) -> int:
    """Run the command line; returns the exit code: 0, or 2 for wrong input."""
    try:
        options = _parse(arguments)
        path = Path(options.path)
        layers = audit(path, options.threshold)
        if options.html:
            _write(Path(options.html), page(layers, path.name))
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    print(json.dumps(_as_json(layers)) if options.json else text(layers))
    return 0


def _as_json(layers: Sequence[Layer]) -> dict[str, Any]:
    listed = [{"name": x.name, "filters": x.filters, "dead": x.dead} for x in layers]
    filters, dead = (sum(entry[key] for entry in listed) for key in ("filters", "dead"))
    return {"layers": listed, "filters": filters, "dead": dead}


def _summary(layers: Sequence[Layer]) -> str:
    filters, dead, weights, gone = (
        sum(getattr(layer, field) for layer in layers)
        for field in ("filters", "dead", "weights", "dead_weights")
    )
    line = f"{dead} of {filters} filters are dead ({100 * dead / filters:.1f} %)"
    if weights:
        share = 100 * gone / weights
        line += (
            f"; their own kernels carry {gone:,} of {weights:,} convolution weights ({share:.1f} %)"
        )
        line += ", and the inputs they feed more" if dead else ""
    return line


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
