"""Labels beside points, each where nothing else stands."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from matplotlib.axes import Axes
from matplotlib.text import Annotation

from sparsity_jax.report.figures import style

Place = tuple[int, int, str, str]  # of a label around its point: offset in points, alignment
PLACES: tuple[Place, ...] = (
    (6, 3, "left", "bottom"),
    (-6, 3, "right", "bottom"),
    (6, -3, "left", "top"),
    (-6, -3, "right", "top"),
    (0, 7, "center", "bottom"),
    (0, -7, "center", "top"),
)
BESIDE: tuple[Place, ...] = ((7, 0, "left", "center"), (-7, 0, "right", "center"))
RADIUS = 7  # pixels around a point that labels keep free

Point = tuple[float, float]  # in data coordinates


def write_labels(
    axes: Axes,
    points: Sequence[Point],
    words: Mapping[int, str],
    *,
    places: Sequence[Place] = PLACES,
) -> None:
    """Write words at their points, the first ones first; a word without a free place is left out.

    Args:
      axes: where they stand, laid out already (`style.settle`): places are chosen in pixels.
      points: all that no label may cover.
      words: index in `points` -> what to write there.
      places: where a label may stand, the preferred ones first.
    """
    centres = [tuple(axes.transData.transform(at)) for at in points]
    boxes = [(x - RADIUS, y - RADIUS, x + RADIUS, y + RADIUS) for x, y in centres]
    edges = axes.bbox.extents
    for index, word in words.items():
        for place in places:
            label = _label(axes, points[index], style.plain(word, 40), place)
            extent = label.get_window_extent()
            box = extent.x0, extent.y0, extent.x1, extent.y1
            inside = edges[0] <= box[0] and box[2] <= edges[2] and edges[1] <= box[1]
            if inside and not any(_overlap(box, other) for other in boxes):
                boxes.append(box)
                break
            label.remove()


def _label(axes: Axes, at: Point, word: str, place: Place) -> Annotation:
    right, up, across, along = place
    return axes.annotate(
        word, at, xytext=(right, up), textcoords="offset points", fontsize=6.8, ha=across, va=along
    )


def _overlap(one: Sequence[float], other: Sequence[float]) -> float:
    """The area that two boxes (left, bottom, right, top) share."""
    width = min(one[2], other[2]) - max(one[0], other[0])
    height = min(one[3], other[3]) - max(one[1], other[1])
    return max(0.0, width) * max(0.0, height)
