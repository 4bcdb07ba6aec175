"""Look of the figures: colours, marks, sizes, light and dark.

One colour and marker per optimizer wherever it appears (Okabe and Ito's palette, which
colour-blind readers can tell apart), one line, filling and hatch per regularizer, a paler tone for
weaker strengths: nothing is said by colour alone.
Figures are made without pyplot, so nothing global is left behind and no display is needed.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import io
import textwrap
import warnings
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Literal

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.backends.backend_pdf import FigureCanvasPdf
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from PIL import Image

from sparsity_jax.config.naming import strength_text
from sparsity_jax.report.aggregate import OPTIMIZER_NAMES, REGULARIZER_NAMES
from sparsity_jax.storage.results import RunResult

COLORS = {
    "adam": "#0072B2", "sgd": "#D55E00", "amsgrad": "#56B4E9", "adamax": "#009E73",
    "rmsprop": "#CC79A7", "adadelta": "#E69F00", "adagrad": "#8C8C8C",
}  # fmt: skip
UNKNOWN = "#B8A038"
LINES = {"l2": "-", "wd": (0, (5, 1.5)), "none": (0, (1, 1.4))}
MARKERS = {
    "adam": "o", "sgd": "s", "amsgrad": "^", "adamax": "v", "rmsprop": "D", "adadelta": "P",
    "adagrad": "X",
}  # fmt: skip
FILLS: dict[str, Literal["full", "none", "left"]] = {"l2": "full", "wd": "none", "none": "left"}
HATCHES = {"l2": "", "wd": "////", "none": "...."}
VIRIDIS, CIVIDIS = mpl.colormaps["viridis"], mpl.colormaps["cividis"]  # on any ground
PAGE = 5.2  # inches: letters stay legible where a column of 3.3 inches shows the figure
DPI = 175
FINE_DPI = 195  # of maps with smooth colours, which a palette would break into steps


@dataclasses.dataclass(frozen=True)
class Theme:
    """The colours that depend on the background."""

    name: Literal["light", "dark"]
    face: str
    ink: str
    faint: str
    heat: tuple[str, ...]  # the ramp of sparsity, from none to all

    @property
    def heat_map(self) -> LinearSegmentedColormap:
        """The ramp of sparsity as a colour map."""
        return LinearSegmentedColormap.from_list(f"heat-{self.name}", self.heat)

    def rc(self) -> dict[str, Any]:
        """matplotlib's settings for this theme."""
        text = ("text.color", "axes.labelcolor", "axes.titlecolor", "xtick.labelcolor")
        inks = dict.fromkeys((*text, "ytick.labelcolor", "legend.labelcolor"), self.ink)
        lines = ("axes.edgecolor", "xtick.color", "ytick.color", "grid.color", "hatch.color")
        faces = ("figure.facecolor", "axes.facecolor", "savefig.facecolor", "legend.facecolor")
        return (
            inks
            | dict.fromkeys(lines, self.faint)
            | dict.fromkeys(faces, self.face)
            | {
                "font.family": "DejaVu Sans", "font.size": 8.5, "axes.titlesize": 8.5,
                "axes.titleweight": "bold", "axes.labelsize": 8.5, "xtick.labelsize": 8,
                "ytick.labelsize": 8, "legend.fontsize": 8, "legend.frameon": False,
                "axes.spines.top": False, "axes.spines.right": False, "axes.linewidth": 0.8,
                "axes.grid": True, "grid.alpha": 0.35, "grid.linewidth": 0.6,
                "axes.axisbelow": True, "lines.linewidth": 1.5, "hatch.linewidth": 0.7,
                "pdf.fonttype": 3, "axes.formatter.useoffset": False,
            }
        )  # fmt: skip


LIGHT = Theme(
    "light", face="#ffffff", ink="#1d2530", faint="#8b95a1",
    heat=("#ffffff", "#fdd9a0", "#e8761a", "#7a2e05"),
)  # fmt: skip
DARK = Theme(
    "dark", face="#161b22", ink="#e3e8ee", faint="#7d8896",
    heat=("#161b22", "#5c3313", "#d9752b", "#ffd9a0"),
)  # fmt: skip


@dataclasses.dataclass(frozen=True)
class Mark:
    """Style of one run wherever it appears."""

    color: str
    alpha: float
    line: Any
    marker: str
    fill: Literal["full", "none", "left"]
    hatch: str

    @property
    def point(self) -> dict[str, Any]:
        """Line2D's settings for points of this run."""
        return {
            "color": self.color, "marker": self.marker, "fillstyle": self.fill, "markersize": 5.5,
            "markeredgewidth": 1.0, "markeredgecolor": self.color,
        }  # fmt: skip


def color(optimizer: str) -> str:
    """The optimizer's colour."""
    return COLORS.get(optimizer, UNKNOWN)


def marks(rows: Sequence[RunResult]) -> dict[str, Mark]:
    """Run -> its mark. Within an optimizer and regularizer, weaker strengths are paler."""
    buckets: dict[tuple[str, str], set[tuple[float, int, str]]] = {}
    for row in rows:
        buckets.setdefault((row.optimizer, row.regularizer), set()).add(_rank(row))
    made = {}
    for row in rows:
        ranks = sorted(buckets[row.optimizer, row.regularizer])
        share = ranks.index(_rank(row)) / max(1, len(ranks) - 1)
        made[row.run] = Mark(
            color=color(row.optimizer),
            alpha=1 - 0.6 * share,
            line=LINES.get(row.regularizer, "-"),
            marker=MARKERS.get(row.optimizer, "h"),
            fill=FILLS.get(row.regularizer, "full"),
            hatch=HATCHES.get(row.regularizer, ""),
        )
    return made


