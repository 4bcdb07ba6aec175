"""A population of 16 on eight devices and on one; prints what is the same, as JSON."""

import json
import re

import jax
import jax.numpy as jnp
import numpy as np
from test_population import SETUP, hypers, same

from sparsity_jax.training import Corpus, init_state
from sparsity_jax.training.population import (
    Layout,
    _orders,
    _program,
    advance_members,
    on_devices,
    stack,
)

COLLECTIVES = r"all-reduce|all-gather|all-to-all|collective-permute|reduce-scatter|collective-bcast"


def main() -> None:
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (40, 8, 8, 1), np.uint8)
    labels = rng.integers(0, 3, 40).astype(np.int32)
    half = np.full(1, 0.5, np.float32)
    corpus = Corpus(*map(jnp.asarray, (images, labels, images, labels, half, half)))
    members = [hypers(seed, strength=10.0**-seed) for seed in range(16)]
    own = stack(members)

    def trained(layout: Layout):
        state = stack([init_state(SETUP, each) for each in members])
        there = on_devices(corpus, layout)
        for step in (3, 8):
            state = advance_members(SETUP, own, there, state, until=step, layout=layout)
        return state

    one = trained(Layout("map"))
    sharded = Layout("map", "shard_map", 8)
    split, mapped = trained(sharded), trained(Layout("map", "pmap", 8))
    orders = _orders(own, 0, size=40)
    arguments = own, orders, split, on_devices(corpus, sharded), 2
    hlo = _program(SETUP, sharded).lower(*arguments).compile().as_text()
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
