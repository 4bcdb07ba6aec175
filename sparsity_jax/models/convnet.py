"""Linen module of any `Plan`: convolution, BatchNorm, ReLU, pooling, dense head."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import Any, cast

import jax
import jax.numpy as jnp
from flax import linen as nn
from jax import lax

from sparsity_jax.models import convolution, norm, pooling
from sparsity_jax.models.by_member import one_by_one
from sparsity_jax.models.plans import Conv, Plan

# Xavier with the gain of ReLU (Sec. 2.1), sqrt(2): variance 2 * 2 / (fan_in + fan_out). The paper
# does not say uniform or normal; uniform is what "Xavier" names in the framework it used.
XAVIER_RELU = nn.initializers.variance_scaling(2.0, "fan_avg", "uniform")


class Norm(nn.BatchNorm):
    """BatchNorm as PyTorch sets it up: running statistics move by 0.1, epsilon 1e-5.

    The variables are those of `nn.BatchNorm`; in training the CPU form reads memory fewer times.
    The variance is E[(x - mean)^2], because a filter on its way to inactive has a nearly constant
    map, for which E[x^2] - E[x]^2 cancels. The running variance is the biased one (PyTorch keeps
    the unbiased), which changes evaluation by a factor n / (n - 1) of the variance, with
    n = batch * height * width.
    Computed in float32 whatever the type of x; the result has the type of x. With `parts`, every
    part of the batch is normalised by its own statistics, and the running ones follow the first
    part's: what a batch divided among devices met in PyTorch's DataParallel.
    """

    momentum: float = 0.9
    epsilon: float = 1e-5
    parts: int = 1

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """Normalise activations (..., channels); the result has their shape and type."""
        shape, dtype = x.shape[-1:], x.dtype
        x = x.astype(jnp.promote_types(dtype, jnp.float32))
        mean = self.variable("batch_stats", "mean", jnp.zeros, shape)
        var = self.variable("batch_stats", "var", jnp.ones, shape)
        gamma = self.param("scale", nn.initializers.ones, shape)
        beta = self.param("bias", nn.initializers.zeros, shape)
        if self.use_running_average:
            x = (x - mean.value) * (lax.rsqrt(var.value + self.epsilon) * gamma) + beta
            return x.astype(dtype)
        parts = 1 if self.is_initializing() else self.parts  # initialisation is on one image
        x, *observed = _normalised(x, gamma, beta, self.epsilon, parts)
        if not self.is_initializing():
            for statistic, now in zip((mean, var), observed, strict=True):
                statistic.value = self.momentum * statistic.value + (1 - self.momentum) * now
        return x.astype(dtype)


def _normalised(
    x: jax.Array, gamma: jax.Array, beta: jax.Array, epsilon: float, parts: int
) -> tuple[jax.Array, jax.Array, jax.Array]:
    """(x normalised part by part, mean and variance of the first part)."""
    if parts == 1:
        return norm.batch_norm(x, gamma, beta, epsilon=epsilon)
    normalise = functools.partial(norm.batch_norm, gamma=gamma, beta=beta, epsilon=epsilon)
    y, means, variances = jax.vmap(normalise)(x.reshape(parts, -1, *x.shape[1:]))
    return y.reshape(x.shape), means[0], variances[0]


class Convolution(nn.Module):
    """Convolution with 'same' padding and without bias, lowered for the present backend.

    With `by_member`, members that `vmap` batches are convolved one by one.
    """

    filters: int
    kernel: int
    stride: int = 1
    by_member: bool = False

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """Convolve (N, H, W, C) into (N, ceil(H / stride), ceil(W / stride), filters)."""
        shape = (self.kernel, self.kernel, x.shape[-1], self.filters)
        kernel = self.param("kernel", XAVIER_RELU, shape).astype(x.dtype)
        convolve = one_by_one if self.by_member else convolution.conv
        return convolve(x, kernel, stride=self.stride)


class ConvBlock(nn.Module):
    """Convolution, BatchNorm, ReLU and, where the plan says so, pooling."""

    conv: Conv
    negative_slope: float
    pool_kind: str = "max2"
    norm_parts: int = 1
    by_member: bool = False

    @nn.compact
    def __call__(self, x: jax.Array, *, train: bool) -> jax.Array:
        """Apply the block to (N, H, W, C); `train` normalises with the batch's statistics."""
        conv = self.conv
        x = Convolution(conv.filters, conv.kernel, conv.stride, self.by_member, name="conv")(x)
        norm = Norm(use_running_average=not train, parts=self.norm_parts, name="norm")
        x = rectify(norm(x), self.negative_slope)
        pooled = pooling.pool(x, self.pool_kind) if conv.pool else x
        # The maximum of the pooled map is that of the map where every pixel is pooled: a quarter
        # of the reading.
        whole = conv.pool and self.pool_kind == "max2" and not (x.shape[1] % 2 or x.shape[2] % 2)
        if self.is_mutable_collection("activity") and not self.is_initializing():
            peak = (pooled if whole else x).max(axis=(1, 2))
            self.sow("activity", "peak", peak, reduce_fn=_latest)
        return pooled


