"""Figures 4 and S3: a scalar under a regularizer and next to no gradient, by optimizer.

`python -m sparsity_jax.report figure 4` and `figure S3` draw them, with the options named here.
"""

from __future__ import annotations

import argparse
import dataclasses
import functools
from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from sparsity_jax.errors import UserError
from sparsity_jax.optimizers import OPTIMIZERS, default_learning_rate, make_optimizer
from sparsity_jax.report.aggregate import OPTIMIZER_NAMES, REGULARIZER_NAMES
from sparsity_jax.report.figures import style
from sparsity_jax.sparsity.low_gradient import PHASES, fading_gradients, simulate

FIGURE_4 = ("adam", "sgd")
SCALARS = 64
INACTIVE = 1e-3  # |gamma| below it: an inactive filter
FLOOR = 1e-5  # of the vertical axis
MARKERS = "os^Dv*PX"  # of the strengths, strongest first
CAPTION = (
    "Median of |theta| over 64 scalars that start at 1 and see random gradients, of standard "
    "deviation {phases}, and the regularizer. Solid: L2; dashed: weight decay; a mark per "
    "strength. Dotted: the gradients fade. Below the thin line a filter would be inactive. The "
    "paper's text names none of these numbers: start, deviations, steps and strengths are ours; "
    "the learning rates are the paper's, those of AMSGrad, Adamax and RMSProp ours."
)


@dataclasses.dataclass(frozen=True)
class Regime:
    """Settings of the simulation, the same for every optimizer.

    Attributes:
      strengths: of L2 and of weight decay.
      phases: ((steps, standard deviation of the gradient), ...).
      seed: of the gradients.
    """

    strengths: tuple[float, ...] = (1e-2, 1e-3, 1e-4, 1e-5)
    phases: tuple[tuple[int, float], ...] = PHASES
    seed: int = 0

    @property
    def caption(self) -> str:
        """Caption of the figure, with this regime's numbers."""
        said = (f"{sigma:g} for {steps:,} steps" for steps, sigma in self.phases)
        return CAPTION.format(phases=", then ".join(said))


@functools.cache
def paths(optimizer: str, regularizer: str, regime: Regime) -> np.ndarray:
    """Median of |theta| over time of scalars that start at 1: float (strengths, steps + 1)."""
    key = jax.random.key(regime.seed)
    gradients = fading_gradients(key, scalars=SCALARS, phases=regime.phases)

    def path(strength: jax.Array) -> jax.Array:
        rule = make_optimizer(optimizer, default_learning_rate(optimizer), regularizer, strength)
        return jnp.median(jnp.abs(simulate(rule, jnp.ones(SCALARS), gradients)), axis=1)

    return np.asarray(jax.jit(jax.vmap(path))(jnp.array(regime.strengths)))


