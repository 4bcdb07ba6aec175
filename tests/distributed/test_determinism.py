"""Whether a GPU could repeat a run bit for bit: what its program holds, what XLA is told."""

import functools
import os
import re
import subprocess
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from sparsity_jax.config.base import default_config
from sparsity_jax.config.sweep import expand
from sparsity_jax.data import Dataset
from sparsity_jax.distributed import determinism
from sparsity_jax.errors import UserError
from sparsity_jax.training import DeviceDataset, init_state
from sparsity_jax.training.members import stack
from sparsity_jax.training.run import make_run
from sparsity_jax.training.step import take_steps

UNORDERED = re.compile(r"stablehlo\.(\w*scatter\w*)")


def steps_for_a_gpu(**fields) -> str:
    """The training steps of two members as XLA for CUDA receives them."""
    labels = np.arange(80, dtype=np.int32) % 2
    images = np.zeros((80, 16, 16, 1), np.uint8)
    noise = Dataset("noise", images, labels, images[:20], labels[:20], ("a", "b"))
    config = default_config()
    config.data, config.width = "cifar10", "0.0625"
    config.update(fields)
    run = make_run(expand(config)[0], noise, DeviceDataset.of(noise), Path())
    state = stack([init_state(run.program, run.hparams)] * 2)
    hparams, orders = stack([run.hparams] * 2), jnp.stack([jnp.arange(80)] * 2)
    steps = jax.vmap(functools.partial(take_steps, run.program), in_axes=(0, None, 0, 0, None))
    traced = jax.jit(steps).trace(hparams, run.data, orders, state, 3)
    return traced.lower(lowering_platforms=("cuda",)).as_text()


@pytest.mark.parametrize("optimizer", ["adam", "sgd", "adadelta"])
def test_the_step_on_a_gpu_adds_nothing_in_an_open_order(monkeypatch, optimizer):
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    text = steps_for_a_gpu(optimizer=optimizer)
    assert "stablehlo.convolution" in text
    assert UNORDERED.findall(text) == []


def test_the_forms_of_the_cpu_scatter_so_that_the_test_above_can_fail():
    assert "scatter" in UNORDERED.findall(steps_for_a_gpu())


def test_the_flag_reaches_xla(tmp_path):
    """As XLA itself writes down the options that it compiled the steps with."""
    flags = f"--xla_dump_to={tmp_path / 'dump'} --xla_dump_hlo_module_re=.*in_turn.*"
    helpers = Path(__file__).parents[1] / "helpers"
    command, config = helpers / "one_of_many.py", helpers / "small_grid.py"
    done = subprocess.run(
        [
            sys.executable, str(command), f"--config={config}",
            f"--workdir={tmp_path / 'run'}", "--config.deterministic=True", "--config.epochs=1",
        ],
        env={**os.environ, "XLA_FLAGS": flags, "SPARSITY_JAX_DATA": str(tmp_path / "data")},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    dumped = list((tmp_path / "dump").glob("*debug_options*"))
    assert dumped
    assert all("xla_gpu_deterministic_ops: true" in path.read_text() for path in dumped)


def test_on_a_gpu_a_flag_that_comes_too_late_is_refused_in_one_line(monkeypatch):
    monkeypatch.setenv("XLA_FLAGS", "--xla_cpu_enable_fast_math=false")
    determinism.check()  # a CPU needs none
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    with pytest.raises(UserError, match=r"set XLA_FLAGS=--xla_gpu_deterministic_ops=true"):
        determinism.check()
    determinism.demand()
    determinism.demand()
    determinism.check()
    assert os.environ["XLA_FLAGS"] == f"--xla_cpu_enable_fast_math=false {determinism.FLAG}"