class DenseBlock(nn.Module):
    """Hidden dense layer: dense (no bias, the norm has one), BatchNorm, ReLU, dropout if any."""

    features: int
    negative_slope: float
    norm_parts: int = 1
    dropout: float = 0.0

    @nn.compact
    def __call__(self, x: jax.Array, *, train: bool) -> jax.Array:
        """Apply the block to (N, inputs), which gives (N, features)."""
        dense = nn.Dense(
            self.features, use_bias=False, kernel_init=XAVIER_RELU, dtype=x.dtype, name="dense"
        )
        norm = Norm(use_running_average=not train, parts=self.norm_parts, name="norm")
        x = rectify(norm(dense(x)), self.negative_slope)
        return nn.Dropout(self.dropout, deterministic=not train)(x) if self.dropout else x


class Logits(nn.Module):
    """Last dense layer, with a bias and without norm."""

    classes: int

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """Logits (N, classes) of (N, inputs), in float32 or wider."""
        x = x.astype(jnp.promote_types(x.dtype, jnp.float32))
        return nn.Dense(self.classes, kernel_init=XAVIER_RELU, name="dense")(x)


def rectify(x: jax.Array, negative_slope: float) -> jax.Array:
    """ReLU at slope 0, the leaky ReLU of Table S2 above it: max(x, negative_slope * x).

    Args:
      x: activations of any shape.
      negative_slope: slope below zero, in [0, 1].

    Example:
      >>> rectify(jnp.array([-1.0, 2.0]), 0.5).tolist()
      [-0.5, 2.0]
    """
    return jnp.maximum(x, negative_slope * x) if negative_slope else jax.nn.relu(x)


class ConvNet(nn.Module):
    """The network that a plan describes (paper Fig. 1, Sec. 5.2).

    Variables: params 'C1' ... with 'conv' and 'norm' (scale is gamma, bias is beta), 'F1' ... with
    'dense' and 'norm'; batch_stats the same without 'conv' and 'dense'.

    Example:
      >>> net = ConvNet(Plan('tiny', (Conv(8, pool=True), Conv(16)), (8, 8, 3), 'global', (), 10))
      >>> variables = jax.jit(net.init)(jax.random.key(0), jnp.zeros((1, 8, 8, 3)))
      >>> jax.jit(net.apply)(variables, jnp.zeros((4, 8, 8, 3))).shape
      (4, 10)
    """

    plan: Plan
    norm_parts: int = 1
    by_member: bool = False
    dropout: float = 0.0

    @nn.compact
    def __call__(self, images: jax.Array, *, train: bool = False) -> jax.Array:
        """Logits (batch, classes), float32, of normalised images (batch, height, width, channels).

        The images' type is that of activations and products: bfloat16 ones are computed in it,
        all but the norms and the last layer.
        """
        plan, x = self.plan, images
        slope, parts = plan.negative_slope, self.norm_parts
        for name, conv in zip(plan.layer_names, plan.convs, strict=True):
            block = ConvBlock(conv, slope, plan.pool_kind, parts, self.by_member, name=name)
            x = block(x, train=train)
        x = _head_inputs(x, plan)
        for name, features in zip(plan.dense_names, plan.dense, strict=False):
            x = DenseBlock(features, slope, parts, self.dropout, name=name)(x, train=train)
        return Logits(plan.classes, name=plan.dense_names[-1])(x)


