"""An evaluation reads norms and sums off the device; weights stay where they are."""

import dataclasses
from unittest import mock

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from sparsity_jax.config.base import default_config
from sparsity_jax.config.sweep import expand
from sparsity_jax.data import Dataset
from sparsity_jax.storage.measurements import EvalLog
from sparsity_jax.training import DeviceDataset, init_state, members
from sparsity_jax.training.members import member_near, stack
from sparsity_jax.training.observe import observe
from sparsity_jax.training.run import Run, make_run


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Run:
    config = default_config()
    config.width, config.epochs, config.batch_size = "0.0625", 1.0, 8
    images, labels = np.zeros((40, 8, 8, 1), np.uint8), np.arange(40, dtype=np.int32) % 3
    toy = Dataset("toy", images, labels, images, labels, class_names=("a", "b", "c"))
    folder = tmp_path_factory.mktemp("workdir")
    return make_run(expand(config)[0], toy, DeviceDataset.of(toy), folder)


def state_of(run: Run):
    """At its start, as if it had watched five steps."""
    fresh = init_state(run.program, run.hparams)
    seen = jax.tree.map(jnp.ones_like, fresh.activity)
    return fresh._replace(step=jnp.int32(5), activity=seen)


def sized(tree) -> int:
    return sum(np.asarray(leaf).nbytes for leaf in jax.tree.leaves(tree))


def test_of_a_state_on_a_device_only_norms_and_sums_are_fetched(run, monkeypatch):
    state = state_of(run)
    logs = EvalLog(), EvalLog()
    expected = observe(run, jax.device_get(state), logs[0])
    fetched, fetch = [], jax.device_get
    monkeypatch.setattr(jax, "device_get", lambda tree: fetched.append(sized(tree)) or fetch(tree))
    assert observe(run, state, logs[1]) == expected
    filters = sum(conv.filters for conv in run.program.plan.convs) + sum(run.program.plan.dense)
    assert sum(fetched) <= 4 * 7 * filters + 100  # gamma, beta, five sums
    assert sized(state.params) > 5 * sum(fetched)
    names = logs[0].arrays().keys()
    assert names == logs[1].arrays().keys()
    assert all(np.array_equal(*(log.arrays()[name] for log in logs)) for name in names)


def test_a_members_state_stays_on_an_accelerator_and_is_that_members(run):
    numbers = [run.hparams, run.hparams._replace(seed=jnp.uint32(1))]
    each = [init_state(run.program, own) for own in numbers]
    group = stack(each)
    with (
        mock.patch.object(jax, "default_backend", return_value="gpu"),
        mock.patch.object(jax, "device_get", side_effect=AssertionError("fetched")),
    ):
        near = [member_near(group, index) for index in (0, 1)]
    assert members._sliced._cache_size() == 1
    host = [member_near(group, index) for index in (0, 1)]
    for own, there, here in zip(each, near, host, strict=True):
        for a, b, c in zip(*map(jax.tree.leaves, (own, there, here)), strict=True):
            assert isinstance(b, jax.Array)
            assert isinstance(c, np.ndarray | np.generic)
            np.testing.assert_array_equal(a, b)
            np.testing.assert_array_equal(a, c)


def test_a_diverged_gamma_is_an_evaluation_without_sparsity(run):
    state = state_of(run)
    norm = {"scale": jnp.full_like(state.params["C1"]["norm"]["scale"], np.nan)}
    layer = state.params["C1"] | {"norm": state.params["C1"]["norm"] | norm}
    broken = state._replace(params=state.params | {"C1": layer})
    found = dataclasses.asdict(observe(run, broken, EvalLog()))
    assert np.isnan(found["sparsity_gamma"])
