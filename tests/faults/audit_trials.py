"""Odd checkpoints for the audit: each ends with an answer or with one line.

    python tests/faults/audit_trials.py [CASES] [SEED]

Seeded random damage to files of every format, and sound files with odd names and shapes. Only
UserError may come out, its message is one line, and the counts of an answer add up.
"""

import io
import json
import random
import struct
import sys
import tempfile
import time
import zipfile
from collections.abc import Callable
from pathlib import Path

import msgpack
import numpy as np

from sparsity_jax.audit.__main__ import full_audit
from sparsity_jax.audit.counting import Audit, count
from sparsity_jax.audit.presenting import as_json, as_page, as_text
from sparsity_jax.audit.tensors import Source, Tensor
from sparsity_jax.errors import UserError

FILES = Path(__file__).parent.parent / "audit"
_ODD = (b"", b"\x00", b"\xff" * 8, b"}", b"[" * 3000, b"\x80", b".", b"(", b"c\n\n", b"R", b"b",
        b"9" * 40, b"-1", b"1e999", b'"', b"\r\xff\xff\xff\x7f", b"\x8a\xff", b"Q", b"0", b"2",
        b"NaN", b"\xc1", b"weight", b"running_var", b"\x94", b"h\xff", b"s", b"u")  # fmt: skip
_PARTS = ("conv", "conv1", "conv2", "bn", "bn0", "bn1", "bn2", "norm", "fc", "0", "1", "2", "3",
          "10", "layer1", "head", "params", "batch_stats", "ema_params", "opt_state", "mu",
          "Conv_0", "²", "BatchNorm_0", "parametrizations", "weight", "~", "model", "netG",
          "netD", "value", "", "mean_ema", "é", "a b", "\n", "<b>", "downsample",
          "state")  # fmt: skip
_LEAVES = ("weight", "bias", "running_mean", "running_var", "kernel", "scale", "mean", "var",
           "gamma", "gamma:0", "moving_mean:0", "moving_variance:0", "weight_orig", "weight_mask",
           "weight_v", "weight_g", "original", "original1", "value", "average", "mask",
           "depthwise_kernel", "num_batches_tracked", "")  # fmt: skip
_NORM = (("weight", "running_mean", "running_var"), ("scale", "mean", "var"),
         ("gamma", "moving_mean", "moving_variance"))  # fmt: skip


def run_trials(cases: int, *, seed: int, folder: Path) -> dict[str, int]:
    """As many cases.

    Returns:
      Counts: 'cases', 'answered', 'refused', 'crashed'; crashes are printed.
    """
    chance = random.Random(seed)
    makers = _makers()
    counts = {"cases": 0, "answered": 0, "refused": 0, "crashed": 0}
    for case in range(cases):
        counts["cases"] += 1
        try:
            _judge(_named_case(chance) if case % 2 else _file_case(chance, makers, folder))
            counts["answered"] += 1
        except UserError as error:
            counts["refused"] += 1
            if "\n" in str(error) or not str(error):
                counts["crashed"] += 1
                print(f"NOT ONE LINE in case {case} of seed {seed}: {str(error)!r}", flush=True)
        except Exception as error:
            counts["crashed"] += 1
            print(f"CRASH in case {case} of seed {seed}: {error!r}", flush=True)
    return counts


def _judge(found: Audit) -> None:
    """Whether an answer holds together, in every form."""
    assert 0 <= found.dead <= found.filters
    assert all(0 <= layer.dead <= layer.filters for layer in found.layers)
    assert found.weights is None or 0 <= (found.dead_weights or 0) <= found.weights
    assert as_text(found).encode()
    assert as_page(found, "x")
    assert json.dumps(as_json(found))


def _named_case(chance: random.Random) -> Audit:
    """Odd names and shapes, as a reader would hand them on."""
    tensors: dict[tuple[str, ...], Tensor] = {}
    for _ in range(chance.randint(1, 12)):
        scope = tuple(chance.choice(_PARTS) for _ in range(chance.randint(0, 4)))
        width, root = chance.choice((0, 1, 3, 8, 16)), chance.randint(0, 1)
        if chance.random() < 0.5:
            shape = chance.choice(((width,), (2, width), (1, width, 1, 1)))
            for leaf in chance.choice(_NORM)[chance.random() < 0.1 :]:
                tensors[(*scope, leaf)] = Tensor(shape, root, chance.choice((None, 1)))
        else:
            rank = chance.randint(0, 5)
            shape = tuple(chance.choice((1, 3, 8, 16, width)) for _ in range(rank))
            tensors[(*scope, chance.choice(_LEAVES))] = Tensor(shape, root)
    values = (0.0, 1.0, 1e-4, float("inf"), -2.0)

    def read(paths: object) -> dict[tuple[str, ...], np.ndarray]:
        return {path: np.full(tensors[path].shape, chance.choice(values)) for path in paths}

    return count(Source("trial", tensors, read), chance.choice((1e-3, 0.0, 1.0)))


