"""All three measures on a residual network with nested blocks and automatic names."""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn

from sparsity_jax.sparsity import activation_sparsity, gamma_sparsity, universality


class Block(nn.Module):
    filters: int
    strides: int
    norm: Any

    @nn.compact
    def __call__(self, x):
        residual = x
        y = nn.Conv(self.filters, (3, 3), self.strides, use_bias=False)(x)
        y = nn.relu(self.norm()(y))
        y = nn.Conv(self.filters, (3, 3), use_bias=False)(y)
        y = self.norm()(y)
        if residual.shape != y.shape:
            residual = nn.Conv(self.filters, (1, 1), self.strides, use_bias=False)(residual)
            residual = self.norm(name="norm_proj")(residual)
        return nn.relu(residual + y)


class ResNet(nn.Module):
    @nn.compact
    def __call__(self, x, train=True):
        norm = functools.partial(nn.BatchNorm, use_running_average=not train, momentum=0.9)
        x = nn.relu(norm(name="bn_init")(nn.Conv(8, (3, 3), use_bias=False, name="conv_init")(x)))
        for stage, filters in enumerate((8, 16)):
            for block in range(2):
                x = Block(filters, 2 if stage and not block else 1, norm)(x)
        x = nn.relu(norm(name="bn_head")(nn.Dense(24, name="hidden")(x.mean((1, 2)))))
        return nn.Dense(10)(x)


@pytest.fixture(scope="module")
def model():
    rng = np.random.default_rng(0)
    images = rng.normal(size=(20, 8, 8, 3)).astype(np.float32)
    shapes = jax.eval_shape(ResNet().init, jax.random.key(0), jnp.asarray(images))

    def value(path, leaf):
        """As `init` sets them, but without the compilation: the last norm of a block at gamma 0."""
        *_, module, name = (key.key for key in path)
        if name == "kernel":
            return rng.normal(0, 0.3, leaf.shape).astype(np.float32)
        one = name == "var" or (name == "scale" and module != "BatchNorm_1")
        return np.full(leaf.shape, one, np.float32)

    return jax.tree_util.tree_map_with_path(value, shapes), images


NAMES = [
    "Block_0/BatchNorm_0",
    "Block_0/BatchNorm_1",
    "Block_1/BatchNorm_0",
    "Block_1/BatchNorm_1",
    "Block_2/BatchNorm_0",
    "Block_2/BatchNorm_1",
    "Block_2/norm_proj",
    "Block_3/BatchNorm_0",
    "Block_3/BatchNorm_1",
    "bn_init",
]


def test_every_convolution_is_measured_and_no_dense_layer(model):
    variables, images = model
    apply_fn = functools.partial(ResNet().apply, train=False)
    by_gamma = gamma_sparsity(variables)
    by_activation = activation_sparsity(apply_fn, variables, images, batch_size=7)
    percent = universality(apply_fn, variables, images, batch_size=7)
    assert list(by_gamma.layers) == list(by_activation.layers) == list(percent.layers) == NAMES
    # Every block's last norm starts at gamma 0 and beta 0, so both measures find it inactive.
    for path, mask in by_gamma.layers.items():
        zeroed = path.endswith("BatchNorm_1")
        assert mask.all() == mask.any() == zeroed
        if zeroed:
            assert by_activation.layers[path].all()
            assert (percent.layers[path] == 0).all()
    assert by_gamma.total_pct == pytest.approx(100 * 48 / 120)
