"""Chart of a network: its layers by scope and in the file's order."""

from __future__ import annotations

import itertools
import re
from collections.abc import Mapping, Sequence

from sparsity_jax.audit.tensors import Path
from sparsity_jax.audit.widths import is_convolution, outputs, takes
from sparsity_jax.audit.words import Module
from sparsity_jax.sparsity.layers import natural_key

_LONGEST_CHAIN = 3


class Chart:
    """Layers of one network, asked for by scope and by order.

    Args:
      modules: layer path -> tensors, in the file's order.

    Attributes:
      modules: those with a kernel, and the norms.
      order: their paths, in the file's order.
      position: path -> place in `order`.
      ordered: whether the order says more than the alphabet does.

    Example:
      >>> Chart({}).order
      ()
    """

    def __init__(self, modules: Mapping[Path, Module]) -> None:
        self.modules = {p: m for p, m in modules.items() if m.kernel or m.has_statistics}
        self.order = tuple(self.modules)
        self.position = {path: at for at, path in enumerate(self.order)}
        self.ordered = not _alphabetical(self.order)
        self._below: dict[Path, dict[str, list[Path]]] = {}
        for path in self.order:
            for depth in range(len(path)):
                children = self._below.setdefault(path[:depth], {})
                children.setdefault(path[depth], []).append(path)

    def children(self, scope: Path) -> Mapping[str, Sequence[Path]]:
        """Name of each child of a scope -> the layers at and under it, in the file's order."""
        return self._below.get(scope, {})

    def is_kernel(self, path: Path) -> bool:
        """Whether a layer is a convolution or dense."""
        return self.modules[path].kernel is not None

    def is_norm(self, path: Path) -> bool:
        """Whether a layer is a BatchNorm."""
        return self.modules[path].has_statistics

    def kernels(self, paths: Sequence[Path]) -> list[Path]:
        """Those of some layers that are no norms."""
        return [path for path in paths if self.is_kernel(path)]

    def is_sequential(self, scope: Path) -> bool:
        """Whether the children of a scope are numbered: its layers follow each other."""
        return bool(self.children(scope)) and all(name.isdecimal() for name in self.children(scope))

    def precedes(self, kernel: Path, norm: Path) -> bool:
        """Whether the file lets a kernel come before a norm, or does not say."""
        return not self.ordered or self.position[kernel] < self.position[norm]

    def tail(self, scope: Path) -> Path | None:
        """The kernel that computes the outputs of a scope, if there is no doubt.

        That is the only one, the last of a numbered sequence, or the end of a short chain without
        norms in which each takes what the one before gives, as in separable convolutions.
        """
        if scope in self.modules:
            return scope if self.is_kernel(scope) else None
        inside = [path for paths in self.children(scope).values() for path in paths]
        if self._is_numbered(scope, inside):
            last = max(inside, key=lambda path: natural_key("/".join(path)))
            return last if self.is_kernel(last) else None
        kernels = self.kernels(inside)
        if len(kernels) == 1 and len(inside) == 1:
            return kernels[0]
        if len(kernels) != len(inside) or not 1 < len(kernels) <= _LONGEST_CHAIN:
            return None
        return kernels[-1] if self.is_chain(kernels) and self.ordered else None

    def is_chain(self, kernels: Sequence[Path]) -> bool:
        """Whether each of some kernels takes what the one before gives."""
        pairs = itertools.pairwise(kernels)
        return all(takes(self.modules[b], outputs(self.modules[a])) for a, b in pairs)

    def convolutions(self) -> list[Path]:
        """Every kernel with a spatial axis."""
        return [path for path in self.order if is_convolution(self.modules[path])]

    def _is_numbered(self, scope: Path, inside: Sequence[Path]) -> bool:
        """Sequences within a sequence: whoever has the highest number comes last."""
        return bool(inside) and all(
            part.isdecimal() for path in inside for part in path[len(scope) :]
        )


def _alphabetical(order: Sequence[Path]) -> bool:
    names = ["/".join(path) for path in order]
    weights = [name.replace("/", ".") + ".weight" for name in names]
    keys = ([*order], weights, names, [natural_key(name) for name in names])
    return any(list(key) == sorted(key) for key in keys) or len(order) < 2


def stem(name: str) -> str:
    """Return what a name says beside the kind of its layer: 'bn2' and 'conv2' have the stem '2'.

    Example:
      >>> stem('bn2'), stem('conv2d_5'), stem('batch_normalization_5'), stem('downsample_bn')
      ('2', '5', '5', 'downsample')
    """
    return _trimmed(_DENSE.sub("_", _CONVOLUTION.sub("_", _NORM.sub("_", name.lower()))))


def without_norm(name: str) -> str:
    """A norm's name without the word for its kind: 'conv_dw_1_bn' is 'conv_dw_1'.

    Example:
      >>> without_norm('bn_Conv1'), without_norm('bn1')
      ('conv1', '1')
    """
    return _trimmed(_NORM.sub("_", name.lower()))


def _trimmed(name: str) -> str:
    return re.sub(r"[_\-.]+", "_", name).strip("_")


_NORM = re.compile(
    r"(batch_?normali[sz]ation|(sync_?)?batch_?norm|normali[sz]ation|norm|bn)(\dd)?s?"
)
_CONVOLUTION = re.compile(r"(conv_?transpose|deconv|convolution|conv)(\dd)?s?")
_DENSE = re.compile(r"(?<![a-z])(fc|linear|dense|lin)s?(?![a-z])")
