"""Format of somebody's checkpoint, told by its content and not by its name."""

from __future__ import annotations

import functools
import zipfile
from collections.abc import Callable
from pathlib import Path as File
from typing import TypeVar

from sparsity_jax.audit.npz_reader import read_npz
from sparsity_jax.audit.safetensors_reader import is_safetensors, read_safetensors
from sparsity_jax.audit.tensors import Source
from sparsity_jax.audit.torch_reader import read_torch_legacy, read_torch_zip
from sparsity_jax.audit.torch_storage import magic_of_legacy
from sparsity_jax.errors import UserError

FORMATS = (
    "an Orbax checkpoint directory, .safetensors (or its .index.json), PyTorch's .pt, .pth, .bin "
    "or .ckpt, Flax's .msgpack, or .npz"
)
_WAYS_OUT = {
    "HDF5": "is HDF5; in Keras write "
    "numpy.savez('x.npz', **{w.path: w.numpy() for w in model.weights}) and audit that",
    "Keras": "is a whole Keras model; load it and write "
    "numpy.savez('x.npz', **{w.path: w.numpy() for w in model.weights}), and audit that",
    "ONNX": "is ONNX, which folds its norms away; it is not a checkpoint known here; "
    f"give {FORMATS}",
    "pickle": "is a pickle that is not PyTorch's, and is not run; load it in its own program and "
    "write its arrays with numpy.savez",
    "tar": "is a tar archive; unpack it and audit what is inside",
    "gzip": "is compressed with gzip; unpack it and audit what is inside",
    "text": "is a text file, no checkpoint known here",
}
_T = TypeVar("_T")
_TORCH = (".pt", ".pth", ".bin", ".ckpt", ".tar")


def open_source(path: File) -> Source:
    """List the tensors of a checkpoint, whatever program wrote it.

    Args:
      path: a file or a directory; also a folder that `save_model` wrote.

    Returns:
      Its tensors by path; none is read yet.

    Raises:
      UserError: it is missing, of another kind, truncated, or hostile; it is named.

    Example:
      >>> source = open_source(File('model.safetensors'))  # doctest: +SKIP
      >>> source.tensors['layer1', '0', 'bn1', 'weight'].shape  # doctest: +SKIP
      (64,)
    """
    return guarded(path, lambda: _reader(path)(path))


def guarded(path: File, read: Callable[[], _T]) -> _T:
    """Call a reader; whatever ails the file becomes one line that names it.

    Raises:
      UserError: the file is damaged.
    """
    try:
        return read()
    except UserError as error:
        raise UserError(f"{path}: {' '.join(str(error).split())}") from None
    # Damage shows as any of these, deep inside zipfile, json, struct or Orbax.
    except Exception as error:
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise UserError(f"{path} is damaged or not {FORMATS}: {reason}") from None


def _reader(path: File) -> Callable[[File], Source]:
    # Folders and msgpack bring what only they need.
    if path.is_dir():
        from sparsity_jax.audit.folders import read_folder

        return functools.partial(read_folder, open_file=open_source)
    if not path.exists():
        raise UserError(f"does not exist; give {FORMATS}")
    with path.open("rb") as file:
        head = file.read(512)
    if zipfile.is_zipfile(path):
        return _zip_reader(path)
    if magic_of_legacy(head):
        return read_torch_legacy
    if is_safetensors(head, path.stat().st_size):
        return read_safetensors
    return _other_reader(path, head)


def _zip_reader(path: File) -> Callable[[File], Source]:
    with zipfile.ZipFile(path) as archive:
        names = archive.namelist()
    if any(name.endswith(".npy") for name in names):
        return read_npz
    if any(name.endswith((".weights.h5", "config.json")) for name in names):
        raise UserError(_WAYS_OUT["Keras"])
    return read_torch_zip


def _other_reader(path: File, head: bytes) -> Callable[[File], Source]:
    """Formats without a mark of their own, and those that stay refused."""
    suffix = path.suffix.lower()
    marks = {b"\x89HDF\r\n\x1a\n": "HDF5", b"\x1f\x8b": "gzip", b"\x80": "pickle"}
    for mark, kind in marks.items():
        if head.startswith(mark) and not (kind == "pickle" and _is_msgpack(suffix, head)):
            raise UserError(_WAYS_OUT[kind])
    if head[257:262] == b"ustar":
        raise UserError(_WAYS_OUT["tar"])
    if suffix == ".onnx" or (head[:1] == b"\x08" and b"pytorch" in head[:64]):
        raise UserError(_WAYS_OUT["ONNX"])
    if suffix == ".safetensors":
        return read_safetensors
    if head.lstrip()[:1] == b"{":
        from sparsity_jax.audit.folders import read_index

        return functools.partial(read_index, open_file=open_source)
    if _is_msgpack(suffix, head):
        from sparsity_jax.audit.msgpack_reader import read_msgpack

        return read_msgpack
    if suffix in _TORCH:
        raise UserError("not a zip file: truncated, or not written by torch.save")
    if suffix == ".npz":
        raise UserError(f"is damaged or not {FORMATS}: not a zip file")
    raise UserError(f"is not a checkpoint known here; give {FORMATS}")


def _is_msgpack(suffix: str, head: bytes) -> bool:
    """Whether it begins with a map whose first key is text."""
    first, key = head[:1], head[1:2]
    if first in (b"\xde", b"\xdf"):
        key = head[3:4] if first == b"\xde" else head[5:6]
    elif not (first and 0x81 <= first[0] <= 0x8F):
        return False
    text = bool(key) and (0xA0 <= key[0] <= 0xBF or key[0] in (0xD9, 0xDA))
    return text or suffix == ".msgpack"
