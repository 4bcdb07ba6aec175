"""Filters of a network that something needs, and what."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Collection, Mapping
from typing import Any

import numpy as np

from sparsity_jax.pruning.constants import Constant, Constants
from sparsity_jax.pruning.places import Line, Meeting, Places


@dataclasses.dataclass(frozen=True)
class Needed:
    """Filters that something needs, and what."""

    kept: np.ndarray  # (filters,) bool
    first: Mapping[int, str]  # filter -> what needs it

    @classmethod
    def find(cls, places: Places, constants: Constants, foldable: Collection[Line] = ()) -> Needed:
        """Follow needs from outputs, sums and operations that take everything as it is.

        Args:
          places: the network's.
          constants: what is known of its values.
          foldable: weights that can take in a constant of a filter that goes.
        """
        kept = np.zeros(places.count, bool)
        first: dict[int, str] = {}

        def need(filters: np.ndarray, why: str) -> None:
            new = filters[~kept[filters]]
            first.update((int(f), why) for f in new if int(f) not in first)
            kept[new] = True

        for needed in places.needs:
            need(needed.filters, needed.why)
        for meeting in places.meetings:
            value = places.filters[meeting.value]
            wanted = ~_zero(constants, meeting.value, value.size)
            known = _known(constants, meeting.value, value.size)
            if meeting.weights in foldable:
                wanted &= ~known
            if meeting.weights is not None:
                wanted &= ~_zero(constants, meeting.weights, value.size)
                need(places.filters[meeting.weights][wanted], f"they feed {meeting.layer}")
            layer = meeting.layer or "the next layer"
            need(value[wanted & known], f"they send {layer} a constant that is not zero")
            need(value[wanted & ~known], f"{_ACTIVE}{layer}")
        before = -1
        while before < (before := int(kept.sum())):
            for meeting in places.meetings:
                _agree(places, meeting, kept, need)
        return cls(kept, first)

    def any_of(self, filters: np.ndarray) -> np.ndarray:
        """Whether anything of each channel (channels, arrays) is needed."""
        return np.any(self.kept[filters], axis=1)

    def why(self, filters: np.ndarray, path: str, partners: Mapping[int, str]) -> Counter[str]:
        """Reasons for which channels are needed, counted."""
        found: Counter[str] = Counter()
        for channel in filters:
            one = next(int(f) for f in channel if self.kept[f])
            why = self.first.get(one, "they are needed")
            partner = partners.get(one)
            if why.startswith(_ACTIVE) and partner and partner != path:
                layer = why.removeprefix(_ACTIVE)
                why = f"they meet active filters of {partner} in a sum or product, before {layer}"
            elif why.startswith(_ACTIVE):
                why = f"what they send {why.removeprefix(_ACTIVE)} is not zero"
            found[why] += 1
        return found


_ACTIVE = "active: "


def _agree(places: Places, meeting: Meeting, kept: np.ndarray, need: Any) -> None:
    """Weights that meet a filter that stays, stay; between two activations, either way round."""
    if meeting.weights is None:
        return
    value, weights = places.filters[meeting.value], places.filters[meeting.weights]
    need(weights[kept[value]], f"they feed {meeting.layer}")
    if meeting.mutual:
        need(value[kept[weights]], "they are multiplied with active filters")


def _known(constants: Constants, line: Line, size: int) -> np.ndarray:
    """Where slices are known to be finite numbers."""
    constant = constants.get(line, Constant(np.zeros(size, bool), np.zeros(size)))
    return constant.known & np.isfinite(constant.values.astype(np.float64))


def _zero(constants: Constants, line: Line, size: int) -> np.ndarray:
    constant = constants.get(line)
    return constant.equals(0) if constant else np.zeros(size, bool)
