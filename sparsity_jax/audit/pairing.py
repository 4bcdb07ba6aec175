"""Pairing of norms with the convolutions that feed them, by names, numbers and the file's order.

Nothing in a checkpoint says what a norm follows. Each rule here is safe by itself; where none
applies, or two norms claim one kernel, the answer is "unknown".
"""

from __future__ import annotations

import dataclasses
import re
from collections import Counter
from collections.abc import Iterator, Mapping

from sparsity_jax.audit.chart import Chart
from sparsity_jax.audit.families import Proposal, accepted, partner
from sparsity_jax.audit.tensors import Path
from sparsity_jax.audit.widths import gives, is_convolution, may_give, takes
from sparsity_jax.audit.words import Module

CONVOLUTION, DENSE, INPUT, UNKNOWN = "convolution", "dense", "input", "unknown"
_ASIDE = re.compile(r"downsample|shortcut|skip|residual|identity|attn|attention|qkv", re.IGNORECASE)
_INPUT = re.compile(r"(^|_)(input|data|img|image|images)(_|$)", re.IGNORECASE)


@dataclasses.dataclass(frozen=True)
class Feed:
    """The layer that a norm follows: its kind, and its path if it is known."""

    kind: str
    kernel: Path | None = None


def feeds(modules: Mapping[Path, Module]) -> dict[Path, Feed]:
    """Tell for every norm of a network which layer it follows.

    In order: a kernel of the scope that the norm lies in; the previous number of a sequence; the
    name (bn2 and conv2, X.bn and X.conv, BatchNorm_3 and Conv_3), unless the widths or the file's
    order show that such norms come before their namesakes; the layer just before in the file.

    Args:
      modules: layer path -> tensors of one network, in the file's order.

    Returns:
      Norm path -> what feeds it. Unknown is what no rule decides, such as a norm of a
      concatenation or a sum.

    Example:
      >>> feeds({})
      {}
    """
    chart = Chart(modules)
    norms = [path for path in chart.order if chart.is_norm(path)]
    named = accepted(chart, [p for norm in norms if (p := partner(chart, norm))])
    found = {norm: _kernel(chart, norm, named) for norm in norms}
    claims = Counter(kernel for kernel in found.values() if kernel)
    known = {norm: k if k and claims[k] == 1 else None for norm, k in found.items()}
    taken = {kernel for kernel in known.values() if kernel}
    return {norm: _feed(chart, norm, known[norm], taken, named) for norm in norms}


def _kernel(chart: Chart, norm: Path, named: Mapping[Path, Proposal]) -> Path | None:
    around = next(
        (norm[:d] for d in range(len(norm) - 1, 0, -1) if norm[:d] in chart.modules), None
    )
    if around:
        return around if _may_feed(chart, around, norm) else None
    if norm and chart.is_sequential(norm[:-1]) and _has_kernels(chart, norm[:-1]):
        before = _before(chart, norm)
        tail = chart.tail((*norm[:-1], before)) if before else None
        return tail if tail and _may_feed(chart, tail, norm) else None
    if norm in named:
        return named[norm].kernel
    return _just_before(chart, norm)


def _has_kernels(chart: Chart, scope: Path) -> bool:
    return any(chart.kernels(paths) for paths in chart.children(scope).values())


def _before(chart: Chart, norm: Path) -> str | None:
    """The previous number of a sequence."""
    numbers = [name for name in chart.children(norm[:-1]) if int(name) < int(norm[-1])]
    return max(numbers, key=int, default=None)


def _just_before(chart: Chart, norm: Path) -> Path | None:
    """The layer before a norm in the file, if nothing but wrappers lies between their scopes."""
    at = chart.position[norm]
    if not (chart.ordered and at):
        return None
    kernel = chart.order[at - 1]
    depth = _common(kernel, norm)
    if depth in (len(kernel), len(norm)):
        return None
    if _ASIDE.search(kernel[depth]) or "pre" in norm[depth]:
        return None
    alone = list(chart.children(norm[:depth])[norm[depth]]) == [norm]
    sound = chart.is_kernel(kernel) and alone and chart.tail(kernel[: depth + 1]) == kernel
    if not sound or not _may_feed(chart, kernel, norm):
        return None
    earlier = chart.order[at - 2] if at > 1 else kernel
    rival = chart.is_kernel(earlier) and earlier[:depth] == kernel[:depth] and earlier != kernel
    parallel = rival and not chart.is_chain([earlier, kernel]) and _may_feed(chart, earlier, norm)
    return None if parallel else kernel


def _feed(
    chart: Chart,
    norm: Path,
    kernel: Path | None,
    taken: set[Path],
    named: Mapping[Path, Proposal],
) -> Feed:
    if kernel:
        convolution = is_convolution(chart.modules[kernel], _stack(chart, norm))
        return Feed(CONVOLUTION if convolution else DENSE, kernel)
    if _is_input(chart, norm, named):
        return Feed(INPUT)
    wide = next((w for w in _as_wide(chart, norm, taken) if w), [])
    convolution = any(is_convolution(chart.modules[path], _stack(chart, norm)) for path in wide)
    return Feed(DENSE if wide and not convolution else UNKNOWN)


def _as_wide(chart: Chart, norm: Path, taken: set[Path]) -> Iterator[list[Path]]:
    """Kernels as wide as a norm that no other norm follows, from the nearest scope outwards."""
    for depth in range(len(norm) - 1, -1, -1):
        inside = [p for paths in chart.children(norm[:depth]).values() for p in paths]
        yield [
            path
            for path in chart.kernels(inside)
            if path not in taken
            and chart.precedes(path, norm)
            and gives(path, chart.modules[path], _channels(chart, norm), _stack(chart, norm))
        ]


def _is_input(chart: Chart, norm: Path, named: Mapping[Path, Proposal]) -> bool:
    """Whether a norm comes before every convolution."""
    convolutions = chart.convolutions()
    if not convolutions or not norm:
        return False
    shallow = len(norm) == min(len(path) for path in chart.order)
    if _INPUT.search(norm[-1]) and len(norm) <= 2:
        return True
    scope = norm[:-1]
    if chart.is_sequential(scope) and not _before(chart, norm):
        return all(path[: len(scope)] == scope for path in convolutions)
    if chart.ordered and chart.position[norm] == 0:
        first = chart.modules[convolutions[0]]
        reversed_ = gives(convolutions[0], first, _channels(chart, norm))
        follows = chart.order[1:2] and chart.is_kernel(chart.order[1])
        return bool(follows) and (not reversed_ or takes(first, _channels(chart, norm)))
    zeroth = re.fullmatch(r"[a-zA-Z_]*0", norm[-1]) is not None
    others = {other[:-1] for other in named}
    return zeroth and shallow and scope in others and not norm[-1].startswith("BatchNorm")


def _common(one: Path, other: Path) -> int:
    pairs = enumerate(zip(one, other, strict=False))
    return next((at for at, (a, b) in pairs if a != b), min(len(one), len(other)))


def _channels(chart: Chart, norm: Path) -> int:
    return chart.modules[norm].leaves["mean"].shape[-1]


def _stack(chart: Chart, norm: Path) -> tuple[int, ...]:
    return chart.modules[norm].leaves["mean"].shape[:-1]


def _may_feed(chart: Chart, kernel: Path, norm: Path) -> bool:
    """Whether the widths agree, be the kernel transposed or not."""
    module, stack = chart.modules[kernel], _stack(chart, norm)
    channels = _channels(chart, norm)
    return may_give(module, channels, stack) or gives(kernel, module, channels, stack)
