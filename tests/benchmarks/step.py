"""How long does one training step of BasicNet take here, beside PyTorch and plain JAX?

    python tests/benchmarks/step.py [--rounds=7] [--network 1x32x3 ...] [--torch_python=PATH]

Every column trains the same network on batches of 40 with Adam and L2: forward, backward, update.
Plain JAX gets one ready batch again and again. PyTorch draws and normalises its batch out of uint8
images in memory, as ours does, in the fewest operations. `table.py` prints the whole table.
"""

from __future__ import annotations

import argparse
import functools
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

import jax
import jax.numpy as jnp
import optax
from flax import linen as nn
from peers import torch_process
from timing import Column, in_rounds, load, machine, timed
from workload import BATCH, Workload, alone, make_workload, plan_of, seeded

from sparsity_jax.models import Plan

IMAGES = 50 * BATCH


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


def plain_jax(work: Workload) -> Column:
    """nn.Conv, nn.max_pool, nn.BatchNorm, optax; one jitted, donated step per call."""
    net, y = PlainNet(work.program.plan), work.data.train_labels[:BATCH]
    x = work.data.train_images[:BATCH].astype(jnp.float32) / 255
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

    def steps(count: int) -> object:
        nonlocal state
        for _ in range(count):
            state = step(*state)
        return state

    return timed(steps)


def main() -> None:
    """Print one block per network."""
    parser = argparse.ArgumentParser(description="Time one training step of BasicNet.")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--network", nargs="+", default=["1x32x3", "0.25x32x3", "0.25x16x1"])
    parser.add_argument("--torch_python", default=sys.executable, help="whose PyTorch to run")
    asked = parser.parse_args()
    print(f"{machine()}; {load()}")
    for network in asked.network:
        work = make_workload(plan_of(network), images=IMAGES)
        with torch_process(asked.torch_python) as torch:
            columns = {"ours": alone(work, seeded(1)[0]), "plain JAX": plain_jax(work)}
            columns |= torch.columns(work.program.plan, images=IMAGES)
            found = in_rounds(columns, rounds=asked.rounds, seconds=0.5)
        print(f"\nBasicNet {network}, batch {BATCH}; {torch.version or 'no PyTorch'}")
        print(f"{'':14}{'median ms':>10}{'min ms':>9}{'times ours':>12}")
        for name, values in found.times.items():
            median, ratio = found.median(name), found.median(name) / found.median("ours")
            print(f"{name:14}{median:10.2f}{min(values):9.2f}{ratio:12.2f}")
        for name, reason in found.absent.items():
            print(f"{name:14}  not measured: {reason}")


if __name__ == "__main__":
    main()
