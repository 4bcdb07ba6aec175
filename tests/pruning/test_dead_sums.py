"""A residual sum whose sides died in some filters each: those that died in both go."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn

from sparsity_jax.pruning.generic import prune_model

IMAGES = np.random.default_rng(0).normal(size=(3, 6, 6, 2)).astype(np.float32)
SIDES = ("main", "shortcut")


class Downsampling(nn.Module):
    """A block whose shortcut has a norm of its own."""

    @nn.compact
    def __call__(self, x):
        y = nn.Conv(5, (3, 3), name="inner_conv")(x)
        y = nn.relu(nn.BatchNorm(use_running_average=True, name="inner")(y))
        y = nn.Conv(6, (3, 3), name="main_conv")(y)
        y = nn.BatchNorm(use_running_average=True, name="main")(y)
        x = nn.Conv(6, (1, 1), name="shortcut_conv")(x)
        x = nn.BatchNorm(use_running_average=True, name="shortcut")(x)
        return nn.Dense(3)(nn.relu(x + y).mean((1, 2)))


@pytest.mark.parametrize("beta", [-0.2, 0.0])
@pytest.mark.parametrize(
    ("main", "shortcut"), [((0, 1), (1, 2, 3)), ((0, 1), (0, 1)), ((2,), (0, 1, 2))]
)
def test_filters_that_died_on_both_sides_go(main, shortcut, beta):
    model = Downsampling()
    variables = jax.tree.map(np.array, model.init(jax.random.key(0), jnp.asarray(IMAGES)))
    inactive = {"inner": np.arange(5) < 2}
    for side, filters in zip(SIDES, (main, shortcut), strict=True):
        inactive[side] = np.isin(np.arange(6), filters)
        variables["params"][side]["scale"][inactive[side]] = 0.0
        variables["params"][side]["bias"][inactive[side]] = beta
    variables["params"]["inner"]["scale"][:2] = 0.0
    pruned = prune_model(model.apply, variables, inactive, IMAGES)
    both = len(set(main) & set(shortcut))
    assert dict(pruned.removed) == {"inner": 2} | (dict.fromkeys(SIDES, both) if both else {})
    alone = {side for side in SIDES if inactive[side].sum() > both}
    assert set(pruned.left_alone) == alone
    np.testing.assert_allclose(
        pruned.apply_fn(pruned.variables, IMAGES), model.apply(variables, IMAGES), atol=1e-5
    )
