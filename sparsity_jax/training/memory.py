"""How much device memory does a member of a population need, and how many therefore fit?"""

from __future__ import annotations

import os

import jax

from sparsity_jax.training.state import Setup

# Copies of every layer's output alive at once: input, output and gradient of convolution, norm and
# rectifier, and what their lowering unfolds. Measured on CPU: 4.6 to 6.1 (XLA's own account).
_OUTPUTS = 8
_PARAMETERS = 5  # weights, gradient, update, two moments
_CPU_SHARE, _DEVICE_SHARE = 0.5, 0.8


def member_bytes(setup: Setup) -> int:
    """An estimate from above of the bytes that one member's state and step need.

    8 outputs + 5 parameters, in float32: outputs = batch x sum over layers of height x width x
    filters. It is compared with XLA's account of the compiled program in the tests.

    Example:
      >>> member_bytes(setup) // 2**20  # width 0.25, 16x16, batch 40
      18
    """
    plan = setup.plan
    height, width, channels = plan.input_shape
    outputs, parameters = height * width * channels, 0
    for conv in plan.convs:
        outputs += height * width * conv.filters
        parameters += conv.kernel**2 * channels * conv.filters
        channels = conv.filters
        if conv.pool:
            height, width = height // 2, width // 2
    for features in (*plan.dense, plan.classes):
        parameters += features * max(channels, height * width * channels if channels else 1)
        height, width, channels = 1, 1, features
    return 4 * (_OUTPUTS * setup.batch_size * outputs + _PARAMETERS * parameters)


def free_bytes() -> int:
    """Bytes of one device that a population may take."""
    device = jax.local_devices()[0]
    limit = (device.memory_stats() or {}).get("bytes_limit") if device.platform != "cpu" else None
    if limit:
        return int(_DEVICE_SHARE * limit)
    return int(_CPU_SHARE * os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))
