"""How much device memory does a member of a population need, and how many therefore fit?"""

from __future__ import annotations

import functools
import math
import os

import jax
import jax.numpy as jnp

from sparsity_jax.training.state import Hypers, Setup, init_state

# Copies of every layer's output alive at once: input, output and gradient of convolution, norm and
# rectifier, and what their lowering unfolds. Measured on CPU: 4.6 to 6.1 (XLA's own account).
_OUTPUTS = 8
_STATES = 2
_CPU_SHARE, _DEVICE_SHARE = 0.5, 0.8


def member_bytes(setup: Setup) -> int:
    """An estimate from above of the bytes that one member's state and step need.

    8 outputs + 2 states, in float32: outputs = batch x sum over layers of height x width x
    filters; the second state is for gradients and updates. The tests compare it with XLA's account
    of the compiled program.

    Example:
      >>> member_bytes(setup) // 2**20  # width 0.25, 16x16 gray, batch 40
      21
    """
    plan = setup.plan
    outputs = math.prod(plan.input_shape) + sum(math.prod(shape) for shape in plan.conv_shapes)
    hypers = Hypers(*(jnp.float32(0),) * 5, seed=jnp.uint32(0))
    state = jax.eval_shape(functools.partial(init_state, setup), hypers)
    state_bytes = sum(leaf.size * leaf.dtype.itemsize for leaf in jax.tree.leaves(state))
    return 4 * _OUTPUTS * setup.batch_size * outputs + _STATES * state_bytes


def free_bytes() -> int:
    """Bytes of one device that a population may take."""
    device = jax.local_devices()[0]
    limit = (device.memory_stats() or {}).get("bytes_limit") if device.platform != "cpu" else None
    if limit:
        return int(_DEVICE_SHARE * limit)
    return int(_CPU_SHARE * os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))
