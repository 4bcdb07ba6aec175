"""How fast does ImageNet stream, how much memory does it take, what does a resident epoch cost?

Command: python tests/benchmarks/stream.py [--images 4000] [--long 50000]

Writes noise-on-gradient JPEGs of 256 x 256 (about 30 kB, as ImageNet's) once as a set prepared by
TFDS, then reads batches of 64 shuffled images, with one thread or worker process for each CPU: our
stream; PIL in a bare loop of one process, over files in memory; torch's DataLoader (if torch
is installed) with the same decoder on the same records. Starting the workers is not counted: time
runs from the tenth batch on. Ways alternate; printed are the median over the rounds, the median of
the ratios within a round, and the processor's time an image, which hardly feels what else runs.
"""

from __future__ import annotations

import argparse
import io
import os
import resource
import statistics
import tempfile
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import tensorflow_datasets as tfds
from PIL import Image

from sparsity_jax.data import Dataset
from sparsity_jax.data.files.downloads import Archive
from sparsity_jax.data.sources.builders.archive_builder import ArchiveBuilder
from sparsity_jax.data.sources.tfds_stream import Records
from sparsity_jax.data.stream import default_workers, read, usable_cpus
from sparsity_jax.models import make_plan
from sparsity_jax.training import DeviceDataset, Hparams, ProgramConfig, init_state, train_steps
from sparsity_jax.training.state import epoch_order

BATCH, WARM, DISTINCT = 64, 10, 64


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=4000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--long", type=int, default=50_000, help="images of the memory check")
    options = parser.parse_args()
    files = jpegs()
    with tempfile.TemporaryDirectory() as folder:
        source = prepared(files, Path(folder))
        speed(source, files, options.images, options.rounds)
        memory(source, options.long)
    resident()


def jpegs() -> list[bytes]:
    rng = np.random.default_rng(0)
    rows, columns = np.mgrid[:256, :256]
    found = []
    for _ in range(DISTINCT):
        waves = [np.sin(rows / a + columns / b) for a, b in rng.uniform(5, 40, (3, 2))]
        pixels = 128 + 90 * np.stack(waves, -1) + rng.normal(0, 8, (256, 256, 3))
        stream = io.BytesIO()
        Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(stream, "JPEG", quality=95)
        found.append(stream.getvalue())
    print(f"{DISTINCT} distinct JPEGs of {sum(map(len, found)) / DISTINCT / 1000:.0f} kB")
    return found


def prepared(files: list[bytes], folder: Path) -> Records:
    class Synthetic(ArchiveBuilder, skip_registration=True):
        """JPEGs."""

        ARCHIVE = Archive("none", "https://localhost", None)
        IMAGE_SHAPE = (256, 256, 3)

        def _split_generators(self, dl_manager: object) -> dict:
            self._label_feature.names = ["a", "b"]
            return {"train": self._generate_examples(Path(), "train")}

        def examples(self, path: Path, split: str) -> Iterator[tuple[bytes, int]]:
            return ((content, number % 2) for number, content in enumerate(files))

    tfds.display_progress_bar(False)
    builder = Synthetic(data_dir=folder)
    builder.download_and_prepare()
    return Records(Path(builder.data_path), "train")


def order(count: int) -> np.ndarray:
    return np.random.default_rng(1).integers(0, DISTINCT, count)


def rate(batches: Iterable) -> float:
    """Images/s from batch number WARM on."""
    began, seen = 0.0, 0
    for number, (images, _) in enumerate(batches):
        if number == WARM:
            began = time.perf_counter()
        elif number > WARM:
            seen += len(images)
    return seen / (time.perf_counter() - began)


def bare(files: list[bytes], count: int) -> Iterator[tuple[np.ndarray, None]]:
    indices = order(count)
    for start in range(0, count, BATCH):
        pixels = [
            np.asarray(Image.open(io.BytesIO(files[k])).convert("RGB"))
            for k in indices[start : start + BATCH]
        ]
        yield np.stack(pixels), None


class Listed:
    """The records as torch wants them: decoded arrays and labels."""

    def __init__(self, source: Records) -> None:
        self.source = source

    def __len__(self) -> int:
        return DISTINCT

    def __getitem__(self, index: int) -> tuple[np.ndarray, int]:
        return self.source[index]


def torch_batches(source: Records, count: int) -> Iterable:
    import torch

    torch.set_num_threads(1)
    return torch.utils.data.DataLoader(
        Listed(source),
        batch_size=BATCH,
        sampler=order(count).tolist(),
        num_workers=usable_cpus(),
        multiprocessing_context="spawn",
        persistent_workers=False,
    )


