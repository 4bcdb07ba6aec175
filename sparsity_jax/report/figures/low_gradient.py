"""What becomes of a scalar that hardly sees a gradient, under each optimizer? (Figs. 4 and S3)

python -m sparsity_jax.report.figures.low_gradient --out=FILE.png
"""

from __future__ import annotations

import argparse
import functools
import sys
from collections.abc import Sequence
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from matplotlib.figure import Figure

from sparsity_jax.optimizers import OPTIMIZERS, default_learning_rate, make_optimizer
from sparsity_jax.report.aggregate import OPTIMIZER_NAMES, REGULARIZER_NAMES
from sparsity_jax.report.figures import style
from sparsity_jax.sparsity.low_gradient import PHASES, fading_gradients, simulate
from sparsity_jax.storage.io import write_atomically

SCALARS = 64
STRENGTH = 1e-3  # far above the gradients of the second phase, as for a filter that few images use


@functools.cache
def paths(optimizer: str, regularizer: str, strength: float = STRENGTH) -> np.ndarray:
    """|theta| over time of scalars that start at 1: float (steps + 1, SCALARS)."""
    rule = make_optimizer(optimizer, default_learning_rate(optimizer), regularizer, strength)
    gradients = fading_gradients(jax.random.key(0), scalars=SCALARS)
    return np.abs(
        np.asarray(jax.jit(functools.partial(simulate, rule))(jnp.ones(SCALARS), gradients))
    )


@style.themed
def low_gradient(*, strength: float = STRENGTH, theme: style.Theme = style.LIGHT) -> Figure:
    """|theta| over steps, a panel per optimizer, L2 against weight decay of one strength.

    Lines are medians over scalars, bands hold the middle 80 %. Left of the dotted line the
    gradient is that of a filter at work, right of it that of a selective one.
    """
    figure = style.figure(style.PAGE, 3.9)
    panels = figure.subplots(2, 4, sharex=True, sharey=True).ravel()
    for axes, name in zip(panels, OPTIMIZERS, strict=False):
        for regularizer in ("l2", "wd"):
            walked = paths(name, regularizer, strength)
            low, middle, high = np.percentile(walked, [10, 50, 90], axis=1)
            color, line = style.color(name), style.LINES[regularizer]
            axes.plot(middle, color=color, linestyle=line)
            axes.fill_between(range(len(middle)), low, high, color=color, alpha=0.15, linewidth=0)
        axes.axvline(PHASES[0][0], color=theme.faint, linestyle=":", linewidth=0.8)
        axes.axhline(1e-3, color=theme.faint, linewidth=0.8)
        axes.set_title(OPTIMIZER_NAMES.get(name, name))
        axes.set_yscale("log")
        axes.set_ylim(1e-5, 2)
        axes.locator_params(axis="x", nbins=3)
    for axes in panels[[3, 4, 5, 6]]:
        axes.set_xlabel("step")
        axes.tick_params(labelbottom=True)
    for axes in panels[[0, 4]]:
        axes.set_ylabel("|scalar|")
    panels[7].set_axis_off()
    for regularizer in ("l2", "wd"):
        word = f"{REGULARIZER_NAMES[regularizer]} {strength:g}"
        panels[7].plot([], [], color=theme.ink, linestyle=style.LINES[regularizer], label=word)
    panels[7].plot([], [], color=theme.faint, linewidth=0.8, label="inactive below")
    panels[7].legend(loc="center")
    return figure


def main(arguments: Sequence[str]) -> int:
    """Draw the figure into a file; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m sparsity_jax.report.figures.low_gradient")
    parser.add_argument("--out", metavar="FILE.png", type=Path, required=True)
    path = parser.parse_args(arguments).out
    try:
        write_atomically(path, style.png(low_gradient()))
    except OSError as error:
        print(f"error: cannot write {path}: {error.strerror}; give another", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