def alike(marked: Sequence[tuple[str, Mark]]) -> list[list[str]]:
    """Runs in bunches whose points look the same: a bunch costs little more than a point."""
    bunches: dict[tuple[str, str, str], list[str]] = {}
    for run, mark in marked:
        bunches.setdefault((mark.color, mark.marker, mark.fill), []).append(run)
    return list(bunches.values())


def kinds(rows: Sequence[RunResult]) -> dict[tuple[str, str], str]:
    """(optimizer, regularizer) -> a legend's word for it, in the rows' order."""
    return {
        (row.optimizer, row.regularizer): (
            OPTIMIZER_NAMES.get(row.optimizer, row.optimizer)
            + {"none": ", no regularizer"}.get(
                row.regularizer, " " + REGULARIZER_NAMES.get(row.regularizer, row.regularizer)
            )
        )
        for row in rows
    }


def kind_handles(rows: Sequence[RunResult]) -> list[Line2D]:
    """A legend's samples: the point of every optimizer and regularizer among the rows."""
    looks = marks(rows)
    first = {(row.optimizer, row.regularizer): row.run for row in reversed(rows)}
    return [
        Line2D([], [], linestyle="none", label=word, **looks[first[kind]].point)
        for kind, word in kinds(rows).items()
    ]


def figure(width: float, height: float, *, dpi: int = DPI) -> Figure:
    """An empty figure of this size in inches, with a canvas of its own."""
    made = Figure(figsize=(width, height), dpi=dpi, layout="constrained")
    FigureCanvasAgg(made)
    return made


def themed(draw: Callable[..., Figure]) -> Callable[..., Figure]:
    """Gives a drawing function the keyword `theme`, and draws under that theme's settings."""

    @functools.wraps(draw)
    def drawn(*args: Any, theme: Theme = LIGHT, **kwargs: Any) -> Figure:
        with applied(theme):
            return draw(*args, theme=theme, **kwargs)

    return drawn


@contextlib.contextmanager
def applied(theme: Theme) -> Iterator[None]:
    """Within it, matplotlib has this theme's settings; after it, those from before."""
    settings: Any = theme.rc()
    with mpl.rc_context(settings), warnings.catch_warnings():
        # A class folder may be named in a script that DejaVu Sans lacks: a box is drawn instead.
        warnings.filterwarnings("ignore", message="Glyph .* missing from", category=UserWarning)
        yield


def png(made: Figure, theme: Theme = LIGHT) -> bytes:
    """The figure as a PNG; unless it is fine with a palette, which makes it three times smaller."""
    with applied(theme):
        _lay_out(made)
        canvas = FigureCanvasAgg(made)
        canvas.draw()
        pixels = np.asarray(canvas.buffer_rgba())[..., :3]
    buffer = io.BytesIO()
    image = Image.fromarray(np.ascontiguousarray(pixels))
    if made.dpi < FINE_DPI:
        image = image.quantize(colors=160, dither=Image.Dither.NONE)
    image.save(buffer, format="PNG", compress_level=6, dpi=(made.dpi, made.dpi))
    return buffer.getvalue()


def pdf(made: Figure, theme: Theme = LIGHT) -> bytes:
    """The figure as a PDF, without a date in it: the same figure gives the same bytes."""
    buffer = io.BytesIO()
    with applied(theme):
        _lay_out(made)
        # savefig would first draw everything once for nothing
        FigureCanvasPdf(made).print_pdf(buffer, metadata={"CreationDate": None})
    return buffer.getvalue()


def same_places(made: Figure, model: Figure) -> None:
    """Puts the axes of a figure where those of its twin in another theme are."""
    for axes, theirs in zip(made.axes, model.axes, strict=True):
        axes.set_position(theirs.get_position())
    made.set_layout_engine("none")


def settle(made: Figure) -> None:
    """Puts the axes where they will stand, so that places in pixels are known."""
    engine = made.get_layout_engine()
    if engine is not None:
        engine.execute(made)


def _lay_out(made: Figure) -> None:
    """Computes the layout, which costs more than drawing, once for all formats."""
    engine = made.get_layout_engine()
    if engine is not None:
        engine.execute(made)
        made.set_layout_engine("none")


def plain(text: str, limit: int = 60) -> str:
    """User's text as matplotlib shows it: no mathematics in it, not longer than `limit`."""
    short = text if len(text) <= limit else text[: limit - 1] + "…"
    return short.replace("$", r"\$")


def legend_columns(labels: Sequence[str], most: int = 4, *, width: float = PAGE) -> int:
    """Most columns of a legend with these labels that is no wider than the figure."""
    widest = max((len(label) for label in labels), default=0)
    return max(1, min(most, len(labels), int(width / (0.06 * widest + 0.55))))


def strength(value: float) -> str:
    """A strength as labels of runs write it.

    Example:
      >>> strength(1e-3), strength(0.0)
      ('1e-3', '0')
    """
    return strength_text(value).replace("e-0", "e-")


def wrapped(text: str, width: float, size: float = 8.5) -> str:
    """User's text in lines that are no wider than `width` inches in bold letters of this size."""
    letters = max(8, int(72 * width / (0.66 * size)))
    return plain("\n".join(textwrap.wrap(text, letters)), 4 * letters)


def panel_title(axes: Axes, label: str, below: str) -> None:
    """A small panel's title: user's text in lines that fit the panel, and a line below it."""
    place, figure = axes.get_subplotspec(), axes.get_figure()
    columns = place.get_gridspec().ncols if place else 1
    width = (figure.get_figwidth() if isinstance(figure, Figure) else PAGE) / columns - 0.15
    axes.set_title(f"{wrapped(label, width, 7.0)}\n{below}", fontsize=7.0)


def _rank(row: RunResult) -> tuple[float, int, str]:
    return (-row.strength, row.batch_size, row.variant)
