"""Counts of dead filters, from the networks of a file."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable, Iterator, Sequence

import numpy as np

from sparsity_jax.audit import pairing
from sparsity_jax.audit.networks import Network, networks_of
from sparsity_jax.audit.tensors import MAX_VECTOR, Source, shown
from sparsity_jax.audit.words import Leaf, Module
from sparsity_jax.errors import UserError
from sparsity_jax.sparsity.layers import natural_key

_WHY = {
    pairing.DENSE: "follows a dense layer",
    pairing.INPUT: "normalises the input, no convolution feeds it",
}


@dataclasses.dataclass(frozen=True)
class Layer:
    """One norm: its filters, the dead ones, and the weights of the convolution that feeds it.

    Attributes:
      name: its path.
      filters: how many it has.
      dead: how many have |gamma| below the threshold.
      weights: weights of the convolution that feeds it; None where it is not known.
      dead_weights: those of the dead filters' own kernels.
    """

    name: str
    filters: int
    dead: int
    weights: int | None
    dead_weights: int | None


@dataclasses.dataclass(frozen=True)
class LeftOut:
    """Something in the file that is not counted, and why."""

    name: str
    why: str


@dataclasses.dataclass(frozen=True)
class Audit:
    """Answer: what was read, what was left out, the layers, and what is odd about them."""

    read: str
    left_out: tuple[LeftOut, ...]
    layers: tuple[Layer, ...]
    notes: tuple[str, ...] = ()

    @property
    def filters(self) -> int:
        """Filters of all layers."""
        return sum(layer.filters for layer in self.layers)

    @property
    def dead(self) -> int:
        """Dead filters of all layers."""
        return sum(layer.dead for layer in self.layers)

    @property
    def weights(self) -> int | None:
        """Weights of all convolutions that feed a norm; None if one of them is not known."""
        return _total(layer.weights for layer in self.layers)

    @property
    def dead_weights(self) -> int | None:
        """Weights of the dead filters' own kernels; None if a convolution is not known."""
        return _total(layer.dead_weights for layer in self.layers)


@dataclasses.dataclass(frozen=True)
class _Norm:
    name: str
    module: Module
    weights: int | None


def count(source: Source, threshold: float) -> Audit:
    """Count the dead filters of everything in a file.

    dead = |gamma| < threshold     (Sec. 2.1)

    Raises:
      UserError: no BatchNorm of a convolution, NaN gammas, a norm whose vectors differ in length,
        a threshold below zero.
    """
    if not (math.isfinite(threshold) and threshold >= 0):
        raise UserError(f"threshold={threshold} is not valid; give a number of 0 or more, as 1e-3")
    networks = networks_of(source.tensors)
    left_out = [LeftOut(name, why) for name, why in source.left_out]
    norms = _unique([norm for network in networks for norm in _norms(network, left_out)],
                    source, left_out)  # fmt: skip
    if not norms:
        raise UserError(_nothing(source, left_out))
    gammas, notes = _gammas(source, norms)
    pairs = zip(norms, gammas, strict=True)
    layers = [layer for norm, gamma in pairs for layer in _layers(norm, gamma, threshold)]
    return Audit(_read(source, networks), tuple(left_out), tuple(layers), tuple(notes))


def _norms(network: Network, left_out: list[LeftOut]) -> Iterator[_Norm]:
    """Norms of convolutions, in natural order; the others are said to be left out."""
    for path, module in network.modules.items():
        name = shown((*network.name, *path))
        if "mean" in module.leaves or "var" in module.leaves:
            _check(name, module)
        if module.has_statistics and "gamma" not in module.leaves:
            left_out.append(LeftOut(name, "has no gamma (affine=False, use_scale=False)"))
    whole = {path: m for path, m in network.modules.items() if m.kernel or m.has_statistics}
    fed = pairing.feeds(whole)
    for path in sorted(fed, key=lambda path: natural_key("/".join(path))):
        name, module, feed = shown((*network.name, *path)), whole[path], fed[path]
        if "gamma" not in module.leaves:
            continue
        if feed.kind in _WHY:
            left_out.append(LeftOut(name, _WHY[feed.kind]))
            continue
        kernel = whole[feed.kernel].kernel if feed.kernel else None
        yield _Norm(name, module, math.prod(kernel.shape) if kernel else None)


def _check(name: str, module: Module) -> None:
    """A norm has a running mean and variance, and its vectors are of one length."""
    leaves = module.leaves
    if ("mean" in leaves) != ("var" in leaves):
        if "gamma" in leaves:
            here, absent = ("mean", "var") if "mean" in leaves else ("var", "mean")
            raise UserError(
                f"layer {name} has a running {here} but no running {absent}; a BatchNorm needs both"
            )
        return
    shapes = {
        word: leaves[role].shape
        for role, word in (("gamma", "scale"), ("mean", "mean"), ("var", "var"))
        if role in leaves
    }
    size = math.prod(leaves["mean"].shape)
    if len(set(shapes.values())) > 1 or not 0 < size <= MAX_VECTOR or not leaves["mean"].shape:
        found = ", ".join(f"{word} {shape}" for word, shape in shapes.items())
        raise UserError(f"layer {name} has {found}; valid are vectors of one length")