@style.themed
def low_gradient(
    optimizers: Sequence[str] = OPTIMIZERS,
    *,
    regime: Regime | None = None,
    theme: style.Theme = style.LIGHT,
) -> Figure:
    """|theta| over steps, a panel per optimizer, a line per strength of L2 and of weight decay.

    Args:
      optimizers: names; Figure 4 has Adam and SGD, Figure S3 all seven.
      regime: strengths, gradients and seed.
      theme: of the background.
    """
    regime = regime or Regime()
    columns = 2 if len(optimizers) <= 2 else 3
    lines = -(-len(optimizers) // columns)
    figure = style.figure(style.PAGE, 0.8 + 1.5 * lines)
    panels = figure.subplots(lines, columns, sharex=True, sharey=True, squeeze=False).ravel()
    for axes, name in zip(panels, optimizers, strict=False):
        _panel(axes, name, regime, theme)
    for axes in panels[len(optimizers) :]:
        axes.set_axis_off()
    for axes in panels[max(0, len(optimizers) - columns) : len(optimizers)]:
        axes.set_xlabel("step")
        axes.tick_params(labelbottom=True)
    for axes in panels[::columns]:
        axes.set_ylabel("|theta|")
    handles = _handles(regime, theme)
    if len(optimizers) % columns:
        panels[-1].legend(handles=handles, loc="center right", ncols=2).set_in_layout(False)
    else:
        words = [str(handle.get_label()) for handle in handles]
        columns = style.legend_columns(words, most=len(words))
        figure.legend(handles=handles, loc="outside lower center", ncols=columns)
    return figure


def _panel(axes: Axes, name: str, regime: Regime, theme: style.Theme) -> None:
    ends = np.cumsum([steps for steps, _ in regime.phases])
    for regularizer in ("wd", "l2"):
        walked = paths(name, regularizer, regime)
        for place, (path, (marker, alpha)) in enumerate(zip(walked, _looks(regime), strict=True)):
            every = max(1, int(ends[-1]) // 6)
            axes.plot(
                np.maximum(path, FLOOR / 10),
                color=style.color(name),
                linestyle=style.LINES[regularizer],
                linewidth=1.1,
                marker=marker,
                alpha=alpha,
                markersize=3.6,
                markevery=(every * (place + 1) // (len(walked) + 1), every),
                markerfacecolor=style.color(name) if regularizer == "l2" else theme.face,
            )
    for end in ends[:-1]:
        axes.axvline(end, color=theme.faint, linestyle=":", linewidth=0.8)
    axes.axhline(INACTIVE, color=theme.faint, linewidth=0.8)
    axes.set_title(
        f"{OPTIMIZER_NAMES.get(name, name)}, rate {default_learning_rate(name):g}", fontsize=7.5
    )
    axes.set_yscale("log")
    axes.set_ylim(FLOOR, 2)
    axes.set_xlim(0, ends[-1])
    axes.locator_params(axis="x", nbins=3)


def _looks(regime: Regime) -> list[tuple[str, float]]:
    """Marker and opacity of every strength, strongest first."""
    count = len(regime.strengths)
    return [
        (MARKERS[place % len(MARKERS)], 1 - 0.55 * place / max(1, count - 1))
        for place in range(count)
    ]


def _handles(regime: Regime, theme: style.Theme) -> list[Line2D]:
    handles = [
        Line2D(
            [],
            [],
            color=theme.ink,
            marker=marker,
            alpha=alpha,
            linestyle="none",
            markersize=4.5,
            label=style.strength(strength),
        )
        for strength, (marker, alpha) in zip(regime.strengths, _looks(regime), strict=True)
    ]
    handles += [
        Line2D([], [], color=theme.ink, linestyle=style.LINES[kind], label=REGULARIZER_NAMES[kind])
        for kind in ("l2", "wd")
    ]
    return handles


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add what the simulation can be given: --strengths, --phases, --steps and --seed."""
    parser.add_argument("--strengths", metavar="S,S,...", help="default: 1e-2,1e-3,1e-4,1e-5")
    parser.add_argument(
        "--phases", metavar="STEPS:SIGMA,...", help="of the gradients; default: 100:1e-3,2900:1e-5"
    )
    parser.add_argument("--steps", type=int, metavar="N", help="in all: the last phase is fitted")
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="default: 0")


def regime_of(options: argparse.Namespace) -> Regime:
    """The regime that the options ask for.

    Raises:
      UserError: a number that cannot be read, or is out of range.
    """
    regime = Regime(seed=options.seed)
    if options.strengths:
        strengths = tuple(_number("--strengths", text) for text in options.strengths.split(","))
        regime = dataclasses.replace(regime, strengths=tuple(sorted(strengths, reverse=True)))
    if options.phases:
        regime = dataclasses.replace(regime, phases=_phases(options.phases))
    if options.steps is not None:
        *early, (_, sigma) = regime.phases
        rest = options.steps - sum(steps for steps, _ in early)
        if rest < 1:
            raise UserError(f"--steps={options.steps} leaves nothing of the last phase; give more")
        regime = dataclasses.replace(regime, phases=(*early, (rest, sigma)))
    return regime


def _phases(text: str) -> tuple[tuple[int, float], ...]:
    pairs = [part.partition(":") for part in text.split(",")]
    if not all(steps.isdecimal() and int(steps) for steps, _, _ in pairs):
        raise UserError(f"--phases={text} cannot be read; give STEPS:SIGMA,... as 100:1e-3,2900:0")
    return tuple((int(steps), _number("--phases", sigma)) for steps, _, sigma in pairs)


def _number(flag: str, text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value < 1e6:
        raise UserError(f"{flag}: {text!r} is not a number from 0 on; give numbers such as 1e-3")
    return value
