"""A population of 16 on eight devices and on one; prints what is the same, as JSON."""

import json
import re
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

from sparsity_jax.training import DeviceDataset, init_state
from sparsity_jax.training.members import stack
from sparsity_jax.training.population import (
    MemberMapping,
    _compiled,
    _orders,
    on_devices,
    train_population,
)

sys.path.insert(0, str(Path(__file__).parents[1] / "training"))
from test_population import SETUP, hparams, same

COLLECTIVES = r"all-reduce|all-gather|all-to-all|collective-permute|reduce-scatter|collective-bcast"


def main() -> None:
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (40, 8, 8, 1), np.uint8)
    labels = rng.integers(0, 3, 40).astype(np.int32)
    half = np.full(1, 0.5, np.float32)
    data = DeviceDataset(*map(jnp.asarray, (images, labels, images, labels, half, half)))
    members = [hparams(seed, strength=10.0**-seed) for seed in range(16)]
    own = stack(members)

    def trained(mapping: MemberMapping):
        state = stack([init_state(SETUP, each) for each in members])
        there = on_devices(data, mapping)
        for step in (3, 8):
            state = train_population(SETUP, own, there, state, until=step, mapping=mapping)
        return state

    one = trained(MemberMapping("map"))
    sharded = MemberMapping("map", "shard_map", 8)
    split, mapped = trained(sharded), trained(MemberMapping("map", "pmap", 8))
    orders = _orders(own, 0, size=40)
    arguments = own, orders, split, on_devices(data, sharded), 2
    hlo = _compiled(SETUP, sharded, None, ()).lower(*arguments).compile().as_text()
    found = {
        "devices": jax.device_count(),
        "shard_map is one device": same(one, split),
        "pmap is shard_map": same(split, mapped),
        "shards": len(split.loss_sum.sharding.device_set),
        "collectives": sorted(set(re.findall(COLLECTIVES, hlo))),
    }
    print(json.dumps(found))


if __name__ == "__main__":
    main()
