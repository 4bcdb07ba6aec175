"""Phase planes: sparsity and test error over the strength and one more setting, as maps.

No figure of the paper: the planes that its tables cut lines through (Tables 1, 3 and 6).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from itertools import product

import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Colormap, LogNorm, Normalize
from matplotlib.figure import Figure
from matplotlib.patches import Patch, Rectangle
from matplotlib.patheffects import withStroke
from matplotlib.ticker import FuncFormatter, NullLocator

from sparsity_jax.report.aggregate import OPTIMIZER_NAMES, REGULARIZER_NAMES
from sparsity_jax.report.figures import contours, style
from sparsity_jax.report.figures.contours import edges
from sparsity_jax.report.figures.planes import Plane, Setting, planes
from sparsity_jax.report.loading import Records

SPARSITIES = (10, 30, 50, 70, 90)  # contour lines, in percent
TOLERATED = 2.0  # points of test error above the lowest of the figure: the other contour line
WORDS = {"learning_rate": "learning rate", "batch_size": "batch size", "width": "width"}
HATCHES = {"diverged": "xxxx", "failed": "xxxx", "not run": "////"}
UNIT, UNIT_WORD = 1e-3, "1e-3"  # of strengths, so that their labels stay short
ERROR_SPAN = 20.0  # highest over lowest error that colours tell apart
WIDTH, PANEL, REST = 5.2, 1.45, 1.15  # inches: of the figure; heights of a line and of the rest


@dataclasses.dataclass(frozen=True)
class Scale:
    """Colours of one column of panels, the same for all its panels."""

    column: str
    title: str
    colors: Colormap
    norm: Normalize
    ticks: tuple[float, ...]


@style.themed
def phase_diagram(
    records: Records, *, setting: Setting, theme: style.Theme = style.LIGHT
) -> Figure:
    """Sparsity by gamma and test error over strength and this setting, a line per optimizer.

    The numbers are those of the cells. White lines: `SPARSITIES` percent of the filters inactive.
    Dashed: `TOLERATED` points of test error above the lowest of the figure. The star is the
    sparsest run on the good side of that line. Errors of more than `ERROR_SPAN` times the lowest
    have one colour.

    Args:
      records: of a workdir in which `planes(records.rows, setting)` finds some.
      setting: what varies beside the strength.
      theme: of the background.
    """
    shown = planes(records.rows, setting)
    figure = style.figure(WIDTH, REST + PANEL * len(shown), dpi=style.FINE_DPI)
    panels = figure.subplots(len(shown), 2, squeeze=False)
    figure.align_ylabels(list(panels[:, 0]))
    scales = _scales(shown)
    bar = _tolerable(shown)
    missing: set[str] = set()
    for line, plane in zip(panels, shown, strict=True):
        for axes, scale in zip(line, scales, strict=True):
            _cells(axes, plane, scale, theme)
            missing |= _hatch(axes, plane, theme)
            _contours(axes, plane, scale, bar)
            _star(axes, plane, bar)
        _name(line, plane, bar, theme)
    for axes in panels[-1]:
        axes.set_xlabel(f"strength of the regularizer ({UNIT_WORD})")
    for axes in panels[:, 1]:
        axes.tick_params(labelleft=False)
    if len({plane.strengths for plane in shown}) == 1:
        for axes in panels[:-1].ravel():
            axes.tick_params(labelbottom=False)
    for scale, column in zip(scales, panels.T, strict=True):
        _color_bar(figure, scale, list(column))
    handles = [_sample(word, theme) for word in HATCHES if word in missing]
    if handles:
        figure.legend(handles=handles, loc="outside lower center", ncols=len(handles))
    return figure


def _scales(shown: Sequence[Plane]) -> tuple[Scale, Scale]:
    sparsities = _known(shown, "sparsity_gamma")
    most = float(np.clip(10 * np.ceil(np.max(sparsities, initial=10.0) / 10), 10, 100))
    errors = _known(shown, "test_error")
    low = max(0.05, float(np.min(errors, initial=100.0)))
    high = float(np.clip(np.max(errors, initial=0.1), 2 * low, ERROR_SPAN * low))
    marks = tuple(t for t in (0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 90) if low <= t <= high)
    step = 10 if most <= 50 else 20
    return (
        Scale(
            "sparsity_gamma",
            "inactive filters (%)",
            style.VIRIDIS,
            Normalize(0, most),
            tuple(np.arange(0, most + 1, step)),
        ),
        Scale("test_error", "test error (%)", style.CIVIDIS, LogNorm(low, high), marks),
    )


def _known(shown: Sequence[Plane], column: str) -> np.ndarray:
    values = np.concatenate([plane.means(column).ravel() for plane in shown])
    return values[np.isfinite(values)]


def _tolerable(shown: Sequence[Plane]) -> float:
    """The test error in percent up to which runs count as no worse than the best one."""
    return float(np.min(_known(shown, "test_error"), initial=100.0)) + TOLERATED


def _cells(axes: Axes, plane: Plane, scale: Scale, theme: style.Theme) -> None:
    xs, ys = edges(plane.strengths), edges(plane.values)
    values = np.ma.masked_invalid(plane.means(scale.column))
    axes.pcolormesh(
        xs, ys, values, cmap=scale.colors, norm=scale.norm, edgecolors=theme.face, linewidth=0.5
    )
    for (i, j), value in np.ndenumerate(plane.means(scale.column)):
        if np.isfinite(value):
            _number(axes, (np.log10(plane.strengths[j]), np.log10(plane.values[i])), value, scale)
    axes.grid(visible=False)
    axes.set_xlim(xs[0], xs[-1])
    axes.set_ylim(ys[0], ys[-1])
    axes.set_xticks(np.log10(plane.strengths), [f"{value / UNIT:g}" for value in plane.strengths])
    axes.set_yticks(np.log10(plane.values), _values(plane))
    axes.tick_params(length=0, labelsize=7.5)
    for spine in axes.spines.values():
        spine.set_visible(False)


def _number(axes: Axes, place: tuple[float, float], value: float, scale: Scale) -> None:
    """Writes a cell's number in it, dark on light colours and light on dark ones, over lines."""
    red, green, blue, _ = ground = scale.colors(scale.norm(max(value, scale.norm.vmin or value)))
    ink = "#000000" if 0.3 * red + 0.59 * green + 0.11 * blue > 0.5 else "#ffffff"
    digits = 1 if scale.column == "test_error" and value < 10 else 0
    text = f"{value:.{digits}f}"
    halo = [withStroke(linewidth=2.2, foreground=ground)]  # lines end before the digits
    axes.text(
        *place, text, color=ink, fontsize=6.2, ha="center", va="center", zorder=4, path_effects=halo
    )


