"""Memory mappings of compiled programs are given back before Linux allows no more."""

from pathlib import Path

import jax
import jax.numpy as jnp
import pytest

from sparsity_jax.distributed import program_memory
from sparsity_jax.distributed.program_memory import release_programs
from sparsity_jax.experiment import complete
from sparsity_jax.training import trainer

linux = pytest.mark.skipif(
    not Path("/proc/self/maps").exists(), reason="only Linux tells a process its mappings"
)


def _mappings() -> int:
    with Path("/proc/self/maps").open("rb") as lines:
        return sum(1 for _ in lines)


@linux
def test_beyond_the_share_the_mappings_of_programs_are_given_back():
    @jax.jit
    def program(x):
        return jnp.sin(x) @ x

    squares = [jnp.eye(size) for size in range(2, 22)]
    before = _mappings()
    first = [program(square) for square in squares]
    compiled = _mappings()
    assert compiled > before + len(squares)  # else there is nothing to give back
    assert release_programs(share=0.0)
    assert _mappings() < compiled - len(squares)
    for square, value in zip(squares, first, strict=True):
        assert (program(square) == value).all()


@linux
def test_below_the_share_programs_are_kept():
    program = jax.jit(lambda x: x + 1)
    program(jnp.zeros(3))
    assert not release_programs(share=1.0)
    assert program._cache_size() == 1


@pytest.mark.parametrize("path", ["_MAPPINGS", "_LIMIT"])
def test_a_system_that_tells_no_mappings_keeps_its_programs(path, tmp_path, monkeypatch):
    monkeypatch.setattr(program_memory, path, tmp_path / "none")
    assert not release_programs(share=0.0)


@linux
def test_results_do_not_depend_on_when_programs_are_given_back(main, rows, monkeypatch):
    flags = "--processes=1", "--config.seeds=1", "--config.prune_during_training=True"
    assert main("--workdir=kept", *flags) == 0
    released = []

    def always() -> None:
        released.append(release_programs(share=0.0))

    for module in (complete, trainer):
        monkeypatch.setattr(module, "release_programs", always)
    assert main("--workdir=released", *flags) == 0
    assert len(released) >= 2
    assert all(released)
    assert rows("released") == rows("kept")
    (kept,) = Path("kept").glob("runs/*/measure.npz")
    (ours,) = Path("released").glob("runs/*/measure.npz")
    assert ours.read_bytes() == kept.read_bytes()
