"""Words of other programs for the tensors of a layer, brought to one vocabulary."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping

from sparsity_jax.audit.tensors import Path, Tensor

_ROLES = {
    "weight": "weight",
    "weight_orig": "weight",  # torch.nn.utils.prune and the old spectral_norm
    "weight_v": "weight",  # weight_norm: the direction; 'weight_g' is the length
    "kernel": "kernel",
    "w": "kernel",
    "weights": "kernel",
    "depthwise_kernel": "depthwise",
    "depthwise_weights": "depthwise",
    "pointwise_kernel": "kernel",
    "pointwise_weights": "kernel",
    "scale": "gamma",
    "gamma": "gamma",
    "weight_mask": "mask",
    "scale_mask": "mask",
    "gamma_mask": "mask",
    "bias": "beta",
    "beta": "beta",
    "offset": "beta",
    "mean": "mean",
    "running_mean": "mean",
    "moving_mean": "mean",
    "_mean": "mean",
    "var": "var",
    "variance": "var",
    "running_var": "var",
    "running_variance": "var",
    "moving_variance": "var",
    "moving_var": "var",
    "_variance": "var",
}
_FIRST = {"weight": 0, "kernel": 1, "w": 2, "weights": 3, "pointwise_kernel": 4}
CHANNELS_FIRST = "channels first"  # (out, in, k, k), as in PyTorch
CHANNELS_LAST = "channels last"  # (k, k, in, out), as in JAX and TensorFlow


@dataclasses.dataclass(frozen=True)
class Leaf:
    """One tensor of a module: where it lies in the file, and its shape without axes of size 1."""

    path: Path
    tensor: Tensor
    shape: tuple[int, ...]


@dataclasses.dataclass
class Module:
    """The tensors of one layer by role: kernel, depthwise, gamma, beta, mean, var, mask."""

    leaves: dict[str, Leaf] = dataclasses.field(default_factory=dict)
    layout: str = CHANNELS_FIRST

    @property
    def has_statistics(self) -> bool:
        """Whether running means and variances are there, as only a BatchNorm has them."""
        return "mean" in self.leaves and "var" in self.leaves

    @property
    def kernel(self) -> Leaf | None:
        """Kernel of a convolution or dense layer."""
        return self.leaves.get("kernel") or self.leaves.get("depthwise")


def modules_of(tensors: Mapping[Path, Tensor], root: int = 0) -> dict[Path, Module]:
    """Collect tensors into modules, in the order in which their weights come in the file.

    Args:
      tensors: path -> tensor.
      root: how many leading parts of each path are left off.

    Returns:
      Module path -> module. What is neither weight nor statistic is not in it.

    Example:
      >>> ones = Tensor((4,))
      >>> found = modules_of({('bn', 'gamma:0'): ones, ('bn', 'moving_mean:0'): ones})
      >>> sorted(found[('bn',)].leaves)
      ['gamma', 'mean']
    """
    modules: dict[Path, Module] = {}
    for original, tensor in tensors.items():
        *scope, last = _plain(original[root:]) or ("",)
        if role := _ROLES.get(last):
            _enter(modules.setdefault(tuple(scope), Module()), role, last, original, tensor)
    for module in modules.values():
        _settle(module)
    weighty = {path: m for path, m in modules.items() if m.kernel or "gamma" in m.leaves}
    return weighty | {path: m for path, m in modules.items() if m.leaves}


def _enter(module: Module, role: str, word: str, path: Path, tensor: Tensor) -> None:
    leaf = Leaf(path, tensor, _squeezed(tensor.shape) if role != "weight" else tensor.shape)
    if role in ("kernel", "depthwise"):
        leaf = Leaf(path, tensor, tensor.shape)
        module.layout = CHANNELS_LAST
    if role == "weight":
        role = "gamma" if len(tensor.shape) < 2 else "kernel"
        if word == "weight_v" and role == "gamma":
            return  # a vector of spectral_norm's power iteration
    known = module.leaves.get(role)
    if known is None or _FIRST.get(word, 9) < _FIRST.get(_plain(known.path)[-1], 9):
        module.leaves[role] = leaf


def _settle(module: Module) -> None:
    """A layer with statistics has no kernel; one with a kernel has no gamma."""
    leaves = module.leaves
    for role in ("kernel", "depthwise"):
        if role in leaves and len(leaves[role].shape) < 2:
            del leaves[role]
    if module.has_statistics and "gamma" not in leaves and "kernel" in leaves:
        squeezed = _squeezed(leaves["kernel"].shape)
        if squeezed == leaves["mean"].shape:
            kernel = leaves.pop("kernel")
            leaves["gamma"] = dataclasses.replace(kernel, shape=squeezed)
    if "kernel" in leaves:
        leaves.pop("gamma", None)


def _squeezed(shape: tuple[int, ...]) -> tuple[int, ...]:
    """(1, 64, 1, 1) is a vector of 64."""
    return shape if len(shape) < 2 else tuple(n for n in shape if n != 1) or (1,)


def _plain(path: Path) -> Path:
    """A path without what frameworks wrap around a name: ':0', '/value', parametrizations, '~'."""
    if not path:
        return path
    *scope, last = path
    last = re.sub(r":\d+$", "", last)
    scope = [part for part in scope if part != "~"]
    if last in ("value", "raw_value") and scope:  # boxes of Flax
        last = scope.pop()
    if last == "ExponentialMovingAverage" and scope:  # TensorFlow's name for a second network
        last = scope.pop()
        scope = ["ExponentialMovingAverage", *scope]
    if last == "average" and scope and scope[-1] in ("mean_ema", "var_ema"):  # Haiku
        last = scope.pop().removesuffix("_ema")
    if "parametrizations" in scope:
        return _parametrized(scope, last)
    return (*scope, last)


def _parametrized(scope: list[str], last: str) -> Path:
    """PyTorch's 'conv.parametrizations.weight.original1' is the weight of 'conv'."""
    at = scope.index("parametrizations")
    name, rest = scope[at + 1 : at + 2], scope[at + 2 :]
    if not name:
        return (*scope, last)
    if not rest and last in ("original", "original1"):
        word = {"original": "weight_orig", "original1": "weight_v"}[last]
        return (*scope[:at], word if name == ["weight"] else name[0])
    if "mask" in last and name == ["weight"]:
        return (*scope[:at], "weight_mask")
    return (*scope, last)
