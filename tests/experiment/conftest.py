"""A run on toy images whose network has filters that are known to be dead."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from sparsity_jax.config.base import default_config
from sparsity_jax.config.sweep import expand
from sparsity_jax.data import Dataset
from sparsity_jax.training import DeviceDataset, init_state
from sparsity_jax.training.run import make_run

DEAD = {"C2": (1, 4), "C6": (0, 1, 5)}


@pytest.fixture(scope="session")
def dataset(toy) -> Dataset:
    return toy(48, 30)


@pytest.fixture(scope="session")
def data(dataset) -> DeviceDataset:
    return DeviceDataset.of(dataset)


@pytest.fixture
def small_run(dataset, data, tmp_path):
    """Run of a small BasicNet, with some fields of its config changed."""

    def make(**fields):
        config = default_config()
        config.data = "folder:toy"
        config.width, config.pool_after, config.batch_size = "0.125", (1, 3), 8
        config.epochs, config.drops, config.latency_seconds = 8.0, ((1.0, 0.1),), 0.0
        config.strength = 1e-3
        config.update_from_flattened_dict(fields)
        (run,) = expand(config)
        made = make_run(run, dataset, data, tmp_path)
        made.folder.mkdir(parents=True, exist_ok=True)
        return made

    return make


def with_dead(state, *, beta):
    """The state with gamma 0 and beta `beta` in the dead filters."""
    params = jax.tree.map(np.array, state.params)
    for layer, filters in DEAD.items():
        params[layer]["norm"]["scale"][list(filters)] = 0.0
        params[layer]["norm"]["bias"][list(filters)] = beta
    return state._replace(params=jax.tree.map(jnp.asarray, params))


@pytest.fixture
def dead_state():
    """dead_state(run, beta): a fresh state with the dead filters of DEAD."""
    return lambda run, beta=0.0: with_dead(init_state(run.program, run.hparams), beta=beta)
