"""Filters that a network can do without, and why the others must stay."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Mapping
from typing import Any

import jax
import numpy as np
from jax.extend import core

from sparsity_jax.pruning.arrays import Cuts, Masks, module_of, silenced
from sparsity_jax.pruning.constants import Constants, find_constants
from sparsity_jax.pruning.folding import find_folds, fold_kernels
from sparsity_jax.pruning.needs import Needed
from sparsity_jax.pruning.operations import dtype, shape
from sparsity_jax.pruning.places import Line, Places, find_places
from sparsity_jax.sparsity.evaluation import ApplyFn
from sparsity_jax.sparsity.norm_arrays import array_names, find_norms
from sparsity_jax.sparsity.program import Program, trace


@dataclasses.dataclass(frozen=True)
class Removal:
    """Filters that can go.

    Attributes:
      masks: norm path -> boolean array (filters,), True = goes.
      cuts: array name -> axis -> what stays.
      carried: norm path -> filters that stay to carry the constants of those that go (bool).
      folded: array name -> kernel with the constants of removed filters moved into a carrier's row.
      reasons: norm path -> why filters that should go stay.
    """

    masks: Masks
    cuts: Cuts
    carried: Masks
    folded: Mapping[str, np.ndarray]
    reasons: Mapping[str, str]


class Topology:
    """The ties between the filters of one network, read from the operations that it runs.

    A filter goes if nothing needs it: wherever it is multiplied and summed it is zero, and so is
    everything that it is tied to, such as the other side of a residual sum. Zeros are followed from
    the norms of the filters that shall go (gamma = beta = 0) through the network; needs are
    followed back from the output. Filters that share a convolution, a norm, a sum or a
    concatenation are one group and go or stay together.

    Example:
      >>> topology = Topology(apply_fn, variables, images)  # doctest: +SKIP
      >>> topology.removal({'BatchNorm_0': np.arange(8) < 4}).reasons  # doctest: +SKIP
      {}
    """

    def __init__(self, apply_fn: ApplyFn, variables: Any, images: Any) -> None:
        names = array_names(variables)
        self.program: Program = trace(apply_fn, variables, images)
        self.places: Places = find_places(self.program, [module_of(name) for name in names])
        self.norms = find_norms(variables)
        self.dtypes = {dtype(x) for o in self.program.operations for x in o.outvars}
        leaves = [np.asarray(leaf) for leaf in jax.tree.leaves(variables)]
        self._values = dict(zip(names, leaves, strict=True))
        self._weights = dict(zip(names, self.program.weights, strict=True))

    def removal(self, masks: Masks, *, exact: bool = False) -> Removal:
        """Find what of some filters can go, and why the rest cannot.

        Args:
          masks: norm path -> boolean array (filters,), True = shall go.
          exact: keep beta: with gamma at zero a filter is a constant; of the filters that send
            constants to the same layers one stays, and takes the others' constants along.
        """
        idle = [path for path in masks if not self._runs(path)]
        left = {path: mask & (path not in idle) for path, mask in masks.items()}
        reasons: dict[str, Counter[str]] = {path: Counter() for path in masks}
        for path in idle:
            reasons[path]["the function does not run this norm"] = int(masks[path].sum())
        while True:
            constants = self._constants(left, exact)
            foldable = self._foldable() if exact else ()
            needed = Needed.find(self.places, constants, foldable)
            stay = {path: mask & needed.any_of(self._of(path)) for path, mask in left.items()}
            for path, mask in stay.items():
                reasons[path].update(needed.why(self._of(path)[mask], path, self._partners(left)))
            if not any(mask.any() for mask in stay.values()):
                break
            left = {path: mask & ~stay[path] for path, mask in left.items()}
        folds = find_folds(self.places, constants, foldable, self._gone(left, needed.kept))
        carriers = np.isin(np.arange(self.places.count), [fold.carrier for fold in folds])
        carried = {path: mask & carriers[self._of(path)].any(1) for path, mask in left.items()}
        left = {path: mask & ~carried[path] for path, mask in left.items()}
        gone = self._gone(left, needed.kept)
        told = {path: _told(found, masks[path]) for path, found in reasons.items() if found}
        names = {variable: name for name, variable in self._weights.items()}
        folded = fold_kernels(folds, {line[0]: self._values[names[line[0]]] for line in foldable})
        folded = {names[variable]: kernel for variable, kernel in folded.items()}
        return Removal(left, self._cuts(gone), carried, folded, told)

    def lost(self, cuts: Cuts) -> dict[str, int]:
        """Norm path -> filters that cuts take from it, for the norms that lose any."""
        found = {}
        for path, norm in self.norms.items():
            if axes := cuts.get(norm["mean"], {}):
                found[path] = int(sum((~keep).sum() for keep in axes.values()))
        return found

    def groups(self, masks: Masks) -> list[tuple[str, ...]]:
        """Norms whose filters go together, group by group."""
        groups: list[tuple[set[str], set[int]]] = []
        for path, mask in masks.items():
            paths, filters = {path}, set(self._of(path)[mask].ravel().tolist())
            for group in [g for g in groups if g[1] & filters]:
                groups.remove(group)
                paths, filters = paths | group[0], filters | group[1]
            groups.append((paths, filters))
        return [tuple(path for path in masks if path in paths) for paths, _ in groups]

    def _runs(self, path: str) -> bool:
        mean = self._weights[self.norms[path]["mean"]]
        return any(mean in operation.invars for operation in self.program.operations)

    def _of(self, path: str) -> np.ndarray:
        """Filters of a norm, as (channels, arrays of the norm)."""
        lines = [self._line(name) for name in self.norms[path].values()]
        return np.stack([self.places.filters[line] for line in lines], axis=1)

    def _line(self, name: str) -> Line:
        variable = self._weights[name]
        return variable, int(np.argmax(shape(variable)))

    def _constants(self, masks: Masks, exact: bool) -> Constants:
        """Follow vectors of the variables, gamma and beta at zero where filters shall go."""
        values = dict(self._values)
        for path, mask in masks.items():
            values |= silenced(self.norms[path], self._values, mask, exact=exact)
        vectors = {
            self._weights[name]: value
            for name, value in values.items()
            if value.size > 1 and max(value.shape) == value.size
        }
        return find_constants(self.program, self.places, vectors)

    def _foldable(self) -> set[Line]:
        """Kernels that meet one value and are used nowhere else."""
        weights = set(self._weights.values())
        met = Counter(meeting.weights for meeting in self.places.meetings)
        uses = Counter(
            x for o in self.program.operations for x in o.invars if isinstance(x, core.Var)
        )
        lines = [m.weights for m in self.places.meetings if m.weights and not m.mutual]
        return {x for x in lines if x[0] in weights and met[x] == 1 and uses[x[0]] == 1}

    def _partners(self, masks: Masks) -> dict[int, str]:
        """Filter -> a norm that has it and shall not lose it."""
        found = {}
        for path in self.norms:
            stays = ~masks.get(path, np.zeros(len(self._of(path)), bool))
            found |= dict.fromkeys(self._of(path)[stays].ravel().tolist(), path)
        return found

    def _gone(self, masks: Masks, kept: np.ndarray) -> np.ndarray:
        gone = np.zeros(self.places.count, bool)
        for path, mask in masks.items():
            gone[self._of(path)[mask]] = True
        for meeting in self.places.meetings:
            if meeting.weights is not None:
                value, weights = (self.places.filters[x] for x in (meeting.value, meeting.weights))
                gone[weights[gone[value]]] = True
        return gone & ~kept

    def _cuts(self, gone: np.ndarray) -> Cuts:
        cuts: Cuts = {}
        for name, variable in self._weights.items():
            for axis in range(len(shape(variable))):
                filters = self.places.filters.get((variable, axis))
                if filters is not None and gone[filters].any():
                    cuts.setdefault(name, {})[axis] = ~gone[filters]
        return cuts


def _told(found: Counter[str], mask: np.ndarray) -> str:
    why, total, asked = found.most_common(1)[0][0], found.total(), int(mask.sum())
    return why if total == asked else f"{total} of {asked} stay: {why}"
