"""Pruning criteria: the choice of the filters that stay."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from sparsity_jax.errors import UserError
from sparsity_jax.sparsity import gamma_sparsity

Masks = dict[str, np.ndarray]  # layer name 'C1' -> boolean array (filters,), True = keep


def keep_active(sparsity: Any) -> Masks:
    """Keep every filter that a measurement found active.

    Args:
      sparsity: what `gamma_sparsity` or `activation_sparsity` returned, or a mapping of layer path
        ('C1/norm') to boolean array, True = inactive.

    Returns:
      Layer name ('C1') -> boolean array, True = keep.

    Raises:
      UserError: a path that is not a ConvNet's, which are 'C1/norm', 'C2/norm', ...

    Example:
      >>> keep_active({'C1/norm': np.array([True, False])})
      {'C1': array([False,  True])}
    """
    layers = getattr(sparsity, "layers", sparsity)
    for path in layers:
        if path.count("/") != 1 or not path.endswith("/norm"):
            raise UserError(
                f"layer {path} is not one of a ConvNet plan, whose norms are 'C1/norm', 'C2/norm', "
                "...; for other models see pruning.generic"
            )
    return {path.partition("/")[0]: ~np.asarray(mask, bool) for path, mask in layers.items()}


def keep_by(
    criterion: str,
    variables: Mapping[str, Any],
    *,
    fraction: float = 0.5,
    layers: Sequence[str] = (),
    threshold: float = 1e-3,
) -> Masks:
    """Keep-set of a criterion by its name: the paper's 'gamma', or a baseline.

    Args:
      criterion: 'gamma' (|gamma| < threshold goes), 'l1' (`keep_largest_l1`) or 'slimming'
        (`keep_slimmest`).
      variables: {'params', 'batch_stats'} of a ConvNet.
      fraction: share of filters that goes, for the baselines.
      layers: for 'l1', the layers it applies to; none means all.
      threshold: for 'gamma'.

    Raises:
      UserError: an unknown criterion, a fraction outside [0, 1), or a layer that does not exist.

    Example:
      >>> keep = keep_by('l1', variables, fraction=0.25, layers=('C1',))
      >>> {name: int(mask.sum()) for name, mask in keep.items()}
      {'C1': 12, 'C2': 32}
    """
    if criterion == "gamma":
        return keep_active(gamma_sparsity(variables, threshold))
    if criterion == "l1":
        return keep_largest_l1(variables, dict.fromkeys(layers, fraction) if layers else fraction)
    if criterion == "slimming":
        return keep_slimmest(variables, fraction)
    raise UserError(f"criterion={criterion!r} is not known; valid are gamma, l1, slimming")


def without_empty_layers(
    keep: Mapping[str, Any], variables: Mapping[str, Any]
) -> tuple[Masks, tuple[str, ...]]:
    """Give each layer that would empty its strongest filter back: the one with the largest |gamma|.

    A network cannot do without a layer; of equally strong filters the first is kept.

    Args:
      keep: layer name -> boolean array, True = keep.
      variables: {'params', ...}, read for gamma.

    Returns:
      (the keep-set, every layer with at least one filter; names of the layers that had none).

    Example:
      >>> keep, emptied = without_empty_layers({'C2': np.zeros(32, bool)}, variables)
      >>> emptied, int(keep['C2'].sum())
      (('C2',), 1)
    """
    full = {name: np.array(mask, bool) for name, mask in keep.items()}
    emptied = tuple(name for name, mask in full.items() if not mask.any())
    for name in emptied:
        full[name][np.abs(layer_gamma(variables, name)).argmax()] = True
    return full, emptied


def keep_largest_l1(variables: Mapping[str, Any], fraction: float | Mapping[str, float]) -> Masks:
    """Drop the filters with the smallest kernels: L1-norm filter pruning (Li et al., [13]).

    norm[c] = sum over i, j, c' of |kernel[i, j, c', c]|;  the smallest round(fraction * filters) go

    Args:
      variables: {'params', ...}.
      fraction: share of filters to drop, in [0, 1): one for all layers, or by layer name (layers
        not named keep everything; Table 7 drops half of C1 and C8 to C13).

    Returns:
      Layer name -> boolean array, True = keep. Of equal norms the later filter goes first. At least
      one filter stays.

    Raises:
      UserError: a fraction outside [0, 1), or a layer that does not exist.

    Example:
      >>> float(keep_largest_l1(variables, {'C1': 0.5})['C1'].mean())
      0.5
    """
    names = conv_layers(variables)
    fractions = dict.fromkeys(names, fraction) if not isinstance(fraction, Mapping) else fraction
    for name, share in fractions.items():
        if name not in names:
            raise UserError(f"layer {name} does not exist; valid are {', '.join(names)}")
        if not 0 <= share < 1:
            raise UserError(f"fraction={share} for {name} is not valid; give 0 or more, below 1")
    keep = {}
    for name in names:
        kernel = np.asarray(variables["params"][name]["conv"]["kernel"], np.float64)
        norms = np.abs(kernel).sum(axis=(0, 1, 2))
        drop = min(round(fractions.get(name, 0.0) * norms.size), norms.size - 1)
        order = np.argsort(-norms, kind="stable")
        keep[name] = np.isin(np.arange(norms.size), order[: norms.size - drop])
    return keep


def keep_slimmest(variables: Mapping[str, Any], fraction: float) -> Masks:
    """Drop the filters with the smallest |gamma| of the whole network: Network Slimming ([14]).

    keep[c] = |gamma[c]| > threshold = the round(fraction * filters)-th smallest |gamma|

    As in the authors' code (strictly above the threshold), ties with the threshold all go, so that
    more than the fraction may. Layers may empty: `without_empty_layers` next. Training with an L1
    penalty on gamma is the optimizer's part.

    Args:
      variables: {'params', ...}.
      fraction: share of all filters to drop, in [0, 1).

    Raises:
      UserError: a fraction outside [0, 1).

    Example:
      >>> gammas = {'scale': np.array([0.1, 0.4, 0.2, 0.3])}
      >>> keep_slimmest({'params': {'C1': {'conv': {}, 'norm': gammas}}}, 0.5)
      {'C1': array([False,  True, False,  True])}
    """
    if not 0 <= fraction < 1:
        raise UserError(f"fraction={fraction} is not valid; give 0 or more, below 1")
    gammas = {name: np.abs(layer_gamma(variables, name)) for name in conv_layers(variables)}
    ordered = np.sort(np.concatenate(list(gammas.values())))
    drop = round(fraction * ordered.size)
    threshold = ordered[drop - 1] if drop else -1.0
    return {name: gamma > threshold for name, gamma in gammas.items()}


def conv_layers(variables: Mapping[str, Any]) -> tuple[str, ...]:
    """Names of the convolutions of a ConvNet's variables, C1 first.

    Example:
      >>> conv_layers(variables)
      ('C1', 'C2')
    """
    names = [name for name, modules in variables["params"].items() if "conv" in modules]
    return tuple(sorted(names, key=lambda name: int(name[1:])))


def layer_gamma(variables: Mapping[str, Any], name: str) -> np.ndarray:
    """Gamma (filters,) of a convolution's norm.

    Raises:
      UserError: there is no such layer; the valid ones are named.

    Example:
      >>> layer_gamma(variables, 'C1').shape
      (16,)
    """
    try:
        return np.asarray(variables["params"][name]["norm"]["scale"])
    except KeyError:
        raise UserError(
            f"layer {name} does not exist; valid are {', '.join(conv_layers(variables))}"
        ) from None
