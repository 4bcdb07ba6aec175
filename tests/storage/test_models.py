"""Does a saved network come back exactly, and never as something else?"""

import random

import numpy as np
import pytest
from flax.traverse_util import flatten_dict

from sparsity_jax.errors import UserError
from sparsity_jax.models import make_plan
from sparsity_jax.storage.models import load_model, save_model

PLAN = make_plan("BasicNet", classes=3, input_shape=(16, 16, 1), width="0.0625")
VARIABLES = {"params": {"C1": {"scale": np.arange(4, dtype=np.float32)}}, "batch_stats": {}}


def test_plan_and_weights_come_back(tmp_path):
    save_model(tmp_path, PLAN, VARIABLES)
    plan, variables = load_model(tmp_path)
    assert plan == PLAN
    assert np.array_equal(variables["params"]["C1"]["scale"], np.arange(4, dtype=np.float32))


@pytest.mark.parametrize("name", ["plan.json", "weights.npz"])
def test_no_flipped_bit_is_believed(tmp_path, name):
    save_model(tmp_path, PLAN, VARIABLES)
    path, chance, refused = tmp_path / name, random.Random(0), 0
    sound, before = path.read_bytes(), flatten_dict(load_model(tmp_path)[1])
    for _ in range(150):
        content = bytearray(sound)
        content[chance.randrange(len(content))] ^= 1 << chance.randrange(8)
        path.write_bytes(content)
        try:
            plan, variables = load_model(tmp_path)
        except UserError as error:
            assert name in str(error) or "weights" in str(error)  # noqa: PT017
            refused += 1
            continue
        assert plan == PLAN
        assert all(np.array_equal(a, before[k]) for k, a in flatten_dict(variables).items())
    assert refused > 75


def test_weights_of_another_network_are_refused(tmp_path):
    save_model(tmp_path / "a", PLAN, VARIABLES)
    save_model(tmp_path / "b", PLAN, {"params": {"C1": {"scale": np.ones(4, np.float32)}}})
    (tmp_path / "b" / "weights.npz").replace(tmp_path / "a" / "weights.npz")
    with pytest.raises(UserError, match="not what was saved"):
        load_model(tmp_path / "a")
