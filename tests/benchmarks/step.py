"""How long does one training step of BasicNet take here, beside PyTorch and plain JAX?

    python tests/benchmarks/step.py [--rounds=7] [--network=1x32x3 ...]

Every column trains the same network on batches of 40 with Adam and L2: forward, backward, update.
The columns take turns in rounds, so that what disturbs one disturbs all; each round times some
steps after two that warm up. Plain JAX gets one ready batch again and again. PyTorch draws and
normalises its batch out of uint8 images in memory, as ours does, in the fewest operations.
"""

from __future__ import annotations

import argparse
import functools
import os
import platform
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import linen as nn

from sparsity_jax.models.networks import basicnet
from sparsity_jax.models.plans import Plan
from sparsity_jax.training.state import Corpus, Hypers, Setup, init_state
from sparsity_jax.training.step import advance

BATCH = 40
Steps = Callable[[int], None]  # takes that many steps and waits for the last


def ours(plan: Plan, images: np.ndarray, labels: np.ndarray) -> Steps:
    """The project's training step on a data set of 50 batches."""
    setup = Setup(plan, "adam", "l2", "schedule", BATCH, (), flip=False)
    numbers = (jnp.float32(value) for value in (1e-3, 1e-3, 1, 1, 0))
    hypers = Hypers(*numbers, seed=jnp.uint32(0))
    channels = plan.input_shape[2]
    many, many_labels = np.tile(images, (50, 1, 1, 1)), np.tile(labels, 50)
    half = np.full(channels, 0.5, np.float32)
    corpus = Corpus(*map(jnp.asarray, (many, many_labels, images, labels, half, half)))
    state = init_state(setup, hypers)

    def steps(count: int) -> None:
        nonlocal state
        state = advance(setup, hypers, corpus, state, until=int(state.step) + count)

    return steps


class PlainNet(nn.Module):
    """BasicNet as a Flax tutorial writes it."""

    plan: Plan

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        for conv in self.plan.convs:
            x = nn.Conv(conv.filters, (conv.kernel, conv.kernel), use_bias=False)(x)
            x = nn.relu(nn.BatchNorm(use_running_average=False, momentum=0.9)(x))
            x = nn.max_pool(x, (2, 2), (2, 2)) if conv.pool else x
        x = nn.Dense(self.plan.dense[0], use_bias=False)(x.mean((1, 2)))
        x = nn.relu(nn.BatchNorm(use_running_average=False, momentum=0.9)(x))
        return nn.Dense(self.plan.classes)(x)


def plain_jax(plan: Plan, images: np.ndarray, labels: np.ndarray) -> Steps:
    """nn.Conv, nn.max_pool, nn.BatchNorm, optax; one jitted, donated step per call."""
    net, x, y = PlainNet(plan), jnp.asarray(images / 255, jnp.float32), jnp.asarray(labels)
    rule = optax.chain(optax.add_decayed_weights(1e-3), optax.adam(1e-3, b2=0.99))
    variables = net.init(jax.random.key(0), x)
    state = variables["params"], variables["batch_stats"], rule.init(variables["params"])

    def loss_of(params, batch_stats):
        variables = {"params": params, "batch_stats": batch_stats}
        logits, changed = net.apply(variables, x, mutable=["batch_stats"])
        losses = optax.softmax_cross_entropy_with_integer_labels(logits, y)
        return losses.mean(), changed["batch_stats"]

    @functools.partial(jax.jit, donate_argnums=(0, 1, 2))
    def step(params, batch_stats, opt_state):
        gradients, batch_stats = jax.grad(loss_of, has_aux=True)(params, batch_stats)
        updates, opt_state = rule.update(gradients, opt_state, params)
        return optax.apply_updates(params, updates), batch_stats, opt_state

    def steps(count: int) -> None:
        nonlocal state
        for _ in range(count):
            state = step(*state)
        jax.block_until_ready(state)

    return steps


