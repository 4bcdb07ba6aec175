"""Four virtual CPU devices for every test, shared compiled programs, and the command itself."""

import csv
import os
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from unittest import mock

import pytest

sys.path.insert(0, str(Path(__file__).parent / "helpers"))  # so that tests can import them
os.environ.setdefault("JAX_PLATFORMS", "cpu")
os.environ["JAX_NUM_CPU_DEVICES"] = "4"
# Read when jax is imported, which happens after this file.
os.environ.setdefault(
    "JAX_COMPILATION_CACHE_DIR", str(Path(tempfile.gettempdir()) / "sparsity_jax_test_compilations")
)
# All programs, the small ones too: what is compiled once is not compiled again by the next run.
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0")
# Compiling takes longer than running most programs, so LLVM optimizes none of them. What users
# get is tested by the notebooks, which train for longer, and by JAX_DISABLE_MOST_OPTIMIZATIONS=0.
os.environ.setdefault("JAX_DISABLE_MOST_OPTIMIZATIONS", "1")


@pytest.fixture(scope="module", autouse=True)
def _memory_for_programs() -> Iterator[None]:
    """All tests in one process compile more programs than Linux lets it map."""
    from sparsity_jax.distributed.program_memory import release_programs

    yield
    release_programs()


@pytest.fixture
def main(tmp_path, monkeypatch) -> Callable[..., int]:
    """The command, in a directory of its own, in this process and without the report's pictures."""
    from sparsity_jax import main as command
    from sparsity_jax import report

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(report, "build", lambda workdir: Path(workdir, "report.html").touch())
    monkeypatch.setattr(report, "table", lambda workdir: "")

    def run(*flags: str, config: str = "") -> int:
        grid = Path(__file__).parent / "helpers" / "small_grid.py"
        with mock.patch.object(sys, "argv", ["main", f"--config={grid}{config}", *flags]):
            return command.main()

    return run


@pytest.fixture(scope="session")
def toy() -> Callable:
    """toy(train, test): a set of three classes that differ in brightness, 8x8 gray."""
    import numpy as np

    from sparsity_jax.data import Dataset

    def make(train: int, test: int) -> Dataset:
        rng = np.random.default_rng(0)

        def split(size: int) -> tuple:
            labels = np.arange(size, dtype=np.int32) % 3
            noise = rng.integers(0, 60, size=(size, 8, 8, 1))
            return (noise + 80 * labels[:, None, None, None]).astype(np.uint8), labels

        return Dataset("toy", *split(train), *split(test), class_names=("dark", "gray", "light"))

    return make


@pytest.fixture
def rows() -> Callable[[str], list[dict[str, str]]]:
    """Reads a workdir's results.csv, without what it took."""

    def read(workdir: str) -> list[dict[str, str]]:
        with (Path(workdir) / "results.csv").open() as file:
            return [{**row, "seconds": ""} for row in csv.DictReader(file)]

    return read