def _head_inputs(x: jax.Array, plan: Plan) -> jax.Array:
    if plan.head_pool == "global":
        return jnp.mean(x, axis=(1, 2))
    if isinstance(plan.head_pool, tuple):
        window, stride = plan.head_pool
        x = nn.avg_pool(x, window_shape=(window, window), strides=(stride, stride))
    return x.reshape(x.shape[0], -1)


def init(plan: Plan, key: jax.Array) -> dict[str, Any]:
    """Fresh variables of a plan: Xavier weights, gamma 1, beta 0, running mean 0 and variance 1.

    Args:
      plan: the network.
      key: a JAX random key.

    Returns:
      {'params': ..., 'batch_stats': ...}, float32.
    """
    return cast(dict, ConvNet(plan).init(key, jnp.zeros((1, *plan.input_shape), jnp.float32)))


def logits(plan: Plan, variables: Mapping[str, Any], images: jax.Array) -> jax.Array:
    """Logits (batch, classes) in evaluation mode: BatchNorm uses its running statistics.

    Args:
      plan: the network.
      variables: {'params', 'batch_stats'} of ConvNet(plan).
      images: normalised floats (batch, height, width, channels).

    Example:
      >>> jax.jit(logits, static_argnums=0)(plan, variables, images).shape
      (4, 10)
    """
    return cast(jax.Array, ConvNet(plan).apply(variables, images, train=False))


def train_logits(
    plan: Plan,
    variables: Mapping[str, Any],
    images: jax.Array,
    *,
    norm_parts: int = 1,
    activity: bool = False,
    by_member: bool = False,
    dropout: float = 0.0,
    dropout_key: jax.Array | None = None,
) -> tuple[jax.Array, dict[str, Any], dict[str, jax.Array]]:
    """Logits in training mode, the running statistics after this batch, and every filter's peaks.

    Args:
      plan: the network.
      variables: its params and batch_stats.
      images: normalised (N, H, W, C).
      norm_parts: parts of the batch that BatchNorm normalises each by itself.
      activity: return the peaks.
      by_member: under `vmap`, convolve the members one by one.
      dropout: share of the units of each hidden dense layer that are set to zero, each by itself;
        the others are divided by 1 - dropout.
      dropout_key: random key that says which; needed where there is dropout.

    Returns:
      (logits (N, classes), batch_stats, layer -> largest activation in each image (N, filters));
      the last is empty without `activity`.

    Example:
      >>> step = functools.partial(train_logits, plan, activity=True)
      >>> jax.eval_shape(step, variables, images)[2]['C1'].shape
      (4, 16)
    """
    net = ConvNet(plan, norm_parts, by_member, dropout)
    mutable = ["batch_stats", *(["activity"] if activity else [])]
    drawn = None if dropout_key is None else {"dropout": dropout_key}
    result = net.apply(variables, images, train=True, mutable=mutable, rngs=drawn)
    outputs, changed = cast(tuple[jax.Array, dict[str, Any]], result)
    seen = changed.get("activity", {})
    return outputs, changed["batch_stats"], {name: layer["peak"] for name, layer in seen.items()}


def _latest(_: Any, value: jax.Array) -> jax.Array:
    return value
