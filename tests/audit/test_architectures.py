"""Public architectures: the convolution that feeds each norm is the one found by hooks, or unknown.

`tests/helpers/make_architectures.py` wrote the layers and the truth.
"""

import json
import lzma
import math
from pathlib import Path
from typing import Any

import pytest

from sparsity_jax.audit import pairing
from sparsity_jax.audit.networks import networks_of
from sparsity_jax.audit.tensors import Tensor

FILE = Path(__file__).parent / "architectures.json.xz"
ARCHITECTURES: dict[str, list[list[Any]]] = json.loads(lzma.decompress(FILE.read_bytes()))
INCOMPLETE = ("timm/dpn", "timm/coatnet")  # norms before convolutions of the same name


def tensors(layers: list[list[Any]]) -> dict[tuple[str, ...], Tensor]:
    found = {}
    for path, size, *feed in layers:
        leaves = ("weight", "running_mean", "running_var") if feed else ("weight",)
        shape = (size,) if feed else tuple(size)
        found |= {(*path.split("."), leaf): Tensor(shape) for leaf in leaves}
    return found


def paired(layers: list[list[Any]]) -> dict[str, pairing.Feed]:
    found = {}
    for network in networks_of(tensors(layers)):
        for path, feed in pairing.feeds(network.modules).items():
            whole = (*network.name, *feed.kernel) if feed.kernel else None
            found[".".join((*network.name, *path))] = pairing.Feed(feed.kind, whole)
    return found


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_a_pair_is_right_or_unknown(name):
    layers = ARCHITECTURES[name]
    truth = {path: feed[0] for path, _, *feed in layers if feed}
    shapes = {path: size for path, size, *feed in layers if not feed}
    for order in (layers, sorted(layers, key=lambda layer: layer[0])):
        found = paired(order)
        assert set(found) == set(truth)
        for norm, feed in found.items():
            if feed.kernel and truth[norm] != "not called":
                assert ".".join(feed.kernel) == truth[norm]
                kind = pairing.CONVOLUTION if len(shapes[truth[norm]]) > 2 else pairing.DENSE
                assert feed.kind == kind
            assert feed.kind != pairing.INPUT


@pytest.mark.parametrize("name", [n for n in ARCHITECTURES if not n.startswith(INCOMPLETE)])
def test_in_the_order_of_the_file_every_pair_is_found(name):
    layers = ARCHITECTURES[name]
    truth = {path: feed[0] for path, _, *feed in layers if feed}
    shapes = {path: size for path, size, *feed in layers if not feed}
    found = paired(layers)
    fed = {kernel for kernel in truth.values() if kernel in shapes}
    known = {".".join(feed.kernel) for feed in found.values() if feed.kernel}
    assert sum(math.prod(shapes[k]) for k in fed) == sum(math.prod(shapes[k]) for k in fed & known)


def test_there_are_enough_of_them():
    assert len(ARCHITECTURES) >= 60
