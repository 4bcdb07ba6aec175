"""Compiler options that make a call of many steps one graph: where they apply, and the switch."""

import jax
import pytest

from sparsity_jax.config.base import default_config
from sparsity_jax.distributed import graphs
from sparsity_jax.training.options import TrainOptions


@pytest.fixture(autouse=True)
def _switched_back():
    yield
    graphs.allow(True)


def names() -> list[str]:
    return [name.removeprefix("xla_gpu_") for name, _ in graphs.compiler_options()]


def test_only_gpus_have_options(monkeypatch):
    for backend in ("cpu", "tpu"):
        monkeypatch.setattr(jax, "default_backend", lambda backend=backend: backend)
        assert names() == []
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    assert names() == ["enable_command_buffer", "command_buffer_scheduling_mode"]
    kinds = dict(graphs.compiler_options())["xla_gpu_enable_command_buffer"].split(",")
    assert {"CONVOLUTION", "WHILE"} < set(kinds)


def test_the_config_switches_them_off_and_the_doctor_says_so(monkeypatch):
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    config = default_config().to_dict()
    TrainOptions.of(config)
    assert "scheduling_mode=CONCURRENT" in graphs.described()
    TrainOptions.of(config | {"graphs": False})
    assert names() == []
    assert "config.graphs" in graphs.described()
    TrainOptions.of(config)
    assert len(names()) == 2


def test_an_option_in_xla_flags_is_left_to_them(monkeypatch):
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    monkeypatch.setenv("XLA_FLAGS", "--xla_gpu_enable_command_buffer=")
    assert names() == ["command_buffer_scheduling_mode"]
