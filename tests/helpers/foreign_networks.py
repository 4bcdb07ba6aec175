"""Networks as other people write them in Flax, small: what pruning must cope with."""

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn
from flax import nnx

Norm = functools.partial(nn.BatchNorm, use_running_average=True)


class ResNetBlock(nn.Module):
    """As in Flax's ImageNet example."""

    filters: int
    conv: Any
    norm: Any
    strides: tuple[int, int] = (1, 1)

    @nn.compact
    def __call__(self, x):
        residual = x
        y = self.conv(self.filters, (3, 3), self.strides)(x)
        y = nn.relu(self.norm()(y))
        y = self.conv(self.filters, (3, 3))(y)
        y = self.norm(scale_init=nn.initializers.zeros_init())(y)
        if residual.shape != y.shape:
            residual = self.conv(self.filters, (1, 1), self.strides, name="conv_proj")(residual)
            residual = self.norm(name="norm_proj")(residual)
        return nn.relu(residual + y)


class BottleneckBlock(nn.Module):
    filters: int
    conv: Any
    norm: Any
    strides: tuple[int, int] = (1, 1)

    @nn.compact
    def __call__(self, x):
        residual = x
        y = nn.relu(self.norm()(self.conv(self.filters, (1, 1))(x)))
        y = nn.relu(self.norm()(self.conv(self.filters, (3, 3), self.strides)(y)))
        y = self.norm()(self.conv(self.filters * 4, (1, 1))(y))
        if residual.shape != y.shape:
            residual = self.conv(self.filters * 4, (1, 1), self.strides, name="conv_proj")(residual)
            residual = self.norm(name="norm_proj")(residual)
        return nn.relu(residual + y)


class ResNet(nn.Module):
    """ResNet-18 of Flax's ImageNet example with `width` 64 and stages (2, 2, 2, 2)."""

    stages: tuple[int, ...] = (2, 2, 2, 2)
    width: int = 64
    block: Any = ResNetBlock
    classes: int = 10

    @nn.compact
    def __call__(self, x):
        conv = functools.partial(nn.Conv, use_bias=False)
        x = conv(self.width, (7, 7), (2, 2), padding=[(3, 3), (3, 3)], name="conv_init")(x)
        x = nn.relu(Norm(name="bn_init")(x))
        x = nn.max_pool(x, (3, 3), strides=(2, 2), padding="SAME")
        for i, blocks in enumerate(self.stages):
            for j in range(blocks):
                strides = (2, 2) if i > 0 and j == 0 else (1, 1)
                x = self.block(self.width * 2**i, conv, Norm, strides)(x)
        x = jnp.mean(x, axis=(1, 2))
        return jnp.asarray(nn.Dense(self.classes)(x), jnp.float32)


class InvertedResidual(nn.Module):
    out: int
    expand: int
    strides: int

    @nn.compact
    def __call__(self, x):
        conv, wide = functools.partial(nn.Conv, use_bias=False), x.shape[-1] * self.expand
        y = x
        if self.expand != 1:
            y = nn.relu6(Norm(name="expand_norm")(conv(wide, (1, 1), name="expand")(y)))
        y = conv(wide, (3, 3), (self.strides,) * 2, feature_group_count=wide, name="depthwise")(y)
        y = nn.relu6(Norm(name="depthwise_norm")(y))
        y = Norm(name="project_norm")(conv(self.out, (1, 1), name="project")(y))
        return x + y if self.strides == 1 and self.out == x.shape[-1] else y


class MobileNetV2(nn.Module):
    plan: tuple[tuple[int, int, int, int], ...] = (
        (1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2),
        (6, 320, 1, 1),
    )  # fmt: skip
    stem: int = 32
    last: int = 1280

    @nn.compact
    def __call__(self, x):
        x = nn.Conv(self.stem, (3, 3), (2, 2), use_bias=False, name="stem")(x)
        x = nn.relu6(Norm(name="stem_norm")(x))
        for expand, out, blocks, strides in self.plan:
            for i in range(blocks):
                x = InvertedResidual(out, expand, strides if i == 0 else 1)(x)
        x = nn.relu6(Norm(name="last_norm")(nn.Conv(self.last, (1, 1), use_bias=False)(x)))
        return nn.Dense(10)(x.mean((1, 2)))