def _unique(norms: Sequence[_Norm], source: Source, left_out: list[LeftOut]) -> list[_Norm]:
    """Norms without those that are the memory of an earlier one in the file."""
    places = {path: at for at, path in enumerate(source.tensors)}
    gammas = [norm.module.leaves["gamma"].path for norm in norms]
    first: dict[object, _Norm] = {}
    for norm, gamma in sorted(zip(norms, gammas, strict=True), key=lambda pair: places[pair[1]]):
        storage = source.tensors[gamma].storage
        first.setdefault(id(norm) if storage is None else storage, norm)
    kept = {id(norm) for norm in first.values()}
    for norm, gamma in zip(norms, gammas, strict=True):
        if id(norm) not in kept:
            owner = first[source.tensors[gamma].storage].name
            left_out.append(LeftOut(norm.name, f"the same tensors as {owner}"))
    return [norm for norm in norms if id(norm) in kept]


def _gammas(source: Source, norms: Sequence[_Norm]) -> tuple[list[np.ndarray], list[str]]:
    """Gammas of each norm, and notes on infinite numbers."""
    wanted = [leaf.path for norm in norms for leaf in _wanted(norm).values()]
    arrays = source.read(wanted)
    gammas, notes = [], []
    for norm in norms:
        found = {role: _number(arrays[leaf.path], leaf) for role, leaf in _wanted(norm).items()}
        gamma = found["gamma"]
        if "mask" in found:
            gamma = np.where(found["mask"] == 0, np.float32(0), gamma)
        if np.isnan(gamma).any():
            raise UserError(
                f"layer {norm.name} has {int(np.isnan(gamma).sum())} gammas that are not numbers "
                "(NaN): training diverged; sparsity needs finite gammas"
            )
        notes += _odd(norm.name, "gammas", gamma)
        notes += _odd(norm.name, "running variances", found["var"])
        gammas.append(gamma)
    return gammas, notes


def _wanted(norm: _Norm) -> dict[str, Leaf]:
    """What is read of a norm; a mask of another shape is none."""
    leaves = norm.module.leaves
    shape = leaves["gamma"].shape
    return {
        r: leaves[r] for r in ("gamma", "mask", "var") if r in leaves and leaves[r].shape == shape
    }


def _number(array: np.ndarray, leaf: Leaf) -> np.ndarray:
    array = array.reshape(leaf.shape)
    return array if array.dtype == np.float64 else array.astype(np.float32)


def _odd(name: str, what: str, values: np.ndarray) -> list[str]:
    kinds = {"infinite": np.isinf(values), "not numbers (NaN)": np.isnan(values)}
    return [
        f"layer {name} has {int(mask.sum())} {what} that are {kind}: training diverged there"
        for kind, mask in kinds.items()
        if mask.any()
    ]


def _layers(norm: _Norm, gamma: np.ndarray, threshold: float) -> Iterator[Layer]:
    """One layer, or one for each along the axes of stacked ones."""
    rows = gamma.reshape(-1, gamma.shape[-1])
    for at, row in enumerate(rows):
        dead = int((np.abs(row) < threshold).sum())
        weights = None if norm.weights is None else norm.weights // len(rows)
        name = norm.name if gamma.ndim == 1 else f"{norm.name}[{at}]"
        share = None if weights is None else weights // row.size * dead
        yield Layer(name, row.size, dead, weights, share)


def _total(values: Iterable[int | None]) -> int | None:
    known = list(values)
    return None if any(value is None for value in known) else sum(v for v in known if v)


def _read(source: Source, networks: Sequence[Network]) -> str:
    where = [network.inside or network.name for network in networks]
    named = ", ".join(f"'{shown(path)}'" for path in where if path)
    if len(networks) > 1:
        return f"{source.what}, {len(networks)} networks: {named}"
    return f"{source.what}, {named}" if named else source.what


def _nothing(source: Source, left_out: Sequence[LeftOut]) -> str:
    """Why there is nothing to count, in the words of what was found."""
    tensors = source.tensors
    if left_out:
        reasons = "; ".join(sorted({f"{entry.name} {entry.why}" for entry in left_out})[:3])
        return f"no BatchNorm of a convolution with a gamma: {reasons}"
    named = [f"{shown(path)[:80]} {tensors[path].shape}" for path in list(tensors)[:3]]
    more = f" and {len(tensors) - 3} more" if len(tensors) > 3 else ""
    found = f"found {', '.join(named)}{more}" if named else "found no tensors"
    return (
        f"no BatchNorm in this {source.what}: {found}; a BatchNorm is known by its running means "
        "and variances, which other norms do not have"
    )