def torch_net(plan: Plan):
    """The plan in PyTorch."""
    import torch

    layers, inputs = [], plan.input_shape[2]
    for conv in plan.convs:
        layers += [
            torch.nn.Conv2d(inputs, conv.filters, conv.kernel, padding="same", bias=False),
            torch.nn.BatchNorm2d(conv.filters),
            torch.nn.ReLU(),
        ]
        layers += [torch.nn.MaxPool2d(2)] if conv.pool else []
        inputs = conv.filters
    hidden = plan.dense[0]
    head = [torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten()]
    head += [torch.nn.Linear(inputs, hidden, bias=False), torch.nn.BatchNorm1d(hidden)]
    return torch.nn.Sequential(
        *layers, *head, torch.nn.ReLU(), torch.nn.Linear(hidden, plan.classes)
    )


def torch_steps(plan: Plan, images: np.ndarray, labels: np.ndarray, *, compiled: bool) -> Steps:
    """PyTorch, channels last, fused Adam (never slower than foreach here); eager or compiled."""
    import torch

    net = torch_net(plan).to(memory_format=torch.channels_last)
    rule = torch.optim.Adam(net.parameters(), 1e-3, (0.9, 0.99), weight_decay=1e-3, fused=True)
    x, y = torch.tensor(np.tile(images, (50, 1, 1, 1))), torch.tensor(np.tile(labels, 50)).long()

    def loss_of(x, y):
        x = (x.permute(0, 3, 1, 2).float() / 255 - 0.5) / 0.5  # channels last by its strides
        return torch.nn.functional.cross_entropy(net(x), y)

    loss_of = torch.compile(loss_of, dynamic=False) if compiled else loss_of

    def steps(count: int) -> None:
        for _ in range(count):
            chosen = torch.randint(len(x), (BATCH,))
            loss_of(x[chosen], y[chosen]).backward()
            rule.step()
            rule.zero_grad(set_to_none=True)

    return steps


def columns(plan: Plan, images: np.ndarray, labels: np.ndarray) -> dict[str, Steps]:
    """Every column that can run here, by name."""
    found = {
        "ours": ours(plan, images, labels),
        "plain JAX": plain_jax(plan, images, labels),
    }
    try:
        import torch
    except ImportError:
        return found
    torch.set_num_threads(os.cpu_count() or 1)
    found["torch eager"] = torch_steps(plan, images, labels, compiled=False)
    found["torch.compile"] = torch_steps(plan, images, labels, compiled=True)
    return found


def measure(found: dict[str, Steps], *, rounds: int, seconds: float = 0.5) -> dict[str, list]:
    """Milliseconds per step of every column, one number a round."""
    counts = {}
    for name, steps in found.items():
        steps(3)
        start = time.perf_counter()
        steps(3)
        counts[name] = min(50, max(3, round(3 * seconds / (time.perf_counter() - start))))
    times: dict[str, list] = {name: [] for name in found}
    for _ in range(rounds):
        for name, steps in found.items():
            steps(2)
            start = time.perf_counter()
            steps(counts[name])
            times[name].append((time.perf_counter() - start) * 1e3 / counts[name])
    return times


def main() -> None:
    """Print one block per network."""
    parser = argparse.ArgumentParser(description="Time one training step of BasicNet.")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--network", nargs="+", default=["1x32x3", "0.25x32x3", "0.25x16x1"])
    arguments = parser.parse_args()
    print(f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores; {jax.devices()}")
    print(
        f"load {os.getloadavg()[0]:.1f}; python {platform.python_version()}, jax {jax.__version__}"
    )
    try:
        import torch

        print(f"torch {torch.__version__}")
    except ImportError:
        print("torch is not installed: its two columns are left out")
    for network in arguments.network:
        width, side, channels = network.split("x")
        plan = basicnet(classes=10, input_shape=(int(side), int(side), int(channels)), width=width)
        rng = np.random.default_rng(0)
        images = rng.integers(0, 256, (BATCH, *plan.input_shape), np.uint8)
        labels = rng.integers(0, 10, BATCH).astype(np.int32)
        times = measure(columns(plan, images, labels), rounds=arguments.rounds)
        reference = statistics.median(times["ours"])
        print(f"\nBasicNet width {width}, {side}x{side}x{channels}, batch {BATCH}")
        print(f"{'':14}{'median ms':>10}{'min ms':>9}{'times ours':>12}")
        for name, values in times.items():
            median = statistics.median(values)
            print(f"{name:14}{median:10.2f}{min(values):9.2f}{median / reference:12.2f}")


if __name__ == "__main__":
    main()
