"""Spill files of TFDS opened by Python: shuffling more than 1 GB without TensorFlow.

While it prepares a large split, TFDS keeps examples in about a thousand bucket files, which it
opens through `tf.io.gfile`. Local files need none of that. It offers no public way to open them
otherwise: its only option, not to shuffle, would put the records in another order.
"""

import contextlib
import os
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

from tensorflow_datasets.core import shuffle

_OPEN_FILES = 4096


class _NeverRaisedError(Exception):
    message = ""


@contextlib.contextmanager
def plain_spill_files() -> Iterator[None]:
    """Within it, TFDS prepares splits of any size without TensorFlow.

    Example:
        >>> with plain_spill_files():
        ...     pass  # builder.download_and_prepare()
    """
    _allow_open_files()
    files = SimpleNamespace(GFile=open, exists=os.path.exists, remove=os.remove)
    errors = SimpleNamespace(ResourceExhaustedError=_NeverRaisedError)
    module: Any = shuffle
    before = module.tf
    module.tf = SimpleNamespace(io=SimpleNamespace(gfile=files), errors=errors)
    try:
        yield
    finally:
        module.tf = before


def _allow_open_files() -> None:
    """Raise the limit of open files above the number of buckets, where there is such a limit."""
    with contextlib.suppress(ImportError):  # Windows has no such module
        import resource

        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        wanted = _OPEN_FILES if hard == resource.RLIM_INFINITY else min(_OPEN_FILES, hard)
        if soft != resource.RLIM_INFINITY and soft < wanted:
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
