"""Export of networks as StableHLO or ONNX."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn
from jax import export as jax_export

from sparsity_jax.errors import UserError
from sparsity_jax.models import convolution
from sparsity_jax.models.convnet import ConvNet, Convolution
from sparsity_jax.models.plans import Plan
from sparsity_jax.pruning.generic import PrunedModel
from sparsity_jax.pruning.surgery import check_variables
from sparsity_jax.pruning.tensor_files import replacing
from sparsity_jax.sparsity.program import evaluate, plain, trace

Logits = Callable[[Any], np.ndarray]  # normalised float images (N, H, W, C) -> logits (N, classes)

PLATFORMS = ("cpu", "cuda", "tpu")


@dataclasses.dataclass(frozen=True)
class Agreement:
    """Agreement of an exported network with its original on some images.

    Attributes:
      max_logit_difference: largest absolute difference of any logit.
      changed_pct: images whose predicted class differs, in percent.
    """

    max_logit_difference: float
    changed_pct: float


def export_stablehlo(
    network: Plan | PrunedModel,
    variables: Any,
    path: Path,
    *,
    platforms: tuple[str, ...] = PLATFORMS,
) -> None:
    """Write a network, weights included, as one StableHLO file for any batch size.

    Loading needs jax and no code of this project: `jax.export.deserialize(bytes).call(images)`.

    Args:
      network: a plan, or what `prune_model` returned.
      variables: {'params', 'batch_stats'} of ConvNet(plan), or a pruned model's variables.
      path: the file to write, such as 'model.stablehlo'.
      platforms: what it shall run on.

    Raises:
      UserError: variables of another plan, a folder that cannot be written, or no flatbuffers.

    Example:
      >>> export_stablehlo(plan, variables, Path('model.stablehlo'))  # doctest: +SKIP
      >>> load_stablehlo(Path('model.stablehlo'))(images).shape  # doctest: +SKIP
      (4, 10)
    """
    _needed("flatbuffers", "flatbuffers")
    function, shape = _evaluation(network, variables)
    batch = jax_export.symbolic_shape("batch")
    images = jax.ShapeDtypeStruct((*batch, *shape), jnp.float32)
    exported = jax_export.export(jax.jit(function), platforms=platforms)(images)
    _write(path, bytes(exported.serialize()))


def load_stablehlo(path: Path) -> Logits:
    """Read what `export_stablehlo` wrote, as a function of images.

    Raises:
      UserError: the file is missing or damaged.

    Example:
      >>> load_stablehlo(Path('model.stablehlo'))(images).argmax(-1)  # doctest: +SKIP
      array([3, 8, 8, 0])
    """
    _needed("flatbuffers", "flatbuffers")
    content = _read(path)
    try:
        exported = jax_export.deserialize(bytearray(content))
    except Exception as error:  # flatbuffers and the StableHLO reader raise many kinds
        reason = (str(error).splitlines() or [type(error).__name__])[0][:200]
        raise UserError(f"{path} is not a StableHLO export, or damaged: {reason}") from None
    call = jax.jit(exported.call)
    return lambda images: np.asarray(call(jnp.asarray(images, jnp.float32)))


def export_onnx(network: Plan | PrunedModel, variables: Any, path: Path) -> None:
    """Write a network, weights included, as ONNX for any batch size, through jax2onnx.

    Args:
      network: a plan, or what `prune_model` returned.
      variables: {'params', 'batch_stats'} of ConvNet(plan), or a pruned model's variables.
      path: the file to write, such as 'model.onnx'.

    Raises:
      UserError: jax2onnx is not installed, variables of another plan, or an unwritable folder.

    Example:
      >>> export_onnx(plan, variables, Path('model.onnx'))  # doctest: +SKIP
    """
    jax2onnx = _needed("jax2onnx", "jax2onnx")
    function, shape = _evaluation(network, variables)
    if isinstance(network, Plan):
        model = jax2onnx.to_onnx(function, [("batch", *shape)])
    else:
        images = jax.ShapeDtypeStruct((*jax_export.symbolic_shape("batch"), *shape), jnp.float32)
        model = jax2onnx.to_onnx(_operations(function, images), [images])
    _write(path, model.SerializeToString())


def load_onnx(path: Path) -> Logits:
    """Read an ONNX file, as a function of images run by onnxruntime on the CPU.

    Raises:
      UserError: onnxruntime is not installed, or the file is missing or damaged.

    Example:
      >>> load_onnx(Path('model.onnx'))(images).argmax(-1)  # doctest: +SKIP
      array([3, 8, 8, 0])
    """
    onnxruntime = _needed("onnxruntime", "onnxruntime")
    content = _read(path)
    try:
        session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    except Exception as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0][:200]
        raise UserError(f"{path} is not an ONNX model, or damaged: {reason}") from None
    name = session.get_inputs()[0].name
    return lambda images: session.run(None, {name: np.asarray(images, np.float32)})[0]


def agreement(
    network: Plan | PrunedModel,
    variables: Any,
    exported: Logits,
    images: Any,
    *,
    batch_size: int = 500,
) -> Agreement:
    """Compare an exported network with the one that was exported, on images.

    Args:
      network: a plan, or what `prune_model` returned.
      variables: its variables.
      exported: what `load_stablehlo` or `load_onnx` returned.
      images: normalised floats (N, H, W, C).
      batch_size: images at a time.

    Raises:
      UserError: no images.

    Example:
      >>> agreement(plan, variables, load_onnx(Path('model.onnx')), images)  # doctest: +SKIP
      Agreement(max_logit_difference=3.1e-06, changed_pct=0.0)
    """
    if len(images) == 0:
        raise UserError("there are no images; give at least one")
    function = network.apply_fn if isinstance(network, PrunedModel) else ConvNet(network).apply
    if isinstance(network, Plan):
        check_variables(network, variables)
    original = jax.jit(function)
    difference, changed = 0.0, 0
    for start in range(0, len(images), batch_size):
        batch = np.asarray(images[start : start + batch_size], np.float32)
        ours, theirs = np.asarray(original(variables, batch)), exported(batch)
        difference = float(np.maximum(difference, np.abs(ours - theirs).max()))  # NaN stays
        changed += int((ours.argmax(-1) != theirs.argmax(-1)).sum())
    return Agreement(difference, 100.0 * changed / len(images))


def _evaluation(
    network: Plan | PrunedModel, variables: Any
) -> tuple[Callable[[Any], Any], tuple[int, ...]]:
    """The network as a function of images, and the shape of one image."""
    if isinstance(network, Plan):
        return _plain_evaluation(network, variables), network.input_shape
    return lambda images: network.apply_fn(variables, images), network.input_shape


def _operations(function: Callable[[Any], Any], images: Any) -> Callable[[Any], Any]:
    """The operations of a function, for a converter that knows them and not everybody's layers."""
    program = trace(lambda _, images: function(images), {}, images)

    def run(images: Any) -> Any:
        outputs = evaluate(program.closed, [images], _pooled_plainly)
        return jax.tree.unflatten(program.output, outputs)

    return run


