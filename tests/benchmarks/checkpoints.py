"""What share of the training time do checkpoints take, at one a minute?

python tests/benchmarks/checkpoints.py [--width W] [--saves N]

The step's loop stands still while the state is copied off the device and digested; the rest is
written in the background. Both are counted: the time `save` blocks, and the time until the
checkpoint is committed, which is an upper bound of what the background can cost.
"""

import argparse
import statistics
import tempfile
import time
from pathlib import Path

import numpy as np

from sparsity_jax.config.base import default_config
from sparsity_jax.config.sweep import expand
from sparsity_jax.data import Dataset
from sparsity_jax.storage.checkpoints import Checkpoints
from sparsity_jax.training import DeviceDataset, TrainState, init_state
from sparsity_jax.training.options import TrainOptions
from sparsity_jax.training.run import make_run


def measure(state: TrainState, saves: int) -> tuple[float, float]:
    """Median seconds that a save blocks, and until it is committed."""
    blocked, committed = [], []
    with tempfile.TemporaryDirectory() as scratch, Checkpoints(Path(scratch) / "c") as checkpoints:
        for step in range(saves + 1):
            began = time.perf_counter()
            checkpoints.save(step, state, arrays={}, notes={})
            blocked.append(time.perf_counter() - began)
            checkpoints.wait()
            committed.append(time.perf_counter() - began)
    return statistics.median(blocked[1:]), statistics.median(committed[1:])  # the first warms up


def main() -> None:
    """Print the figures for BasicNet with Adam, whose state is three times the parameters."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--width", default="64-1x")
    parser.add_argument("--saves", type=int, default=7)
    asked = parser.parse_args()
    images, labels = np.zeros((40, 32, 32, 3), np.uint8), np.arange(40, dtype=np.int32) % 10
    noise = Dataset("noise", images, labels, images, labels, tuple("0123456789"))
    config = default_config()
    config.data, config.width = "cifar10", asked.width
    every = TrainOptions().seconds_between_checkpoints
    job = make_run(expand(config)[0], noise, DeviceDataset.of(noise), Path())
    blocked, committed = measure(init_state(job.program, job.hparams), asked.saves)
    print(f"BasicNet {asked.width}, Adam; one checkpoint in {every:.0f} s")
    for what, seconds in (("blocks the steps", blocked), ("until committed", committed)):
        share = 100 * seconds / (every + seconds)
        print(f"  {what}: {1000 * seconds:.0f} ms, {share:.2f} % of the training time")


if __name__ == "__main__":
    main()
