"""Claims about the regularizer alone, by simulation where gradients are low (Figures 4 and S3)."""

from __future__ import annotations

import functools
from collections.abc import Iterator

import jax
import jax.numpy as jnp

from sparsity_jax.optimizers import default_learning_rate, make_optimizer
from sparsity_jax.report.paper.claims.judging import Claim, Evidence, Finding
from sparsity_jax.report.paper.length import is_full
from sparsity_jax.report.paper.pairs import Point
from sparsity_jax.sparsity.low_gradient import fading_gradients, simulate

# Standard deviations of the gradient: the text has no numbers. A filter at work, then a selective
# one, whose gradients are far below what the regularizer adds.
PHASES = ((100, 1e-3), (2900, 1e-5))
STRENGTHS = (1e-3, 1e-4, 1e-5)
SMALLER = 0.1  # of SGD's strength: 'even for smaller regularizer values'
SCALARS = 64
ADAPTIVE = ("adam", "rmsprop", "adamax")
OTHERS = (("adam", "wd"), ("sgd", "l2"))


def remaining(optimizer: str, regularizer: str, strength: float) -> float:
    """Remainder of a scalar that starts at 1: the mean of |theta| over the steps."""
    return _remaining(optimizer, regularizer)[strength]


@functools.cache
def _remaining(optimizer: str, regularizer: str) -> dict[float, float]:
    """Remainders of all strengths, in one program."""
    rate = default_learning_rate(optimizer)
    gradients = fading_gradients(jax.random.key(0), scalars=SCALARS, phases=PHASES)

    @jax.jit
    @jax.vmap
    def mean(strength: jax.Array) -> jax.Array:
        update = make_optimizer(optimizer, rate, regularizer, strength)
        return jnp.abs(simulate(update, jnp.ones(SCALARS), gradients)).mean()

    strengths = sorted({*STRENGTHS, *(SMALLER * strength for strength in STRENGTHS)})
    return dict(zip(strengths, mean(jnp.array(strengths)).tolist(), strict=True))


def _compared(
    one: tuple[str, str, float], other: tuple[str, str, float], runs: tuple[Point, ...]
) -> Finding:
    """The finding that the first decays faster than the other; `runs` are those that ask."""
    left, right = remaining(*one), remaining(*other)
    names = [f"{optimizer}+{kind} {strength:g}" for optimizer, kind, strength in (one, other)]
    numbers = f"mean |theta| {left:.3f}, {right:.3f}"
    return Finding(f"simulated {names[0]} before {names[1]}", numbers, left < right, runs)


def _asking(evidence: Evidence) -> tuple[Point, ...]:
    """The runs that it is about, of full length if there are any; () where a side is missing.

    Simulations alone are no evidence of runs, and say nothing of shortened ones.
    """
    full = tuple(point for point in evidence.points if is_full(point.length))
    for known in (full, evidence.points):
        mine = [p for p in known if (p.optimizer, p.regularizer) == ("adam", "l2")]
        others = [p for p in known if (p.optimizer, p.regularizer) in OTHERS]
        if mine and others:
            return (*mine, *others)
    return ()


def _before_wd(evidence: Evidence) -> Iterator[Finding]:
    runs = _asking(evidence)
    for strength in STRENGTHS if runs else ():
        yield _compared(("adam", "l2", strength), ("adam", "wd", strength), runs)


def _before_sgd(evidence: Evidence) -> Iterator[Finding]:
    """At equal strength, and against ten times Adam's where both are small."""
    runs = _asking(evidence)
    for strength in STRENGTHS if runs else ():
        yield _compared(("adam", "l2", strength), ("sgd", "l2", strength), runs)
    for strength in STRENGTHS[1:] if runs else ():
        yield _compared(("adam", "l2", SMALLER * strength), ("sgd", "l2", strength), runs)


def _adaptive(evidence: Evidence) -> Iterator[Finding]:
    runs = _asking(evidence)
    for name in ADAPTIVE if runs else ():
        for strength in STRENGTHS[1:]:
            yield _compared((name, "l2", strength), ("sgd", "l2", strength), runs)


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