def _values(plane: Plane) -> list[str]:
    """The other setting's values, with a mark at the paper's."""
    return [f"▸ {value:g}" if value == plane.papers else f"{value:g}" for value in plane.values]


def _hatch(axes: Axes, plane: Plane, theme: style.Theme) -> set[str]:
    """Hatches the cells without a number; returns what became of their runs."""
    xs, ys = edges(plane.strengths), edges(plane.values)
    seen = set()
    for i, j in product(range(len(plane.values)), range(len(plane.strengths))):
        cell = plane.values[i], plane.strengths[j]
        if not _known_at(plane, cell):
            word = plane.cells[cell].first.status if cell in plane.cells else "not run"
            seen.add(word)
            axes.add_patch(
                Rectangle(
                    (xs[j], ys[i]),
                    xs[j + 1] - xs[j],
                    ys[i + 1] - ys[i],
                    linewidth=0,
                    facecolor="none",
                    edgecolor=theme.faint,
                    hatch=HATCHES.get(word, "////"),
                )
            )
    return seen


def _known_at(plane: Plane, cell: tuple[float, float]) -> bool:
    return cell in plane.cells and bool(plane.cells[cell].finished)


def _sample(word: str, theme: style.Theme) -> Patch:
    return Patch(facecolor="none", edgecolor=theme.faint, hatch=HATCHES[word], label=word)


def _contours(axes: Axes, plane: Plane, scale: Scale, bar: float) -> None:
    errors = contours.fine(plane.means("test_error"), plane.values, plane.strengths)
    contours.draw(axes, errors, (bar,), (0, (3, 1.6)))
    if scale.column == "sparsity_gamma":
        sparsity = contours.fine(plane.means("sparsity_gamma"), plane.values, plane.strengths)
        contours.draw(axes, sparsity, SPARSITIES)


def _best(plane: Plane, bar: float) -> tuple[float, float, float, float] | None:
    """(strength, value, sparsity, error) of the sparsest cell with an error up to the bar."""
    sparsity, error = plane.means("sparsity_gamma"), plane.means("test_error")
    allowed = np.where(error <= bar, sparsity, -np.inf)
    allowed = np.where(np.isnan(allowed), -np.inf, allowed)
    i, j = np.unravel_index(int(allowed.argmax()), allowed.shape)
    if not np.isfinite(allowed[i, j]):
        return None
    return plane.strengths[j], plane.values[i], float(sparsity[i, j]), float(error[i, j])


def _star(axes: Axes, plane: Plane, bar: float) -> None:
    best = _best(plane, bar)
    if best is not None:
        low, high = axes.get_ylim()
        above = (high - low) / len(plane.values) * 0.35  # of the number in the cell's middle
        axes.plot(
            np.log10(best[0]),
            np.log10(best[1]) + above,
            marker="*",
            markersize=5.5,
            color="#ffffff",
            markeredgecolor="#000000",
            markeredgewidth=0.6,
            linestyle="none",
            zorder=5,
        )


def _name(line: Sequence[Axes], plane: Plane, bar: float, theme: style.Theme) -> None:
    """Writes on a line of panels whose they are, and what the star found."""
    optimizer = OPTIMIZER_NAMES.get(plane.optimizer, plane.optimizer)
    regularizer = REGULARIZER_NAMES.get(plane.regularizer, plane.regularizer)
    line[0].set_title(
        f"{optimizer} + {regularizer}", loc="left", color=theme.ink, fontsize=9.5, pad=4
    )
    line[0].set_ylabel(WORDS[plane.setting])
    best = _best(plane, bar)
    if best is not None:
        line[1].set_title(
            f"★ {best[2]:.0f} % inactive at {best[3]:.1f} % error",
            loc="right",
            fontsize=8,
            fontweight="normal",
            pad=4,
        )


def _color_bar(figure: Figure, scale: Scale, column: list[Axes]) -> None:
    bar = figure.colorbar(
        ScalarMappable(scale.norm, scale.colors),
        ax=column,
        location="top",
        aspect=28,
        fraction=0.06,
        pad=0.02,
        ticks=list(scale.ticks),
        extend="max" if scale.column == "test_error" else "neither",
    )
    bar.ax.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    bar.ax.xaxis.set_minor_locator(NullLocator())
    bar.ax.tick_params(length=0, labelsize=7, pad=2)
    bar.set_label(scale.title, fontweight="bold")
    bar.outline.set_visible(False)  # pyright: ignore[reportCallIssue]
