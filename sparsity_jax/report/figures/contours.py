"""Where does a map of numbers in cells reach a level? Contour lines, with labels that keep clear.

Between the middles of the cells values are interpolated along one axis and then along the other,
without overshoot.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.contour import ContourSet
from matplotlib.patheffects import AbstractPathEffect, withStroke

Point = tuple[float, float]
HALO: list[AbstractPathEffect] = [withStroke(linewidth=2.0, foreground="#00000090")]
FINE = 12  # points that contour lines have for each cell
FLAT = 1e-100  # a rise smaller than this is none
LEAST_ROOM = 0.07  # of a panel: around the label of a contour line


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
      lines, columns: what the cells stand for, ascending and positive.

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
        filled = monotone(with_ends, filled.swapaxes(0, axis), places[axis]).swapaxes(0, axis)
    cell = [
        np.clip(np.searchsorted(e, f, side="right") - 1, 0, len(e) - 2)
        for e, f in zip(borders, places, strict=True)
    ]
    return places[1], places[0], np.ma.masked_array(filled, ~known[np.ix_(*cell)])


def monotone(x: np.ndarray, y: np.ndarray, at: np.ndarray) -> np.ndarray:
    """Cubic interpolation that rises and falls only where its points do (Fritsch and Carlson).

    Written here because importing SciPy's takes longer than drawing the figure.

    Args:
      x: (n,) ascending, n > 1; y: (n, ...) numbers there.
      at: (k,) places within x.

    Returns:
      (k, ...) numbers at these places.
    """
    steps = np.diff(x).reshape(-1, *[1] * (y.ndim - 1))
    rises = np.diff(y, axis=0) / steps
    before, after = rises[:-1], rises[1:]
    near, far = 2 * steps[1:] + steps[:-1], steps[1:] + 2 * steps[:-1]
    same = (before * after > 0) & (np.minimum(np.abs(before), np.abs(after)) > FLAT)
    safe = (np.where(same, before, 1.0), np.where(same, after, 1.0))
    inner = np.where(same, (near + far) / (near / safe[0] + far / safe[1]), 0.0)
    slopes = np.concatenate((rises[:1], inner, rises[-1:]))
    i = np.clip(np.searchsorted(x, at, side="right") - 1, 0, len(x) - 2)
    t = ((at - x[i]) / np.diff(x)[i]).reshape(-1, *[1] * (y.ndim - 1))
    return (
        (1 + 2 * t) * (1 - t) ** 2 * y[i]
        + t**2 * (3 - 2 * t) * y[i + 1]
        + t * (1 - t) * steps[i] * ((1 - t) * slopes[i] - t * slopes[i + 1])
    )


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
    lines = axes.contour(xs, ys, values, levels=crossed, colors="#ffffff", linewidths=1.1)
    lines.set_linestyle(dashes)  # pyright: ignore[reportArgumentType]
    lines.set_path_effects(HALO)
    return lines


def write(
    axes: Axes, lines: ContourSet | None, texts: Mapping[float, str], taken: Sequence[Point]
) -> None:
    """Writes on every line, far from the border and from what is `taken`, if there is room."""
    if lines is None:
        return
    places = list[Point]()
    for path in lines.get_paths():
        place, room = _free_place(axes, np.asarray(path.vertices), [*taken, *places])
        places += [place] if room > LEAST_ROOM else []
    for label in axes.clabel(lines, fmt=dict(texts), fontsize=7, inline_spacing=3, manual=places):
        label.set_path_effects(HALO)
        label.set_fontweight("bold")


def _free_place(axes: Axes, vertices: np.ndarray, taken: Sequence[Point]) -> tuple[Point, float]:
    """The vertex with most room around it, and that room, in shares of the panel."""
    if not len(vertices):
        return (0.0, 0.0), 0.0
    corner = np.array([axes.get_xlim()[0], axes.get_ylim()[0]])
    size = np.array([axes.get_xlim()[1], axes.get_ylim()[1]]) - corner
    at = (vertices - corner) / size
    room = np.minimum(at, 1 - at).min(axis=1)
    for other in taken:
        room = np.minimum(room, np.hypot(*((vertices - other) / size).T))
    x, y = vertices[int(room.argmax())]
    return (float(x), float(y)), float(room.max())
