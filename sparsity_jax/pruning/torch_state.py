"""Smaller PyTorch state dicts: filters cut out of weights by names and shapes, without PyTorch."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np

from sparsity_jax.errors import UserError

PAIRED = ("", "conv", "bn")
SHORTCUTS = ("downsample", "shortcut", "proj", "identity")
HEADS = ("classifier", "fc", "head", "linear", "logits", "output")


@dataclasses.dataclass(frozen=True)
class Wiring:
    """Neighbours of one norm.

    Attributes:
      producer: module of the convolution whose filters the norm normalises.
      consumer: module of the convolution or linear layer that receives them.
      reason: why they are not known; empty if they are.
    """

    producer: str = ""
    consumer: str = ""
    reason: str = ""


@dataclasses.dataclass(frozen=True)
class PrunedState:
    """State dict with fewer filters.

    Attributes:
      tensors: name -> smaller tensor, of the kind that was given (numpy or torch).
      widths: convolution -> filters it has now; `out_channels` of the smaller module.
      left_alone: norm -> why its filters were kept.
    """

    tensors: dict[str, Any]
    widths: dict[str, int]
    left_alone: dict[str, str]


def prune_state_dict(state: Mapping[str, Any], keep: Mapping[str, Any]) -> PrunedState:
    """Cut filters out of a PyTorch state dict, to be loaded into a smaller module.

    conv.weight -> [keep];  norm's vectors -> [keep];  next weight -> [:, keep]

    Layers are paired by their names and order, as `Wiring` describes: within one `nn.Sequential`,
    one block (`conv1, bn1, conv2, ...`) or a network without sub-modules, a norm follows the
    convolution before it and feeds the next layer. The last norm of a block may enter a residual
    sum, which names do not show; its filters stay. Removed filters lose their beta too.

    Args:
      state: name -> array, as `torch.load` or a safetensors file gives it, in the module's order.
      keep: norm's module ('features.1', 'layer1.0.bn1') -> boolean array, True = keep.

    Raises:
      UserError: norms that the state dict does not have, masks of another length, or nothing kept.

    Example:
      >>> state = {'0.weight': np.ones((4, 3, 3, 3)), '2.weight': np.ones((5, 4, 3, 3))}
      >>> state |= {f'1.{name}': np.ones(4) for name in ('weight', 'running_mean', 'running_var')}
      >>> order = ['0.weight', '1.weight', '1.running_mean', '1.running_var', '2.weight']
      >>> state = {name: state[name] for name in order}
      >>> pruned = prune_state_dict(state, {'1': np.arange(4) < 3})
      >>> pruned.tensors['0.weight'].shape, pruned.tensors['2.weight'].shape
      ((3, 3, 3, 3), (5, 3, 3, 3))
    """
    tensors, widths, alone = dict(state), {}, {}
    for norm, mask in keep.items():
        mask = _checked(state, norm, np.asarray(mask))
        if mask.all():
            continue
        wiring = find_wiring(state, norm)
        if wiring.reason:
            alone[norm] = wiring.reason
            continue
        for module in (wiring.producer, norm):
            for name in _tensors_of(state, module):
                if len(state[name].shape):
                    tensors[name] = _taken(tensors[name], mask, 0)
        name = f"{wiring.consumer}.weight"
        places = np.repeat(mask, state[name].shape[1] // mask.size)  # a flattened map, by channel
        tensors[name] = _taken(tensors[name], places, 1)
        widths[wiring.producer] = int(mask.sum())
    return PrunedState(tensors, widths, alone)


def find_wiring(state: Mapping[str, Any], norm: str) -> Wiring:
    """Find the layers beside a norm by names, order and shapes.

    Args:
      state: name -> array, in the module's order.
      norm: module of the norm.

    Example:
      >>> find_wiring({'bn.weight': np.ones(4), 'bn.running_var': np.ones(4)}, 'bn').reason
      'no convolution stands directly before it in its module'
    """
    order = _layers(state)
    parent = norm.rpartition(".")[0]
    siblings = [name for name in order if name.rpartition(".")[0] == parent]
    place = siblings.index(norm)
    width = state[f"{norm}.running_var"].shape[0]
    producer = siblings[place - 1] if place else ""
    if not producer or not _is_conv(state, producer) or _outputs(state, producer) != width:
        return Wiring(reason="no convolution stands directly before it in its module")
    if order_is_lost(state) and not _is_post_norm(state, norm, order):
        return Wiring(reason="the file is sorted by the alphabet and names do not tell the order")
    if _is_grouped(state, producer, siblings, order):
        return Wiring(reason=f"its convolution {producer} is grouped")
    following = order[order.index(norm) + 1 :][:1]
    if not following or not (following[0] in siblings or _is_head(state, following[0], order)):
        return Wiring(reason="it is the last of its module: names do not tell what it feeds")
    consumer = following[0]
    if _is_norm(state, consumer):
        return Wiring(reason=f"another norm follows it, {consumer}")
    inputs = state[f"{consumer}.weight"].shape[1]
    if not (inputs == width if _is_conv(state, consumer) else inputs % width == 0):
        return Wiring(reason=f"the next layer, {consumer}, does not receive its {width} filters")
    return Wiring(producer, consumer)


def _is_head(state: Mapping[str, Any], name: str, order: list[str]) -> bool:
    """Whether it is a linear layer, and all convolutions are in one module."""
    parents = {conv.rpartition(".")[0] for conv in order if _is_conv(state, conv)}
    return not _is_norm(state, name) and _rank(state, name) == 2 and len(parents) == 1


def _layers(state: Mapping[str, Any]) -> list[str]:
    """Modules with a weight or with running statistics, in the order of their making."""
    found = dict.fromkeys(
        name.rpartition(".")[0]
        for name, tensor in state.items()
        if name.endswith((".weight", ".running_var")) and len(tensor.shape)
    )
    names = [name for name in found if _is_norm(state, name) or _rank(state, name) in (2, 3, 4, 5)]
    return sorted(names, key=_by_convention) if names == sorted(names) else names


def order_is_lost(state: Mapping[str, Any]) -> bool:
    """Whether names are sorted by the alphabet, as in a safetensors file.

    Example:
      >>> order_is_lost({'bn1.weight': np.ones(3), 'conv1.weight': np.ones((3, 3, 1, 1))})
      True
    """
    names = list(dict.fromkeys(name.rpartition(".")[0] for name in state))
    return names == sorted(names)


def _is_post_norm(state: Mapping[str, Any], norm: str, order: list[str]) -> bool:
    """Whether names alone say that the norm follows its convolution.

    Numbered modules of a sequence do; 'bn2' follows 'conv2' in a network whose first convolution
    has its norm beside it, which networks with norms before their convolutions have not.
    """
    if norm.rpartition(".")[2].isdigit():
        return True
    first = next(name for name in order if _is_conv(state, name))
    return "bn" in norm.rpartition(".")[2] and _is_norm(state, first.replace("conv", "bn"))


def _by_convention(module: str) -> list[tuple[int, int, int, str]]:
    """Sort key of names whose order is lost, as safetensors files sort them by the alphabet.

    Numbers count; 'conv2' stands before 'bn2', 'bn2' before 'conv3'; shortcuts stand behind the
    rest of their block, and heads behind everything.
    """
    keys = []
    for part in module.split("."):
        word = part.rstrip("0123456789")
        number = int(part[len(word) :] or 0)
        rank = 3 if word in HEADS else 2 if word in SHORTCUTS else int(word not in PAIRED)
        keys.append((rank, 0, number, str(PAIRED.index(word))) if not rank else (rank, 0, 0, word))
        keys.append((0, 0, number, ""))
    return keys


def _rank(state: Mapping[str, Any], module: str) -> int:
    return len(state[f"{module}.weight"].shape)


def _is_norm(state: Mapping[str, Any], module: str) -> bool:
    return f"{module}.running_var" in state


def _is_conv(state: Mapping[str, Any], module: str) -> bool:
    return not _is_norm(state, module) and _rank(state, module) > 2


def _outputs(state: Mapping[str, Any], module: str) -> int:
    return state[f"{module}.weight"].shape[0]


def _is_grouped(state: Mapping[str, Any], conv: str, siblings: list[str], order: list[str]) -> bool:
    """Whether a convolution receives fewer channels than the one before it gives."""
    inputs = state[f"{conv}.weight"].shape[1]
    before = [name for name in siblings[: siblings.index(conv)] if _is_conv(state, name)]
    if before:
        return inputs != _outputs(state, before[-1])
    return inputs == 1 and conv != next(name for name in order if _is_conv(state, name))


def _tensors_of(state: Mapping[str, Any], module: str) -> list[str]:
    return [name for name in state if name.rpartition(".")[0] == module]


def _taken(tensor: Any, mask: np.ndarray, axis: int) -> Any:
    places = np.flatnonzero(mask).tolist()
    return tensor[places] if axis == 0 else tensor[:, places]


def _checked(state: Mapping[str, Any], norm: str, mask: np.ndarray) -> np.ndarray:
    if not _is_norm(state, norm):
        norms = [name for name in _layers(state) if _is_norm(state, name)]
        raise UserError(
            f"the state dict has no norm {norm}; valid are {', '.join(norms) or 'none'}"
        )
    width = state[f"{norm}.running_var"].shape[0]
    if mask.dtype != bool or mask.shape != (width,) or not mask.any():
        raise UserError(
            f"the keep-set of {norm} has shape {mask.shape}, type {mask.dtype.name} and keeps "
            f"{int(mask.sum())}; valid is a boolean array of {width} that keeps one or more"
        )
    return mask
