"""How does TFDS shuffle more than 1 GB without TensorFlow? Its spill files opened by Python.

While it prepares a large split, TFDS keeps examples in about a thousand bucket files, which it
opens through `tf.io.gfile`. Local files need none of that.
"""

import contextlib
import os
import resource
from collections.abc import Iterator
from types import SimpleNamespace

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
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _OPEN_FILES if hard == resource.RLIM_INFINITY else min(_OPEN_FILES, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    files = SimpleNamespace(GFile=open, exists=os.path.exists, remove=os.remove)
    errors = SimpleNamespace(ResourceExhaustedError=_NeverRaisedError)
    before = vars(shuffle)["tf"]
    vars(shuffle)["tf"] = SimpleNamespace(io=SimpleNamespace(gfile=files), errors=errors)
    try:
        yield
    finally:
        vars(shuffle)["tf"] = before