def _pooled_plainly(operation: Any, operands: list[Any]) -> list[Any]:
    """Run an operation; a maximum over windows of a map as the layer of that name, unpadded."""
    params = operation.params
    window = params.get("window_dimensions", ())
    if operation.primitive.name != "reduce_window_max" or len(window) != 4 or window[::3] != (1, 1):
        return plain(operation, operands)
    padded = operands[0]
    least = float(jnp.finfo(padded.dtype).min)  # runtimes make NaN of infinities
    for axis, edges in enumerate(params["padding"]):
        for end, size in enumerate(map(int, edges)):
            border = jax.lax.slice_in_dim(padded, 0, size, axis=axis) * 0 + least
            parts = [padded, border] if end else [border, padded]
            padded = jax.lax.concatenate(parts, axis) if size else padded
    strides = tuple(params["window_strides"][1:3])
    return [nn.max_pool(padded, window_shape=tuple(window[1:3]), strides=strides, padding="VALID")]


def _plain_evaluation(plan: Plan, variables: Mapping[str, Any]) -> Callable[[Any], jax.Array]:
    """The network with plain convolutions, which every runtime knows and every platform may lower.

    The forms that train fastest on the present backend would be slow or unknown elsewhere.
    """
    check_variables(plan, variables)
    kernels = {name: variables["params"][name]["conv"]["kernel"] for name in plan.layer_names}

    def plain(next_fun: Any, args: Any, kwargs: Any, context: Any) -> Any:
        if isinstance(context.module, Convolution) and context.method_name == "__call__":
            kernel, stride = kernels[context.module.path[-2]], context.module.stride
            return convolution.conv(args[0], kernel, stride=stride, method="native")
        return next_fun(*args, **kwargs)

    def evaluate(images: Any) -> Any:
        with nn.intercept_methods(plain):
            return ConvNet(plan).apply(dict(variables), images, train=False)

    return evaluate


def _needed(module: str, package: str) -> ModuleType:
    try:
        return __import__(module)
    except ImportError:
        raise UserError(f"this needs {package}; install it with: pip install {package}") from None


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror}; give an exported file") from None


def _write(path: Path, content: bytes) -> None:
    with replacing(path) as temporary:
        temporary.write_bytes(content)