class DenseNet(nn.Module):
    """Norm before the convolution, and concatenation."""

    growth: int = 6
    blocks: tuple[int, ...] = (2, 2)

    @nn.compact
    def __call__(self, x):
        x = nn.Conv(2 * self.growth, (3, 3), use_bias=False)(x)
        for i, layers in enumerate(self.blocks):
            for _ in range(layers):
                y = nn.Conv(4 * self.growth, (1, 1), use_bias=False)(nn.relu(Norm()(x)))
                y = nn.Conv(self.growth, (3, 3), use_bias=False)(nn.relu(Norm()(y)))
                x = jnp.concatenate([x, y], -1)
            if i + 1 < len(self.blocks):
                x = nn.Conv(x.shape[-1] // 2, (1, 1), use_bias=False)(nn.relu(Norm()(x)))
                x = nn.avg_pool(x, (2, 2), (2, 2))
        return nn.Dense(5)(nn.relu(Norm()(x)).mean((1, 2)))


class Concatenated(nn.Module):
    """Two normalised branches side by side, as in Inception and SqueezeNet's fire modules."""

    @nn.compact
    def __call__(self, x):
        for _ in range(2):
            branches = [
                nn.relu(Norm()(nn.Conv(width, (size, size), use_bias=False)(x)))
                for width, size in ((6, 1), (8, 3), (4, 5))
            ]
            x = jnp.concatenate([*branches, nn.max_pool(x, (3, 3), padding="SAME")], -1)
        return nn.Dense(5)(x.mean((1, 2)))


class SqueezeExcite(nn.Module):
    @nn.compact
    def __call__(self, x):
        x = nn.relu(Norm(name="stem_norm")(nn.Conv(8, (3, 3), name="stem")(x)))
        for i in range(2):
            y = nn.relu(Norm(name=f"inner_{i}")(nn.Conv(12, (3, 3))(x)))
            y = Norm(name=f"outer_{i}")(nn.Conv(8, (3, 3))(y))
            s = nn.relu(nn.Dense(4)(y.mean((1, 2))))
            s = nn.sigmoid(nn.Dense(8)(s))
            x = nn.relu(x + y * s[:, None, None, :])
        return nn.Dense(5)(x.mean((1, 2)))


class PaddedShortcut(nn.Module):
    """A CIFAR ResNet whose shortcuts are strided and padded with zero channels."""

    @nn.compact
    def __call__(self, x):
        x = nn.relu(Norm(name="stem_norm")(nn.Conv(6, (3, 3))(x)))
        for i, width in enumerate((6, 12)):
            strides = 1 if width == x.shape[-1] else 2
            y = nn.relu(Norm(name=f"inner_{i}")(nn.Conv(width, (3, 3), strides)(x)))
            y = Norm(name=f"outer_{i}")(nn.Conv(width, (3, 3))(y))
            x = x[:, ::strides, ::strides]
            extra = width - x.shape[-1]
            x = jnp.pad(x, ((0, 0), (0, 0), (0, 0), (extra // 2, extra - extra // 2)))
            x = nn.relu(x + y)
        return nn.Dense(5)(x.mean((1, 2)))


class Split(nn.Module):
    """Half of the channels take another way; widths stand in the code."""

    @nn.compact
    def __call__(self, x):
        x = nn.relu(Norm(name="stem_norm")(nn.Conv(16, (3, 3))(x)))
        a, b = jnp.split(x, 2, -1)
        a = nn.relu(Norm(name="left_norm")(nn.Conv(8, (3, 3))(a)))
        x = jnp.concatenate([a, b], -1).reshape(x.shape[0], x.shape[1], x.shape[2], 16)
        x = nn.relu(Norm(name="joint_norm")(nn.Conv(12, (3, 3))(x)))
        return nn.Dense(5)(x.reshape(x.shape[0], -1))


class Grouped(nn.Module):
    @nn.compact
    def __call__(self, x):
        x = nn.relu(Norm(name="before")(nn.Conv(8, (3, 3))(x)))
        x = nn.relu(Norm(name="grouped_norm")(nn.Conv(8, (3, 3), feature_group_count=2)(x)))
        x = nn.relu(Norm(name="after")(nn.Conv(8, (3, 3))(x)))
        return nn.Dense(5)(x.mean((1, 2)))


class LayerNormed(nn.Module):
    """A mean over channels: its divisor stays when channels go, its variance does not."""

    @nn.compact
    def __call__(self, x):
        x = nn.relu(Norm(name="first")(nn.Conv(8, (3, 3))(x)))
        x = x - x.mean(-1, keepdims=True)
        x = nn.relu(Norm(name="second")(nn.Conv(8, (3, 3))(x)))
        scale = jnp.sqrt((x**2).mean(-1, keepdims=True) + 1e-3)
        x = nn.relu(Norm(name="third")(nn.Conv(8, (3, 3))(x / scale)))
        return nn.Dense(5)(x.mean((1, 2)))


class PreActivation(nn.Module):
    """A residual network whose norms stand before the convolutions."""

    @nn.compact
    def __call__(self, x):
        x = nn.Conv(8, (3, 3))(x)
        for _ in range(2):
            y = nn.Conv(10, (3, 3))(nn.relu(Norm()(x)))
            x = x + nn.Conv(8, (3, 3))(nn.relu(Norm()(y)))
        return nn.Dense(5)(nn.relu(Norm(name="last")(x)).mean((1, 2)))


class Padded(nn.Module):
    @nn.compact
    def __call__(self, x):
        for width in (8, 12):
            x = jnp.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)))
            x = nn.relu(Norm()(nn.Conv(width, (3, 3), padding="VALID")(x)))
        return nn.Dense(5)(x.reshape(x.shape[0], -1))


class NnxBlock(nnx.Module):
    def __init__(self, inputs, filters, rngs):
        self.conv1 = nnx.Conv(inputs, filters, (3, 3), rngs=rngs)
        self.norm1 = nnx.BatchNorm(filters, rngs=rngs)
        self.conv2 = nnx.Conv(filters, inputs, (3, 3), rngs=rngs)
        self.norm2 = nnx.BatchNorm(inputs, rngs=rngs)

    def __call__(self, x):
        y = nnx.relu(self.norm1(self.conv1(x)))
        return nnx.relu(x + self.norm2(self.conv2(y)))


class NnxResNet(nnx.Module):
    def __init__(self, rngs):
        self.stem = nnx.Conv(3, 8, (3, 3), rngs=rngs)
        self.norm = nnx.BatchNorm(8, rngs=rngs)
        self.blocks = nnx.List([NnxBlock(8, 6, rngs) for _ in range(2)])
        self.depthwise = nnx.Conv(8, 8, (3, 3), feature_group_count=8, rngs=rngs)
        self.depthwise_norm = nnx.BatchNorm(8, rngs=rngs)
        self.head = nnx.Linear(8, 5, rngs=rngs)

    def __call__(self, x):
        x = nnx.relu(self.norm(self.stem(x)))
        for block in self.blocks:
            x = block(x)
        x = nnx.relu(self.depthwise_norm(self.depthwise(x)))
        return self.head(x.mean((1, 2)))


SMALL: dict[str, Callable[[], nn.Module]] = {
    "resnet": lambda: ResNet((2, 2), 8),
    "bottlenecks": lambda: ResNet((2, 1), 4, BottleneckBlock),
    "mobilenet": lambda: MobileNetV2(((1, 6, 1, 1), (3, 8, 2, 2)), 6, 20),
    "densenet": DenseNet,
    "concatenated": Concatenated,
    "squeeze-excite": SqueezeExcite,
    "padded shortcut": PaddedShortcut,
    "split": Split,
    "grouped": Grouped,
    "means over channels": LayerNormed,
    "pre-activation": PreActivation,
    "padded": Padded,
}


def random_variables(model: nn.Module, images: Any, seed: int) -> Any:
    """Variables with every number random, variances positive, few units silent."""
    rng = np.random.default_rng(seed)
    shapes = jax.eval_shape(model.init, jax.random.key(0), jnp.asarray(images))

    def random(path, leaf):
        name = path[-1].key
        if name == "kernel":
            return rng.normal(0, (2 / np.prod(leaf.shape[:-1])) ** 0.5, leaf.shape).astype("f4")
        low, high = {"var": (0.5, 2), "scale": (0.5, 1.5)}.get(name, (-0.5, 1))
        return rng.uniform(low, high, leaf.shape).astype(np.float32)

    return jax.tree_util.tree_map_with_path(random, shapes)
