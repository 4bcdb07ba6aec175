"""Families of names: whether norms called bn1, bn2 follow conv1, conv2 or come before them."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Sequence

from sparsity_jax.audit.chart import Chart, stem, without_norm
from sparsity_jax.audit.tensors import Path
from sparsity_jax.audit.widths import gives, is_convolution, may_give, takes

Family = tuple[str, str, bool]


@dataclasses.dataclass(frozen=True)
class Proposal:
    """A norm and the kernel whose name is like its own."""

    norm: Path
    kernel: Path
    family: Family


def partner(chart: Chart, norm: Path) -> Proposal | None:
    """Find the kernel with a norm's name, in the first enclosing scope that has kernels.

    Example:
      >>> partner(Chart({}), ('bn1',)) is None
      True
    """
    for depth in range(len(norm) - 1, -1, -1):
        scope, local, rest = norm[:depth], norm[depth], norm[depth + 1 :]
        siblings = {
            name: paths
            for name, paths in chart.children(scope).items()
            if name != local and chart.kernels(paths)
        }
        if siblings:
            found = _namesakes(chart, scope, local, rest, list(siblings))
            kernel = _only(chart, norm, found)
            if kernel is None:
                return None
            return Proposal(norm, kernel, _family(chart, norm, kernel, depth))
    return None


def _namesakes(
    chart: Chart, scope: Path, local: str, rest: Path, siblings: Sequence[str]
) -> list[Path]:
    exact = [name for name in siblings if name.lower() == without_norm(local)]
    alike = exact or [name for name in siblings if stem(name) == stem(local)]
    found = []
    for name in alike:
        inside = [p for p in chart.kernels(chart.children(scope)[name]) if p != (*scope, name)]
        stems = tuple(map(stem, rest))
        same = [p for p in inside if rest and tuple(map(stem, p[len(scope) + 1 :])) == stems]
        kernel = same[0] if len(same) == 1 else chart.tail((*scope, name))
        found += [kernel] if kernel else []
    return found


def _only(chart: Chart, norm: Path, found: Sequence[Path]) -> Path | None:
    """The one candidate; of several the convolution, then the one of the norm's width."""
    mean = chart.modules[norm].leaves["mean"]
    channels, stack = mean.shape[-1], mean.shape[:-1]
    convolutions = [path for path in found if is_convolution(chart.modules[path], stack)]
    for paths in (found, convolutions):
        if len(paths) == 1:
            return paths[0]
    wide = [p for p in convolutions or found if gives(p, chart.modules[p], channels, stack)]
    return wide[0] if len(wide) == 1 else None


def _family(chart: Chart, norm: Path, kernel: Path, depth: int) -> Family:
    words = [re.sub(r"\d+", "", path[depth]).lower() for path in (norm, kernel)]
    kinds = [re.sub(re.escape(re.sub(r"\d+", "", stem(path[depth]))) or "$", "", word)
             for word, path in zip(words, (norm, kernel), strict=True)]  # fmt: skip
    after = chart.ordered and chart.position[kernel] > chart.position[norm]
    return kinds[0].strip("_"), kinds[1].strip("_"), after


def accepted(chart: Chart, proposals: Sequence[Proposal]) -> dict[Path, Proposal]:
    """Keep the proposals of those families whose widths say that the norms follow their namesakes.

    A family is taken or left whole: one norm that is as wide as its namesake's inputs, and not as
    its outputs, shows that all of that name come before. Where widths do not tell, the file's
    order does.

    Args:
      chart: the network.
      proposals: norms with their namesakes.

    Returns:
      Norm -> its proposal.

    Example:
      >>> accepted(Chart({}), [])
      {}
    """
    families: dict[Family, list[Proposal]] = {}
    for proposal in proposals:
        families.setdefault(proposal.family, []).append(proposal)
    found = {}
    for (_, _, after), members in families.items():
        follow = all(_follows(chart, member) for member in members)
        lead = all(_leads(chart, member) for member in members)
        if follow and not (lead and after):
            found |= {member.norm: member for member in members}
    return found


def _follows(chart: Chart, proposal: Proposal) -> bool:
    module, mean = chart.modules[proposal.kernel], chart.modules[proposal.norm].leaves["mean"]
    channels, stack = mean.shape[-1], mean.shape[:-1]
    if gives(proposal.kernel, module, channels, stack):
        return True
    adjacent = chart.position[proposal.kernel] + 1 == chart.position[proposal.norm]
    return chart.ordered and adjacent and may_give(module, channels, stack)


def _leads(chart: Chart, proposal: Proposal) -> bool:
    mean = chart.modules[proposal.norm].leaves["mean"]
    return takes(chart.modules[proposal.kernel], mean.shape[-1], mean.shape[:-1])
