"""Optimizers of optax, with every kind of slot and wrapper."""

import jax
import optax

OPTIMIZERS = {
    "sgd": optax.sgd(0.05),
    "momentum": optax.sgd(0.05, momentum=0.9, nesterov=True),
    "adam + L2": optax.chain(optax.add_decayed_weights(1e-2), optax.adam(1e-3)),
    "amsgrad": optax.amsgrad(1e-3),
    "rmsprop": optax.rmsprop(1e-3, momentum=0.9, centered=True),
    "schedule": optax.adamw(optax.linear_schedule(1e-3, 0.0, 5)),
    "clipped": optax.chain(optax.clip_by_global_norm(0.1), optax.adam(1e-3)),
    "masked": optax.masked(
        optax.adam(1e-3), lambda tree: jax.tree.map(lambda leaf: leaf.ndim > 1, tree)
    ),
    "masked by module": optax.masked(optax.adam(1e-3), lambda tree: dict.fromkeys(tree, True)),
    "partition": optax.partition(
        {"vectors": optax.sgd(0.01, momentum=0.9), "others": optax.adam(1e-3)},
        lambda tree: jax.tree.map(lambda leaf: "vectors" if leaf.ndim < 2 else "others", tree),
    ),
    "MultiSteps": optax.MultiSteps(optax.adam(1e-3), 2),
    "injected": optax.inject_hyperparams(optax.adamw)(learning_rate=1e-3),
    "named": optax.named_chain(("kernel", optax.trace(0.9)), ("scale", optax.scale(-0.01))),
    "average": optax.chain(optax.adam(1e-3), optax.ema(0.9)),
    "finite": optax.apply_if_finite(optax.adam(1e-3), 2),
}
