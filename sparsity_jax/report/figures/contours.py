"""Contour lines of a map of numbers in cells: where it reaches a level.

Between the middles of the cells values are interpolated along one axis and then along the other,
without overshoot (SciPy's PCHIP).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.contour import ContourSet
from matplotlib.patheffects import AbstractPathEffect, withStroke
from scipy.interpolate import PchipInterpolator

HALO: list[AbstractPathEffect] = [withStroke(linewidth=2.0, foreground="#00000090")]
FINE = 12  # points that contour lines have for each cell


def edges(values: Sequence[float]) -> np.ndarray:
    """Cells' borders in decades: half way between neighbours, and as far beyond the outermost.

    Example:
      >>> edges([1.0, 10.0, 100.0]).tolist()
      [-0.5, 0.5, 1.5, 2.5]
    """
    at = np.log10(values)
    middles = (at[1:] + at[:-1]) / 2
    return np.concatenate(([2 * at[0] - middles[0]], middles, [2 * at[-1] - middles[-1]]))


def fine(
    values: np.ndarray, lines: Sequence[float], columns: Sequence[float]
) -> tuple[np.ndarray, np.ndarray, np.ma.MaskedArray]:
    """The numbers of cells as a smooth map in decades, up to the outermost borders.

    Args:
      values: (lines, columns), NaN where unknown; the map is masked there.
      lines: what the cells' lines stand for, ascending and positive.
      columns: what their columns stand for, ascending and positive.

    Returns:
      Places of the columns, places of the lines, and the map: (places of lines, of columns).
    """
    borders = [edges(lines), edges(columns)]
    places = [np.linspace(e[0], e[-1], FINE * (len(e) - 1) + 1) for e in borders]
    known = np.isfinite(values)
    filled = np.where(known, values, _nearest(values))
    for axis, at in enumerate((np.log10(lines), np.log10(columns))):
        with_ends = np.concatenate(([borders[axis][0]], at, [borders[axis][-1]]))
        filled = _with_ends(filled.swapaxes(0, axis)).swapaxes(0, axis)
        with np.errstate(over="ignore"):  # a rise of next to nothing: its inverse becomes infinite
            filled = PchipInterpolator(with_ends, filled, axis=axis)(places[axis])
    cell = [
        np.clip(np.searchsorted(e, f, side="right") - 1, 0, len(e) - 2)
        for e, f in zip(borders, places, strict=True)
    ]
    return places[1], places[0], np.ma.masked_array(filled, ~known[np.ix_(*cell)])


def _with_ends(lines: np.ndarray) -> np.ndarray:
    """A line more at either end, half a step on in a straight line, but not below zero."""
    first, last = 1.5 * lines[0] - 0.5 * lines[1], 1.5 * lines[-1] - 0.5 * lines[-2]
    return np.maximum(np.concatenate(([first], lines, [last])), 0.0)


def _nearest(values: np.ndarray) -> np.ndarray:
    """Every cell's number, or that of the nearest cell which has one; zeros if none has."""
    found = np.argwhere(np.isfinite(values))
    filled = np.zeros_like(values)
    for place in np.ndindex(values.shape):
        if len(found):
            near = found[np.abs(found - place).sum(axis=1).argmin()]
            filled[place] = values[tuple(near)]
    return filled


def draw(
    axes: Axes,
    mapped: tuple[np.ndarray, np.ndarray, np.ma.MaskedArray],
    levels: Sequence[float],
    dashes: object = "-",
) -> ContourSet | None:
    """Lines of the map (as `fine` makes it) at those of the levels that it crosses."""
    xs, ys, values = mapped
    crossed = [level for level in levels if values.min() < level < values.max()]
    if not crossed:
        return None
    lines = axes.contour(xs, ys, values, levels=crossed, colors="#ffffff", linewidths=0.9)
    lines.set_linestyle(dashes)  # pyright: ignore[reportArgumentType]
    lines.set_path_effects(HALO)
    return lines
