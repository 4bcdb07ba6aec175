"""Trial of an installation: a small network must learn two colours of noise, and twice the same."""

from __future__ import annotations

import time
from pathlib import Path

import jax
import numpy as np

from sparsity_jax.config.base import default_config
from sparsity_jax.config.sweep import expand
from sparsity_jax.data import Dataset
from sparsity_jax.distributed import graphs
from sparsity_jax.training import DeviceDataset, init_state, train_steps
from sparsity_jax.training.run import make_run

STEPS = 30
MOST_LOSS = 0.6  # guessing is log 2 = 0.69


def self_test() -> tuple[bool, str]:
    """Train a small network twice.

    Returns:
      (whether it learned, and the same each time, one line that says so or what went wrong).

    Example:
      >>> self_test()  # doctest: +SKIP
      (True, 'self-test: 30 steps, loss 0.021, repeatable (4.1 s)')
    """
    began = time.monotonic()
    try:
        (loss, first), (_, second) = _trained(), _trained()
    except Exception as error:  # whatever is wrong with the installation
        return False, f"self-test: {type(error).__name__}: {str(error).splitlines()[0]}"
    same = all(np.array_equal(a, b) for a, b in zip(first, second, strict=True))
    if not (np.isfinite(loss) and loss < MOST_LOSS and same):
        return False, f"self-test: loss {loss:.3f} (below 0.6 expected), repeatable: {same}"
    seconds = time.monotonic() - began
    return True, f"self-test: {STEPS} steps, loss {loss:.3f}, repeatable ({seconds:.1f} s)"


def compiler_line() -> str:
    """The compiler options that training takes on this machine, in one line."""
    return graphs.described()


def _trained() -> tuple[float, list[np.ndarray]]:
    """Mean loss of the second half of the steps, and all parameters."""
    noise = _noise()
    config = default_config()
    config.data, config.width = "cifar10", "0.0625"  # any set that needs no further settings
    run = make_run(expand(config)[0], noise, DeviceDataset.of(noise), Path())
    state = init_state(run.program, run.hparams)
    state = train_steps(run.program, run.hparams, run.data, state, until=STEPS // 2)
    half = float(state.loss_sum)
    state = train_steps(run.program, run.hparams, run.data, state, until=STEPS)
    loss = (float(state.loss_sum) - half) / (STEPS - STEPS // 2)
    return loss, [np.asarray(leaf) for leaf in jax.tree.leaves(state.params)]


def _noise() -> Dataset:
    random = np.random.default_rng(0)
    labels = np.arange(80, dtype=np.int32) % 2
    dark_or_bright = random.integers(0, 128, (80, 16, 16, 1)) + 127 * labels[:, None, None, None]
    images = dark_or_bright.astype(np.uint8)
    return Dataset("noise", images, labels, images[:20], labels[:20], ("dark", "bright"))