def speed(source: Records, files: list[bytes], count: int, rounds: int) -> None:
    # torch warns of arrays that are not writable, which it only reads
    os.environ["PYTHONWARNINGS"] = "ignore:The given NumPy array is not writable:UserWarning"
    workers = usable_cpus()
    ways = {
        "bare PIL loop, 1 process": lambda: bare(files, count // 2),
        f"stream, {workers} threads": lambda: read(source, order(count), batch_size=BATCH),
        f"stream, {workers} workers": lambda: read(
            source, order(count), batch_size=BATCH, workers=workers
        ),
    }
    try:
        import torch

        ways[f"torch {torch.__version__} DataLoader, {workers} workers"] = lambda: torch_batches(
            source, count
        )
    except ImportError:
        print("torch is not installed: no comparison with its DataLoader")
    rates: dict[str, list[float]] = {name: [] for name in ways}
    costs: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(rounds):
        for name, start in ways.items():
            began = cpu_seconds()
            rates[name].append(rate(start()))
            images = count // 2 if name.startswith("bare") else count
            costs[name].append((cpu_seconds() - began) / images)
    bare_rates = rates["bare PIL loop, 1 process"]
    for name, seen in rates.items():
        ratio = statistics.median(
            one / (workers * bare) for one, bare in zip(seen, bare_rates, strict=True)
        )
        print(
            f"{name}: {statistics.median(seen):.0f} images/s (median of {rounds}),"
            f" {100 * ratio:.0f} % of PIL x {workers},"
            f" {1e6 * statistics.median(costs[name]):.0f} us of processor time an image"
        )
    print("load average:", *(f"{load:.1f}" for load in os.getloadavg()))


def cpu_seconds() -> float:
    """Processor time of this process and of its workers that have ended."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(each.ru_utime + each.ru_stime for each in used)


def memory(source: Records, count: int) -> None:
    """Resident memory of this process and its workers, along a long stream."""
    seen, marks = 0, []
    for images, _ in read(source, order(count), batch_size=BATCH, workers=default_workers()):
        seen += len(images)
        if seen // (count // 5) > len(marks):
            marks.append(resident_megabytes())
    print(f"memory at each fifth of {count} images, this process and its workers: {marks} MB")


def resident_megabytes() -> int:
    """Proportional set size: shared pages count once."""
    import multiprocessing

    total = 0
    for pid in (os.getpid(), *(child.pid for child in multiprocessing.active_children())):
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                total += int(line.split()[1])
    return total // 1024


def resident() -> None:
    """What choosing a batch on the device costs beside the step: CIFAR-10, BasicNet, batch 40."""
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (50_000, 32, 32, 3), dtype=np.uint8)
    labels = rng.integers(0, 10, 50_000, dtype=np.int32)
    names = tuple("abcdefghij")
    data = DeviceDataset.of(Dataset("noise", images, labels, images[:9], labels[:9], names))
    hparams = Hparams(*map(jnp.float32, (1e-3, 1e-4, 1, 1, 0)), seed=jnp.uint32(0))
    for width in ("0.25", "64-1x"):
        plan = make_plan("BasicNet", classes=10, input_shape=(32, 32, 3), width=width)
        program = ProgramConfig(plan, "adam", "l2", "schedule", 40, (), True)
        step, choose, reorder = step_seconds(program, hparams, data)
        share = 100 * (choose + reorder / 1250) / step
        print(
            f"BasicNet {width}: step {1e3 * step:.1f} ms, choosing its batch {1e3 * choose:.3f} ms,"
            f" an epoch's order {1e3 * reorder:.1f} ms: {share:.2f} % of the step"
        )


def step_seconds(
    program: ProgramConfig, hparams: Hparams, data: DeviceDataset
) -> tuple[float, float, float]:
    """Seconds of a whole step, of gathering a batch, of an epoch's order."""
    state = train_steps(program, hparams, data, init_state(program, hparams), until=3)
    began = time.perf_counter()
    train_steps(program, hparams, data, state, until=23)
    step = (time.perf_counter() - began) / 20
    indices = epoch_order(hparams, 0, size=50_000)
    gather = jax.jit(
        lambda start: data.train_images[jax.lax.dynamic_slice(indices, (start,), (40,))]
    )
    return step, seconds(lambda: gather(3)), seconds(lambda: epoch_order(hparams, 1, size=50_000))


def seconds(call: object, count: int = 30) -> float:
    jax.block_until_ready(call())  # type: ignore[operator]
    began = time.perf_counter()
    for _ in range(count):
        jax.block_until_ready(call())  # type: ignore[operator]
    return (time.perf_counter() - began) / count


if __name__ == "__main__":
    main()
