"""Files of named tensors: safetensors without any library, .pt through PyTorch."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np

from sparsity_jax.errors import UserError
from sparsity_jax.pruning.torch_state import PrunedState, prune_state_dict

DTYPES: dict[str, Any] = {
    "BF16": ml_dtypes.bfloat16,
    "BOOL": np.bool_,
    "F16": np.float16,
    "F32": np.float32,
    "F64": np.float64,
    "I8": np.int8,
    "I16": np.int16,
    "I32": np.int32,
    "I64": np.int64,
    "U8": np.uint8,
}
MAX_HEADER = 100_000_000  # the format's own limit


def prune_torch_file(source: Path, target: Path, keep: Mapping[str, Any]) -> PrunedState:
    """Write a smaller state dict beside a PyTorch checkpoint.

    Args:
      source: a .safetensors file, or what `torch.save(model.state_dict(), ...)` wrote.
      target: the file to write: .safetensors (needs no PyTorch if `source` is one too) or .pt.
      keep: norm's module -> boolean array, True = keep; as for `prune_state_dict`.

    Returns:
      What was written.

    Raises:
      UserError: as `prune_state_dict`, files that cannot be read or written, or PyTorch missing.

    Example:
      >>> keep = {'layer1.0.bn1': np.arange(64) < 40}  # doctest: +SKIP
      >>> pruned = prune_torch_file(
      ...     Path('resnet18.pt'), Path('smaller.safetensors'), keep
      ... )  # doctest: +SKIP
    """
    pruned = prune_state_dict(load_tensors(source), keep)
    save_tensors(target, pruned.tensors)
    return pruned


def load_tensors(path: Path) -> dict[str, Any]:
    """Read a .safetensors file as numpy arrays, or a PyTorch file as torch tensors.

    Raises:
      UserError: a file that cannot be read, is damaged or holds no tensors by name.

    Example:
      >>> save_tensors(Path('x.safetensors'), {'a': np.arange(3, dtype=np.float32)})
      >>> load_tensors(Path('x.safetensors'))
      {'a': array([0., 1., 2.], dtype=float32)}
    """
    if path.suffix != ".safetensors":
        return _load_torch(path)
    try:
        content = path.read_bytes()
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror}") from None
    try:
        size = int.from_bytes(content[:8], "little")
        if size > MAX_HEADER:
            raise ValueError("its header is too long")
        header, data = json.loads(content[8 : 8 + size]), memoryview(content)[8 + size :]
        return {name: _array(entry, data) for name, entry in header.items() if name[:2] != "__"}
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        reason = str(error).splitlines()[0][:100] if str(error) else type(error).__name__
        raise UserError(f"{path} is not a safetensors file, or damaged: {reason}") from None


def save_tensors(path: Path, tensors: Mapping[str, Any]) -> None:
    """Write named tensors: .safetensors without PyTorch, .pt and .pth with it.

    Raises:
      UserError: another suffix, a type that the format does not know, or an unwritable folder.

    Example:
      >>> save_tensors(Path('x.safetensors'), {'a': np.zeros((2, 2))})
    """
    if path.suffix not in (".safetensors", ".pt", ".pth"):
        raise UserError(f"cannot write {path}: valid are .safetensors, .pt and .pth")
    with replacing(path) as temporary:
        if path.suffix == ".safetensors":
            temporary.write_bytes(_safetensors(tensors))
        else:
            torch = _torch()
            torch.save({name: _to_torch(torch, x) for name, x in tensors.items()}, temporary)


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Give a name beside `path` to write to, which then takes its place: nobody reads half a file.

    Raises:
      UserError: the folder cannot be written to.

    Example:
      >>> with replacing(Path('x.onnx')) as temporary:  # doctest: +SKIP
      ...     temporary.write_bytes(content)
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield temporary
        os.replace(temporary, path)
    except OSError as error:
        raise UserError(f"cannot write {path}: {error.strerror}; give a writable folder") from None
    finally:
        if temporary.parent.is_dir():
            temporary.unlink(missing_ok=True)


def _array(entry: Mapping[str, Any], data: memoryview) -> np.ndarray:
    start, end = entry["data_offsets"]
    dtype = np.dtype(DTYPES[entry["dtype"]])
    return np.frombuffer(data[start:end], dtype).reshape(entry["shape"]).copy()


def _safetensors(tensors: Mapping[str, Any]) -> bytes:
    header: dict[str, Any] = {}
    parts, at = [], 0
    names = {np.dtype(dtype): name for name, dtype in DTYPES.items()}
    for name, tensor in tensors.items():
        array = _to_numpy(tensor)
        if array.dtype not in names:
            raise UserError(f"safetensors knows no type {array.dtype} ({name})")
        parts.append(array.astype(array.dtype.newbyteorder("<"), copy=False).tobytes())
        offsets = [at, at + len(parts[-1])]
        shape = list(array.shape)
        header[name] = {"dtype": names[array.dtype], "shape": shape, "data_offsets": offsets}
        at = offsets[1]
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text + b"".join(parts)


def _to_numpy(tensor: Any) -> np.ndarray:
    if type(tensor).__module__.partition(".")[0] != "torch":
        return np.asarray(tensor)
    tensor = tensor.detach().cpu()
    if str(tensor.dtype) == "torch.bfloat16":
        return np.asarray(tensor.float()).astype(ml_dtypes.bfloat16)  # exact: it came from there
    return np.asarray(tensor)


def _to_torch(torch: Any, tensor: Any) -> Any:
    if isinstance(tensor, torch.Tensor):
        return tensor.clone()
    array = np.asarray(tensor)
    if array.dtype == ml_dtypes.bfloat16:
        return torch.from_numpy(array.astype(np.float32)).bfloat16()
    return torch.from_numpy(np.array(array))


def _load_torch(path: Path) -> dict[str, Any]:
    torch = _torch()
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror}") from None
    except Exception as error:  # the reader of pickles raises many kinds
        reason = (str(error).splitlines() or [type(error).__name__])[0][:200]
        raise UserError(f"{path} is not a PyTorch state dict, or damaged: {reason}") from None
    found = _state_dicts(torch, content)
    if not found:
        raise UserError(f"{path} holds no state dict; valid is torch.save(model.state_dict(), ...)")
    return found[0]


def _state_dicts(torch: Any, content: Any) -> list[dict[str, Any]]:
    """Mappings of names to tensors: the content itself, or what stands one level below."""
    found = []
    for candidate in (content, *(content.values() if isinstance(content, Mapping) else ())):
        if isinstance(candidate, Mapping):
            tensors = {k: v for k, v in candidate.items() if isinstance(v, torch.Tensor)}
            if any(str(name).endswith("running_var") for name in tensors):
                found.append(tensors)
    return found


def _torch() -> Any:
    try:
        return __import__("torch")
    except ImportError:
        raise UserError(
            ".pt files need PyTorch (pip install torch); .safetensors files need none"
        ) from None
