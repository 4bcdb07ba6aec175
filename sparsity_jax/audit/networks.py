"""Networks in a file: parameters joined with their statistics, copies told apart."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterable, Mapping, Sequence

from sparsity_jax.audit.tensors import Path, Tensor
from sparsity_jax.audit.words import Module, modules_of

_OPTIMIZER = re.compile(
    r"(opt|optim|optimizers?|opt_?states?|mu|nu|m|v|trace|momentum|velocity|grads?|gradients?"
    r"|(exp|max)_.*|acc.*|optimizer_.*)$",
    re.IGNORECASE,
)
_NETWORKS = re.compile(
    r"(net|model|params|module)?_?(g|d|gen|generator|disc|discriminator|critic|actor|policy|online"
    r"|target|student|teacher|encoder_[qk]|ema|ema_model|model_ema|ema_params|swa|swa_model|best"
    r"|average|averaged|momentum_encoder|model|net|network)(_?(a|b|\d+|net|network|model|params|ema))?$",
    re.IGNORECASE,
)


@dataclasses.dataclass(frozen=True)
class Network:
    """One network of a file.

    Attributes:
      name: what stands before the names of its layers; empty where the file holds one network.
      inside: where it lies in the file, for the reader; empty at the top.
      modules: layer path -> tensors, in the file's order.
    """

    name: Path
    inside: Path
    modules: dict[Path, Module]

    @property
    def norms(self) -> dict[Path, Module]:
        """Its BatchNorm layers."""
        return {path: m for path, m in self.modules.items() if m.has_statistics}


def networks_of(tensors: Mapping[Path, Tensor]) -> list[Network]:
    """Find the networks of a file that have a BatchNorm.

    Args:
      tensors: path -> tensor, as a reader lists them.

    Returns:
      The networks, each with its parameters and statistics together. Moments of an optimizer are
      no network.

    Example:
      >>> one = Tensor((4,))
      >>> names = ('params/bn/scale', 'batch_stats/bn/mean', 'batch_stats/bn/var')
      >>> [network] = networks_of({tuple(name.split('/')): one for name in names})
      >>> list(network.norms)
      [('bn',)]
    """
    roots: dict[Path, dict[Path, Tensor]] = {}
    for path, tensor in tensors.items():
        roots.setdefault(path[: tensor.root], {})[path] = tensor
    found: list[tuple[Path, dict[Path, Module]]] = []
    for root, inside in roots.items():
        modules = modules_of(inside, len(root))
        for prefix, network in _joined(modules) if _norms(modules) else []:
            found += [((*root, *prefix), network)] if prefix else _divided(root, network)
    return _named([(prefix, network) for prefix, network in found if _norms(network)])


def _norms(modules: Mapping[Path, Module]) -> list[Path]:
    return [path for path, m in modules.items() if "mean" in m.leaves or "var" in m.leaves]


def _joined(modules: dict[Path, Module]) -> list[tuple[Path, dict[Path, Module]]]:
    """(prefix, modules under it): statistics that lie under a root of their own are put to gammas.

    Where nothing lies apart there is one network, with the empty prefix and full paths.
    """
    bare = [path for path in _norms(modules) if "gamma" not in modules[path].leaves]
    gammas = [path for path, m in modules.items() if "gamma" in m.leaves and not _norms({path: m})]
    pairs = _roots(bare, gammas)
    networks = []
    for prefix, statistics in pairs.items():
        network = {
            path[len(prefix) :]: Module(dict(module.leaves), module.layout)
            for path, module in modules.items()
            if path[: len(prefix)] == prefix and path[: len(statistics)] != statistics
        }
        for path in bare:
            if path[: len(statistics)] == statistics:
                mine = network.setdefault(path[len(statistics) :], Module())
                mine.leaves.update(modules[path].leaves)
        networks.append((prefix, network))
    used = [*pairs, *pairs.values()]
    rest = {p: m for p, m in modules.items() if not any(p[: len(u)] == u for u in used)}
    return networks + ([((), rest)] if _norms(rest) else [])


def _roots(bare: Sequence[Path], gammas: Sequence[Path]) -> dict[Path, Path]:
    """Root of parameters -> root of the statistics that belong to it."""
    ends: dict[Path, list[Path]] = {}
    for path in gammas:
        for cut in range(min(len(path), 12)):
            ends.setdefault(path[cut:], []).append(path[:cut])
    parameters: dict[Path, set[Path]] = {}
    for path in bare:
        cut = _cut(path, ends)
        if cut:
            parameters.setdefault(path[:cut], set()).update(ends.get(path[cut:], ()))
    every = {root for roots in parameters.values() for root in roots}
    trained = {root for root in every if not _is_moment(root)} or every
    trained = {r for r in trained if not any(o != r and r[: len(o)] == o for o in trained)}
    return {root: max(parameters, key=lambda stats, r=root: _shared(r, stats, parameters[stats]))
            for root in sorted(trained, key=lambda r: (len(r), r))}  # fmt: skip


def _cut(path: Path, ends: Mapping[Path, list[Path]]) -> int:
    """Length of the root that statistics lie under."""
    words = [at + 1 for at, part in enumerate(path) if "batch_stats" in part]
    if words:
        return words[-1]
    return next((cut for cut in range(1, len(path)) if ends.get(path[cut:])), 0)


def _shared(root: Path, statistics: Path, parameters: set[Path]) -> tuple[bool, int, int]:
    same = next((at for at, (a, b) in enumerate(zip(root, statistics, strict=False)) if a != b),
                min(len(root), len(statistics)))  # fmt: skip
    alike = "ema" in "".join(root).lower() and "ema" in "".join(statistics).lower()
    return root in parameters, same + alike, -len(statistics)


def _is_moment(path: Path) -> bool:
    return "target" not in path and any(_OPTIMIZER.match(part) for part in path)


def _divided(root: Path, modules: dict[Path, Module]) -> list[tuple[Path, dict[Path, Module]]]:
    """The networks of one flat mapping: copies of each other, or called so."""
    tops: dict[str, dict[Path, Module]] = {}
    for path, module in modules.items():
        tops.setdefault(path[0] if path else "", {})[path] = module
    norms = {top: _norms(inside) for top, inside in tops.items()}
    tops = {top: inside for top, inside in tops.items() if norms[top] or not _is_moment((top,))}
    tails = {
        top: tuple(sorted(path[1:] for path in found)) for top, found in norms.items() if found
    }
    numbered = len({re.sub(r"\d+", "", top) for top in tails}) == 1
    alike = len(tails) > 1 and len(set(tails.values())) == 1 and all(map(_nested, tails.values()))
    called = len(tails) > 1 and all(_NETWORKS.match(top) for top in tails)
    if not (called or (alike and not numbered and all(_has_kernel(tops[top]) for top in tails))):
        return [(root, {p: m for p, m in modules.items() if (p[0] if p else "") in tops})]
    return [
        ((*root, top), {path[1:]: module for path, module in tops[top].items()}) for top in tails
    ]


def _nested(paths: Sequence[Path]) -> bool:
    return all(paths) and (len(paths) > 3 or any(len(path) > 1 for path in paths))


def _has_kernel(modules: Mapping[Path, Module]) -> bool:
    return any(module.kernel for module in modules.values())


def _named(found: Sequence[tuple[Path, dict[Path, Module]]]) -> list[Network]:
    if len(found) == 1:
        [(prefix, modules)] = found
        return [Network((), prefix, modules)]
    names = [prefix for prefix, _ in found]
    short = [name[:-1] if name[-1:] == ("params",) else name for name in names]
    if len(set(short)) == len(short) and all(short):
        names = short
    common = _common(names)
    return [
        Network(name[common:], prefix, modules)
        for name, (prefix, modules) in zip(names, found, strict=True)
    ]


def _common(names: Iterable[Path]) -> int:
    """How many leading parts all names share, leaving each at least one."""
    names = list(names)
    most = min((len(name) for name in names), default=1) - 1
    return next((at for at in range(max(most, 0)) if len({n[at] for n in names}) > 1), max(most, 0))
