"""Inactive filters of a network, layer by layer."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import numpy as np

from sparsity_jax.sparsity.layers import natural_key


@dataclasses.dataclass(frozen=True, eq=False)
class FilterSparsity:
    """Inactive filters by layer.

    total_pct = 100 * (inactive filters of all layers) / (filters of all layers)

    Attributes:
      layers: layer path -> boolean array (filters,), True = inactive. Always in natural order of
        the paths ('C2/norm' before 'C10/norm'), so that two measurements of one model line up.

    Example:
      >>> found = FilterSparsity({'C1/norm': np.array([True, False])})
      >>> found.total_pct, dict(found.layer_pct)
      (50.0, {'C1/norm': 50.0})
    """

    layers: Mapping[str, np.ndarray]

    def __post_init__(self) -> None:
        ordered = {path: np.array(self.layers[path], bool) for path in natural(self.layers)}
        object.__setattr__(self, "layers", MappingProxyType(ordered))

    @property
    def filters(self) -> int:
        """Number of filters of all layers."""
        return sum(mask.size for mask in self.layers.values())

    @property
    def inactive(self) -> int:
        """Number of inactive filters of all layers."""
        return sum(int(mask.sum()) for mask in self.layers.values())

    @property
    def total_pct(self) -> float:
        """Inactive filters of all layers, in percent."""
        return 100.0 * self.inactive / self.filters

    @property
    def layer_pct(self) -> Mapping[str, float]:
        """Layer path -> inactive filters of that layer, in percent."""
        return {path: 100.0 * float(mask.mean()) for path, mask in self.layers.items()}

    def table(self) -> str:
        """Text with one line per layer and the total last.

        Example:
          >>> print(FilterSparsity({'C1/norm': np.array([True, False])}).table())
          layer    filters  inactive      %
          C1/norm        2         1   50.0
          total          2         1   50.0
        """
        rows = [(path, mask.size, int(mask.sum())) for path, mask in self.layers.items()]
        return text_table([*rows, ("total", self.filters, self.inactive)])

    def __reduce__(self) -> tuple[Any, ...]:  # a mapping proxy cannot be pickled or deep-copied
        return FilterSparsity, (dict(self.layers),)


def natural(paths: Mapping[str, Any]) -> list[str]:
    """Keys of `paths` in natural order (jit returns dicts sorted by the alphabet).

    Example:
      >>> natural({'C10/norm': 0, 'C2/norm': 0})
      ['C2/norm', 'C10/norm']
    """
    return sorted(paths, key=natural_key)


def text_table(rows: list[tuple[str, int, int]]) -> str:
    """Align rows (layer, filters, inactive filters) as text with a percent column.

    Example:
      >>> print(text_table([('C1', 16, 4)]))
      layer  filters  inactive      %
      C1          16         4   25.0
    """
    width = max(len("layer"), *(len(path) for path, _, _ in rows))
    lines = [f"{'layer':<{width}}  filters  inactive      %"]
    lines += [
        f"{path:<{width}}  {filters:7d}  {inactive:8d}  {100 * inactive / filters:5.1f}"
        for path, filters, inactive in rows
    ]
    return "\n".join(lines)