def _file_case(chance: random.Random, makers: list[Callable], folder: Path) -> Audit:
    path = folder / chance.choice(("x.pt", "x.npz", "x.safetensors", "x.bin", "x", "x.index.json"))
    for old in folder.iterdir():
        old.unlink()
    path.write_bytes(chance.choice(makers)(chance))
    return full_audit(path)


def _makers() -> list[Callable[[random.Random], bytes]]:
    """Files of every format, damaged inside or as a whole."""
    arrays = {"conv.weight": np.ones((4, 3, 3, 3), "f4")}
    arrays |= {f"bn.{leaf}": np.ones(4, "f4") for leaf in _NORM[0]}
    with zipfile.ZipFile(FILES / "wrapped.pth") as archive:
        torch = {name: archive.read(name) for name in archive.namelist()}
    pickled = next(name for name in torch if name.endswith("data.pkl"))
    plain = io.BytesIO()
    np.savez(plain, **arrays)
    with zipfile.ZipFile(plain) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    packed = msgpack.packb({"params": {"bn": {"scale": _ext(arrays["bn.weight"])}},
                            "batch_stats": {"bn": {leaf: _ext(arrays["bn.weight"])
                                                   for leaf in ("mean", "var")}}})  # fmt: skip
    legacy = (FILES / "legacy.pt").read_bytes()
    wholes = [(FILES / "state_dict.pt").read_bytes(), plain.getvalue(), packed, legacy,
              _safetensors(arrays), b'{"weight_map": {"a.weight": "x"}}']  # fmt: skip

    def one_of(content: bytes) -> Callable[[random.Random], bytes]:
        return lambda chance: _mutated(content, chance)

    def inside(parts: dict[str, bytes], which: str | None) -> Callable[[random.Random], bytes]:
        def make(chance: random.Random) -> bytes:
            name = which or chance.choice(sorted(parts))
            return _zipped({**parts, name: _mutated(parts[name], chance)})

        return make

    return [
        *map(one_of, wholes),
        inside(torch, pickled),
        inside(torch, None),
        inside(members, None),
    ]


def _ext(array: np.ndarray) -> msgpack.ExtType:
    content = (list(array.shape), array.dtype.name, array.tobytes())
    return msgpack.ExtType(1, msgpack.packb(content))


def _safetensors(arrays: dict[str, np.ndarray]) -> bytes:
    header, content = {}, b""
    for name, array in arrays.items():
        start, content = len(content), content + array.tobytes()
        header[name] = {"dtype": "F32", "shape": list(array.shape),
                        "data_offsets": [start, len(content)]}  # fmt: skip
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + content


def _zipped(parts: dict[str, bytes]) -> bytes:
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w") as archive:
        for name, content in parts.items():
            archive.writestr(name, content)
    return target.getvalue()


def _mutated(content: bytes, chance: random.Random) -> bytes:
    """One to four cuts, flips, insertions, repetitions."""
    data = bytearray(content)
    for _ in range(chance.randint(1, 4)):
        at = chance.randrange(len(data) + 1)
        kind = chance.randrange(5)
        if kind == 0 and chance.random() < 0.3:
            del data[at:]
        elif kind == 1 and data:
            data[at % len(data)] ^= 1 << chance.randrange(8)
        elif kind == 2:
            data[at:at] = chance.choice(_ODD)
        elif kind == 3:
            del data[at : at + chance.randint(1, 9)]
        else:
            data[at:at] = data[at : at + chance.randint(1, 40)]
    return bytes(data)


def main(cases: str = "100000", seed: str = "0") -> int:
    started = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        counts = run_trials(int(cases), seed=int(seed), folder=Path(folder))
    print(counts, f"{time.monotonic() - started:.0f} s")
    return int(counts["crashed"] > 0)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
