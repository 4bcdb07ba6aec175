"""Claims about the regularizer alone, by simulation where gradients are low (Figures 4 and S3)."""

from __future__ import annotations

import functools
from collections.abc import Iterator

import jax
import jax.numpy as jnp

from sparsity_jax.optimizers import default_learning_rate, make_optimizer
from sparsity_jax.report.paper.claims.judging import Claim, Evidence, Finding
from sparsity_jax.sparsity.low_gradient import fading_gradients, simulate

# Standard deviations of the gradient: the text has no numbers. A filter at work, then a selective
# one, whose gradients are far below what the regularizer adds.
PHASES = ((100, 1e-3), (2900, 1e-5))
STRENGTHS = (1e-3, 1e-4, 1e-5)
SMALLER = 0.1  # of SGD's strength: 'even for smaller regularizer values'
SCALARS = 64
ADAPTIVE = ("adam", "rmsprop", "adamax")


@functools.cache
def remaining(optimizer: str, regularizer: str, strength: float) -> float:
    """Remainder of a scalar that starts at 1: the mean of |theta| over the steps."""
    rate = default_learning_rate(optimizer)
    update = make_optimizer(optimizer, rate, regularizer, strength)
    gradients = fading_gradients(jax.random.key(0), scalars=SCALARS, phases=PHASES)
    path = jax.jit(functools.partial(simulate, update))(jnp.ones(SCALARS), gradients)
    return float(jnp.abs(path).mean())


def _compared(one: tuple[str, str, float], other: tuple[str, str, float]) -> Finding:
    """The finding that the first decays faster than the other."""
    left, right = remaining(*one), remaining(*other)
    names = [f"{optimizer}+{kind} {strength:g}" for optimizer, kind, strength in (one, other)]
    numbers = f"mean |theta| {left:.3f}, {right:.3f}"
    return Finding(f"{names[0]} before {names[1]}", numbers, left < right)


def _asked(evidence: Evidence) -> bool:
    """Whether the runs are about it: simulations alone are no evidence of runs."""
    kinds = {(point.optimizer, point.regularizer) for point in evidence.points}
    return ("adam", "l2") in kinds and bool(kinds & {("adam", "wd"), ("sgd", "l2")})


def _before_wd(evidence: Evidence) -> Iterator[Finding]:
    for strength in STRENGTHS if _asked(evidence) else ():
        yield _compared(("adam", "l2", strength), ("adam", "wd", strength))


def _before_sgd(evidence: Evidence) -> Iterator[Finding]:
    """At equal strength, and against ten times Adam's where both are small."""
    for strength in STRENGTHS if _asked(evidence) else ():
        yield _compared(("adam", "l2", strength), ("sgd", "l2", strength))
    for strength in STRENGTHS[1:] if _asked(evidence) else ():
        yield _compared(("adam", "l2", SMALLER * strength), ("sgd", "l2", strength))


def _adaptive(evidence: Evidence) -> Iterator[Finding]:
    for name in ADAPTIVE if _asked(evidence) else ():
        for strength in STRENGTHS[1:]:
            yield _compared((name, "l2", strength), ("sgd", "l2", strength))


NEEDS = "runs of Adam with L2, and of SGD with L2 or Adam with weight decay; it is simulated then"
CLAIMS = (
    Claim(
        "Where gradients are low, Adam with L2 decays fastest",
        "coupling of L2 regularization with ADAM update equation yields a faster decay than weight "
        "decay, or L2 regularization with SGD, even for smaller regularizer values",
        "Sec. 3, Figure 4",
        (_before_wd, _before_sgd),
        NEEDS,
    ),
    Claim(
        "Where gradients are low, adaptive methods regularize more than SGD",
        "Adaptive gradient approaches exhibit strong regularization in low gradient regime even "
        "with low regularization values",
        "Supplement, Sec. 2, Figure S3",
        (_adaptive,),
        NEEDS,
    ),
)
