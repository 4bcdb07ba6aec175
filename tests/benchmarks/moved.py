"""How many bytes does a compiled training step read and write, by its HLO text?

Every operation of the loop's body that is launched reads its operands and writes its results once;
what lies in caches may be read faster, and an operand of which a slice is read counts whole.
"""

from __future__ import annotations

import math
import re

_OPEN = re.compile(r"^(?:ENTRY )?%(?P<name>[\w.-]+) \(.*\{$")
_OPERATION = re.compile(r"^  (?:ROOT )?%(?P<name>[\w.-]+) = (?P<rest>.*)$")
_ARRAY = re.compile(r"\b(pred|[suf]\d+|bf16|c\d+)\[([\d,]*)\]")
_SCRATCH = re.compile(r"\b[su]8\[[\d,]*\]")  # of cuDNN and cuBLAS
_CODE = re.compile(r" ([\w-]+)\(")
_BODY = re.compile(r"\bbody=%([\w.-]+)")
# No kernel: names for what is there already.
_FREE = {"parameter", "get-tuple-element", "tuple", "bitcast", "constant", "while", "after-all"}


def step_bytes(text: str) -> int:
    """Bytes moved in one turn of the loop of training steps: the loop that moves the most.

    Args:
      text: optimized HLO, as `compiled.as_text()` gives it.
    """
    bodies = set(_BODY.findall(text))
    return max((_bytes(lines) for name, lines in _computations(text) if name in bodies), default=0)


def _computations(text: str) -> list[tuple[str, list[str]]]:
    found: list[tuple[str, list[str]]] = []
    for line in text.splitlines():
        if opened := _OPEN.match(line):
            found.append((opened["name"], []))
        elif found:
            found[-1][1].append(line)
    return found


def _bytes(lines: list[str]) -> int:
    sizes: dict[str, int] = {}
    total = 0
    for line in lines:
        if (operation := _OPERATION.match(line)) is None:
            continue
        rest = re.sub(r"/\*.*?\*/", "", operation["rest"])
        code = _CODE.search(rest)
        if code is None:
            continue
        result, arguments = rest[: code.start()], rest[code.end() :].partition(")")[0]
        if code[1] == "custom-call":
            result = _SCRATCH.sub("", result)
        sizes[operation["name"]] = _size(result)
        if code[1] not in _FREE:
            operands = re.findall(r"%([\w.-]+)", arguments)
            total += _size(result) + sum(sizes.get(name, 0) for name in operands)
    return total


def _size(shapes: str) -> int:
    """Bytes of every array in a type."""
    return sum(
        math.prod(int(side) for side in sides.split(",") if side) * _width(kind)
        for kind, sides in _ARRAY.findall(shapes)
    )


def _width(kind: str) -> int:
    bits = int(re.sub(r"\D", "", kind) or 8)
    return -(-bits // 8)
