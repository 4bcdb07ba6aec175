"""Make traces.npz: what PyTorch 2.13 does to a small set of parameters in 100 steps.

Run with PyTorch installed: ``python tests/optimizers/make_traces.py``. It imports nothing of
sparsity_jax: the constants below are typed in from the paper and from PyTorch's documentation, so
the comparison in test_traces.py is between two sources.

Gamma and beta are parameter groups with learning rates of their own in every case.
Weight decay is written in the order of PyTorch's AdamW, ``p.mul_(1 - decay)`` and then the step.
The paper's sentence has the other order; the two differ by decay * (one step's update).

Arrays of traces.npz:
  cases      (cases,)                  "adam/wd lr": optimizer and regularizer
  start      (parameters,)             flat parameters before the first step
  gradients  (steps, parameters)       float32, the same in every case
  kept       (kept,)                   numbers of completed steps whose parameters are kept
  float32    (cases, kept, parameters) PyTorch in single precision
  float64    (cases, kept, parameters) PyTorch in double precision
  strength   (regularizers,)           strengths in the order of REGULARIZERS below
"""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

STEPS, DROP, MULTIPLIER = 100, 60, 0.1
KEPT = (1, 2, 5, 20, 60, 61, 80, 100)
GAMMA_LR_SCALE, BETA_LR_SCALE = 0.1, 0.5

# Sizes of the parameters, in order; test_traces.py names them as a Flax network does. The
# gradient scales cover the range from a dying filter to a living one.
SIZES = {"kernel": 12, "gamma": 6, "beta": 6, "dense bias": 4}
LR_SCALES = [1.0, GAMMA_LR_SCALE, BETA_LR_SCALE, 1.0]
SCALES = 10.0 ** -np.array([0, 2, 4, 6, 8, 10, 12, 3, 1, 2, 1, 0], np.float64)

OPTIMIZERS: dict[str, tuple[float, Callable[..., torch.optim.Optimizer]]] = {
    "sgd": (1e-1, lambda p, **k: torch.optim.SGD(p, momentum=0.9, **k)),
    "adam": (1e-3, lambda p, **k: torch.optim.Adam(p, betas=(0.9, 0.99), eps=1e-8, **k)),
    "amsgrad": (
        1e-3,
        lambda p, **k: torch.optim.Adam(p, betas=(0.9, 0.99), eps=1e-8, amsgrad=True, **k),
    ),
    "adamax": (2e-3, lambda p, **k: torch.optim.Adamax(p, betas=(0.9, 0.999), eps=1e-8, **k)),
    "rmsprop": (1e-3, lambda p, **k: torch.optim.RMSprop(p, alpha=0.99, eps=1e-8, **k)),
    "adadelta": (1.0, lambda p, **k: torch.optim.Adadelta(p, rho=0.9, eps=1e-6, **k)),
    "adagrad": (1e-2, lambda p, **k: torch.optim.Adagrad(p, eps=1e-10, **k)),
}
REGULARIZERS = {"none": 0.0, "l2": 1e-3, "wd schedule": 1e-2, "wd constant": 1e-2, "wd lr": 5e-2}


def cases() -> list[tuple[str, str]]:
    """Every optimizer with every regularizer."""
    return [(optimizer, regularizer) for optimizer in OPTIMIZERS for regularizer in REGULARIZERS]


def make_gradients(generator: np.random.Generator) -> np.ndarray:
    """Gradients with a drift, at scales from 1 to 1e-12; some are always, some mostly zero."""
    size = sum(SIZES.values())
    gradients = generator.normal(size=(STEPS, size)) + 0.5 * generator.normal(size=size)
    gradients *= np.resize(SCALES, size)
    gradients[:, [3, 12, 18, 24]] = 0.0  # a dead filter: kernel, gamma, beta; an unused bias
    gradients[:, [7, 13, 19, 25]] *= generator.random((STEPS, 4)) < 0.1  # a filter seldom active
    gradients[20:, [9, 14, 20]] = 0.0  # a filter that dies in training
    return gradients.astype(np.float32)


def trace(
    case: tuple[str, str], start: np.ndarray, gradients: np.ndarray, dtype: torch.dtype
) -> np.ndarray:
    """Parameters of one case after each of the KEPT numbers of steps."""
    name, regularizer = case
    base, make = OPTIMIZERS[name]
    strength = REGULARIZERS[regularizer]
    cuts = np.cumsum(list(SIZES.values()))[:-1]
    pieces = [torch.tensor(piece, dtype=dtype) for piece in np.split(start, cuts)]
    groups = [{"params": [piece]} for piece in pieces]
    optimizer = make(groups, lr=base, weight_decay=strength if regularizer == "l2" else 0.0)
    kept = []
    for step, row in enumerate(gradients):
        multiplier = MULTIPLIER if step >= DROP else 1.0
        row_pieces = np.split(row, cuts)
        for group, scale, gradient in zip(
            optimizer.param_groups, LR_SCALES, row_pieces, strict=True
        ):
            (parameter,) = group["params"]
            group["lr"] = base * scale * multiplier
            decay = {
                "wd schedule": strength * multiplier,
                "wd constant": strength,
                "wd lr": group["lr"] * strength,
            }.get(regularizer, 0.0)
            parameter.mul_(1 - decay)
            parameter.grad = torch.tensor(gradient, dtype=dtype)
        optimizer.step()
        if step + 1 in KEPT:
            kept.append(torch.cat(pieces).numpy().copy())
    return np.stack(kept)


def main() -> None:
    """Write traces.npz beside this file."""
    generator = np.random.default_rng(0)
    start = generator.uniform(0.2, 1.2, sum(SIZES.values())).astype(np.float32)
    gradients = make_gradients(generator)
    np.savez_compressed(
        Path(__file__).with_name("traces.npz"),
        cases=np.array(["/".join(case) for case in cases()]),
        start=start,
        gradients=gradients,
        kept=np.array(KEPT),
        drop=np.array([DROP, MULTIPLIER]),
        lr_scales=np.array([GAMMA_LR_SCALE, BETA_LR_SCALE]),
        regularizers=np.array(list(REGULARIZERS)),
        strength=np.array(list(REGULARIZERS.values())),
        float32=np.stack([trace(c, start, gradients, torch.float32) for c in cases()]),
        float64=np.stack([trace(c, start, gradients, torch.float64) for c in cases()]),
        torch_version=np.array(torch.__version__),
    )


if __name__ == "__main__":
    main()
